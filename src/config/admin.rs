//! `[admin]`: where metrics, health and the console are served.
//!
//! Must not know: what is shown there.

use std::net::{Ipv4Addr, SocketAddr};

use serde::Deserialize;

use super::{addresses, findings::At};

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawAdmin {
    listen: Option<String>,
}

/// How the operator's pages are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminSettings {
    /// Address to listen on.
    pub listen: SocketAddr,
}

impl RawAdmin {
    pub(super) fn validate(&self, at: &At) -> AdminSettings {
        let standard = SocketAddr::from((Ipv4Addr::LOCALHOST, 9090));
        let at = at.key("listen");
        let listen = addresses::listen(self.listen.as_deref(), standard, &at);
        if !listen.ip().is_loopback() {
            at.warning(
                "these pages ask for no log-in: let only the operators' network reach this address",
            );
        }
        AdminSettings { listen }
    }
}
