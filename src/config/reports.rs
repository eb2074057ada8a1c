//! `[reports]`: where the gateways' callbacks arrive.
//!
//! Must not know: what a callback says.

use std::net::{Ipv4Addr, SocketAddr};

use serde::Deserialize;
use url::Url;

use super::{addresses, findings::At};

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawReports {
    listen: Option<String>,
    public_url: Option<String>,
}

/// How callbacks arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportsSettings {
    /// Address to listen on, behind whatever ends TLS.
    pub listen: SocketAddr,
    /// What the gateways call; each account's path is added to it.
    pub public_url: Url,
}

impl RawReports {
    pub(super) fn validate(&self, at: &At) -> Option<ReportsSettings> {
        let standard = SocketAddr::from((Ipv4Addr::LOCALHOST, 8081));
        let listen = addresses::listen(self.listen.as_deref(), standard, &at.key("listen"));
        let at_url = at.key("public_url");
        let public_url = at_url.required(
            self.public_url.as_deref(),
            "give the https URL under which the gateways reach this listener",
        )?;
        Some(ReportsSettings {
            listen,
            public_url: addresses::service_url(public_url, &at_url)?,
        })
    }
}
