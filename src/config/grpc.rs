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
    max_handshakes_per_source: Option<u64>,
    max_concurrent_streams: Option<u64>,
    default_deadline_ms: Option<u64>,
    shutdown_grace_seconds: Option<u64>,
    max_watchers: Option<u64>,
    max_watchers_per_caller: Option<u64>,
    max_watchers_of_all: Option<u64>,
    max_watchers_of_all_per_caller: Option<u64>,
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
    /// Most TLS handshakes at a time from one source.
    pub max_handshakes_per_source: usize,
    /// Most calls at a time on one connection.
    pub max_concurrent_streams: u32,
    /// Deadline of a call that brings none.
    pub default_deadline: Duration,
    /// Time that running calls get when the service stops.
    pub shutdown_grace: Duration,
    /// Most watches of one delivery at a time.
    pub watchers: WatcherSettings,
    /// Most watches of all deliveries at a time.
    pub watchers_of_all: WatcherSettings,
    /// Changes that a watcher may be behind before it is cut off.
    pub watch_buffer: usize,
    /// How long a watch of all changes may be silent.
    pub watch_heartbeat: Duration,
}

/// Most watches of one kind at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatcherSettings {
    /// Of all callers.
    pub most: usize,
    /// Of one; no more than of all.
    pub most_per_caller: usize,
}

fn watchers(
    at: &At,
    (key, most): (&str, Option<u64>),
    (key_of_one, of_one): (&str, Option<u64>),
) -> WatcherSettings {
    let most: usize = at.key(key).number(most, 2000, 1..=100_000);
    WatcherSettings {
        most,
        // Half of all: one caller leaves as much to the others.
        most_per_caller: at
            .key(key_of_one)
            .number(of_one, most.div_ceil(2), 1..=most),
    }
}

impl RawGrpc {
    pub(super) fn validate(&self, at: &At) -> GrpcSettings {
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
            listen: self.listen(at),
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
            max_handshakes_per_source: at.key("max_handshakes_per_source").number(
                self.max_handshakes_per_source,
                16,
                1..=65_535,
            ),
            max_concurrent_streams: at.key("max_concurrent_streams").number(
                self.max_concurrent_streams,
                256,
                1..=10_000,
            ),
            default_deadline: Duration::from_millis(deadline_ms),
            shutdown_grace: Duration::from_secs(grace_seconds),
            watchers: self.watchers(at),
            watchers_of_all: self.watchers_of_all(at),
            watch_buffer: at
                .key("watch_buffer")
                .number(self.watch_buffer, 4096, 256..=65_536),
            watch_heartbeat: seconds("watch_heartbeat_seconds", self.watch_heartbeat_seconds, 30),
        }
    }

    fn listen(&self, at: &At) -> SocketAddr {
        let standard = SocketAddr::from((Ipv4Addr::LOCALHOST, 50051));
        let at_listen = at.key("listen");
        let listen = addresses::listen(self.listen.as_deref(), standard, &at_listen);
        if self.tls.is_none() && !listen.ip().is_loopback() {
            at_listen.problem(
                "without [grpc.tls] only loopback is allowed: listen on 127.0.0.1 or add [grpc.tls]",
            );
        }
        listen
    }

    fn watchers(&self, at: &At) -> WatcherSettings {
        watchers(
            at,
            ("max_watchers", self.max_watchers),
            ("max_watchers_per_caller", self.max_watchers_per_caller),
        )
    }

    fn watchers_of_all(&self, at: &At) -> WatcherSettings {
        watchers(
            at,
            ("max_watchers_of_all", self.max_watchers_of_all),
            (
                "max_watchers_of_all_per_caller",
                self.max_watchers_of_all_per_caller,
            ),
        )
    }

    /// Whether callers are told apart by certificate.
    pub(super) fn has_tls(&self) -> bool {
        self.tls.is_some()
    }
}
