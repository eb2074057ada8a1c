//! Who calls: the configured caller behind a connection.

use std::{collections::HashMap, sync::Arc};

use jiff::Timestamp;

use super::{
    connection::Peer,
    tls::{PeerCertificate, ServerTls},
};
use crate::{domain::Caller, intake::Refusal};

/// The configured callers.
#[derive(Debug)]
pub enum Callers {
    /// Without TLS there is at most one: whoever connects over loopback.
    OverLoopback(Option<Arc<Caller>>),
    /// By a name in the certificate that the caller has shown.
    ByCertificate {
        /// DNS or URI name → caller; compared byte for byte.
        names: HashMap<Box<str>, Arc<Caller>>,
        /// Judges certificates.
        tls: Arc<ServerTls>,
    },
}

impl Callers {
    /// The caller at the other end of a connection at `now`; never says which check failed.
    pub(super) fn identify(
        &self,
        peer: Option<&Peer>,
        now: Timestamp,
    ) -> Result<Arc<Caller>, Refusal> {
        let caller = match self {
            Self::OverLoopback(caller) => caller
                .as_ref()
                .filter(|_| peer.is_some_and(Peer::is_on_loopback)),
            Self::ByCertificate { names, tls } => peer
                .and_then(|peer| peer.certificate.as_deref())
                .filter(|certificate| tls.trusts(certificate, now))
                .and_then(|certificate| caller_of(certificate, names)),
        };
        caller.cloned().ok_or(Refusal::Unauthenticated)
    }
}

impl Peer {
    fn is_on_loopback(&self) -> bool {
        self.address
            .is_some_and(|address| address.ip().is_loopback())
    }
}

/// The one caller whom a certificate names; one that names two is nobody's.
fn caller_of<'a>(
    certificate: &PeerCertificate,
    names: &'a HashMap<Box<str>, Arc<Caller>>,
) -> Option<&'a Arc<Caller>> {
    let mut callers = certificate.names.iter().filter_map(|name| names.get(name));
    let first = callers.next()?;
    callers
        .all(|other| Arc::ptr_eq(first, other))
        .then_some(first)
}
