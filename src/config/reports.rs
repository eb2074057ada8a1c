//! `[reports]`: where the gateways' callbacks arrive.
//!
//! Must not know: what a callback says.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use serde::Deserialize;
use url::Url;

use super::{addresses, findings::At};

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawReports {
    listen: Option<String>,
    public_url: Option<String>,
    max_connections: Option<u64>,
    max_connections_per_source: Option<u64>,
    max_header_bytes: Option<u64>,
    max_body_bytes: Option<u64>,
    timeout_ms: Option<u64>,
    early_kept_minutes: Option<u64>,
    early_limit: Option<u64>,
    max_per_delivery: Option<u64>,
}

/// How callbacks arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportsSettings {
    /// Address to listen on, behind whatever ends TLS.
    pub listen: SocketAddr,
    /// What the gateways call; each account's path is added to it.
    pub public_url: Url,
    /// Most connections at a time.
    pub max_connections: usize,
    /// Most of them from one source; behind a proxy there is but one.
    pub max_connections_per_source: usize,
    /// Longest head of a request.
    pub max_header_bytes: usize,
    /// Longest body that is read.
    pub max_body_bytes: usize,
    /// Longest time for a request to arrive whole, and for its answer to be taken.
    pub timeout: Duration,
    /// How long a report that no delivery is known for is kept, waiting for one.
    pub early_kept: Duration,
    /// Most of them that are kept, for each account.
    pub early_limit: u32,
    /// Most reports that are kept with one delivery.
    pub max_per_delivery: u32,
}

impl RawReports {
    pub(super) fn validate(&self, at: &At) -> Option<ReportsSettings> {
        let standard = SocketAddr::from((Ipv4Addr::LOCALHOST, 8081));
        let listen = addresses::listen(self.listen.as_deref(), standard, &at.key("listen"));
        let at_url = at.key("public_url");
        let public_url = at_url.required(
            self.public_url.as_deref(),
            "give the https URL under which the gateways reach this listener",
        );
        let public_url = public_url.and_then(|url| addresses::service_url(url, &at_url));
        let max_connections =
            at.key("max_connections")
                .number(self.max_connections, 256_usize, 1..=10_000);
        let max_connections_per_source = at.key("max_connections_per_source").number(
            self.max_connections_per_source,
            max_connections.div_ceil(2),
            1..=10_000,
        );
        let max_header_bytes =
            at.key("max_header_bytes")
                .number(self.max_header_bytes, 16 * 1024, 8192..=1024 * 1024);
        let max_body_bytes =
            at.key("max_body_bytes")
                .number(self.max_body_bytes, 64 * 1024, 1024..=1024 * 1024);
        let timeout_ms = at
            .key("timeout_ms")
            .number(self.timeout_ms, 10_000, 100..=120_000);
        let early_kept =
            at.key("early_kept_minutes")
                .number(self.early_kept_minutes, 15_u64, 1..=24 * 60);
        let early_limit = at
            .key("early_limit")
            .number(self.early_limit, 1000, 1..=100_000);
        let max_per_delivery =
            at.key("max_per_delivery")
                .number(self.max_per_delivery, 32, 1..=10_000);
        Some(ReportsSettings {
            listen,
            public_url: public_url?,
            max_connections,
            max_connections_per_source,
            max_header_bytes,
            max_body_bytes,
            timeout: Duration::from_millis(timeout_ms),
            early_kept: Duration::from_secs(early_kept * 60),
            early_limit,
            max_per_delivery,
        })
    }
}
