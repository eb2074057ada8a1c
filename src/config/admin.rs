//! `[admin]`: where metrics, health and the console are served.
//!
//! Must not know: what is shown there.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use serde::Deserialize;

use super::{addresses, findings::At};

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawAdmin {
    listen: Option<String>,
    max_connections: Option<u64>,
    max_header_bytes: Option<u64>,
    timeout_ms: Option<u64>,
}

/// How the operator's pages are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminSettings {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Most connections at a time.
    pub max_connections: usize,
    /// Longest head of a request.
    pub max_header_bytes: usize,
    /// Longest time for the head of a request to arrive, and for its answer to be taken.
    pub timeout: Duration,
}

impl RawAdmin {
    pub(super) fn validate(&self, at: &At) -> AdminSettings {
        let standard = SocketAddr::from((Ipv4Addr::LOCALHOST, 9090));
        let at_listen = at.key("listen");
        let listen = addresses::listen(self.listen.as_deref(), standard, &at_listen);
        if !listen.ip().is_loopback() {
            at_listen.warning(
                "these pages ask for no log-in: let only the operators' network reach this address",
            );
        }
        let timeout_ms = at
            .key("timeout_ms")
            .number(self.timeout_ms, 10_000, 100..=120_000);
        AdminSettings {
            listen,
            max_connections: at.key("max_connections").number(
                self.max_connections,
                100,
                1..=10_000,
            ),
            max_header_bytes: at.key("max_header_bytes").number(
                self.max_header_bytes,
                16 * 1024,
                8192..=1024 * 1024,
            ),
            timeout: Duration::from_millis(timeout_ms),
        }
    }
}
