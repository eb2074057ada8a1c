//! `[grpc]`: where the API is served, to whom, and its limits.
//!
//! Must not know: how it is served.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use serde::Deserialize;

use super::{
    addresses,
    findings::At,
    repair::Table,
    tls::{RawTls, TlsSettings},
};

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawGrpc {
    listen: Option<String>,
    tls: Option<Table<RawTls>>,
    reflection: Option<bool>,
    max_message_bytes: Option<u64>,
    max_header_bytes: Option<u64>,
    arrival_timeout_ms: Option<u64>,
    keepalive_interval_seconds: Option<u64>,
    keepalive_timeout_seconds: Option<u64>,
    max_connections: Option<u64>,
    max_concurrent_streams: Option<u64>,
    default_deadline_ms: Option<u64>,
    shutdown_grace_seconds: Option<u64>,
    max_watchers: Option<u64>,
    watch_buffer: Option<u64>,
    watch_heartbeat_seconds: Option<u64>,
}

/// How the gRPC API is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrpcSettings {
    /// Address to listen on; loopback unless there is TLS.
    pub listen: SocketAddr,
    /// Certificate, key and the authority of the callers.
    pub tls: Option<TlsSettings>,
    /// Whether reflection is served.
    pub reflection: bool,
    /// Longest request message.
    pub max_message_bytes: usize,
    /// Longest header list of a call.
    pub max_header_bytes: u32,
    /// Longest time for the beginning of a connection, and for the message of a call, to arrive.
    pub arrival_timeout: Duration,
    /// How often a connection is asked whether its client is there.
    pub keepalive_interval: Duration,
    /// How long the client may take to say so.
    pub keepalive_timeout: Duration,
    /// Most connections at a time.
    pub max_connections: usize,
    /// Most calls at a time on one connection.
    pub max_concurrent_streams: u32,
    /// Deadline of a call that brings none.
    pub default_deadline: Duration,
    /// Time that running calls get when the service stops.
    pub shutdown_grace: Duration,
    /// Most watches at a time.
    pub max_watchers: usize,
    /// Changes that a watcher may be behind before it is cut off.
    pub watch_buffer: usize,
    /// How long a watch of all changes may be silent.
    pub watch_heartbeat: Duration,
}

impl RawGrpc {
    pub(super) fn validate(&self, at: &At) -> GrpcSettings {
        let standard = SocketAddr::from((Ipv4Addr::LOCALHOST, 50051));
        let at_listen = at.key("listen");
        let listen = addresses::listen(self.listen.as_deref(), standard, &at_listen);
        if self.tls.is_none() && !listen.ip().is_loopback() {
            at_listen.problem(
                "without [grpc.tls] only loopback is allowed: listen on 127.0.0.1 or add [grpc.tls]",
            );
        }
        let deadline_ms =
            at.key("default_deadline_ms")
                .number(self.default_deadline_ms, 10_000, 100..=120_000);
        let grace_seconds =
            at.key("shutdown_grace_seconds")
                .number(self.shutdown_grace_seconds, 20, 1..=600);
        let seconds = |key: &str, given, standard| {
            Duration::from_secs(at.key(key).number(given, standard, 1..=3600))
        };
        let arrival_ms =
            at.key("arrival_timeout_ms")
                .number(self.arrival_timeout_ms, 5000, 100..=60_000);
        GrpcSettings {
            listen,
            tls: self
                .tls
                .as_ref()
                .and_then(|tls| tls.validate(&at.key("tls"))),
            reflection: self.reflection.unwrap_or(true),
            max_message_bytes: at.key("max_message_bytes").number(
                self.max_message_bytes,
                64 * 1024,
                1024..=4 * 1024 * 1024,
            ),
            max_header_bytes: at.key("max_header_bytes").number(
                self.max_header_bytes,
                16 * 1024,
                4096..=1024 * 1024,
            ),
            arrival_timeout: Duration::from_millis(arrival_ms),
            keepalive_interval: seconds(
                "keepalive_interval_seconds",
                self.keepalive_interval_seconds,
                30,
            ),
            keepalive_timeout: seconds(
                "keepalive_timeout_seconds",
                self.keepalive_timeout_seconds,
                20,
            ),
            max_connections: at.key("max_connections").number(
                self.max_connections,
                1000,
                1..=65_535,
            ),
            max_concurrent_streams: at.key("max_concurrent_streams").number(
                self.max_concurrent_streams,
                256,
                1..=10_000,
            ),
            default_deadline: Duration::from_millis(deadline_ms),
            shutdown_grace: Duration::from_secs(grace_seconds),
            max_watchers: at
                .key("max_watchers")
                .number(self.max_watchers, 2000, 1..=100_000),
            watch_buffer: at
                .key("watch_buffer")
                .number(self.watch_buffer, 4096, 256..=65_536),
            watch_heartbeat: seconds("watch_heartbeat_seconds", self.watch_heartbeat_seconds, 30),
        }
    }

    /// Whether callers are told apart by certificate.
    pub(super) fn has_tls(&self) -> bool {
        self.tls.is_some()
    }
}
