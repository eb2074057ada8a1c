//! Who calls: the configured caller behind a connection.

use std::sync::Arc;

use tonic::{Request, transport::server::TcpConnectInfo};

use crate::{domain::Caller, intake::Refusal};

/// The configured callers.
#[derive(Debug, Default)]
pub struct Callers {
    loopback: Option<Arc<Caller>>,
}

impl Callers {
    /// Without TLS there is one caller: whoever connects over loopback.
    pub fn over_loopback(caller: Option<Caller>) -> Self {
        Self {
            loopback: caller.map(Arc::new),
        }
    }

    /// The caller behind a request; never says which check failed.
    pub(super) fn identify<T>(&self, request: &Request<T>) -> Result<Arc<Caller>, Refusal> {
        let over_loopback = request
            .extensions()
            .get::<TcpConnectInfo>()
            .and_then(TcpConnectInfo::remote_addr)
            .is_some_and(|peer| peer.ip().is_loopback());
        match &self.loopback {
            Some(caller) if over_loopback => Ok(Arc::clone(caller)),
            _ => Err(Refusal::Unauthenticated),
        }
    }
}
