//! The gRPC API: bytes ⇄ domain values, the peer ⇄ a caller, refusals ⇄ status and details.
//!
//! Must not know: SQL, gateways. Decides nothing else.

mod accounts;
mod answer;
mod arrivals;
mod certified;
mod connection;
mod connections;
mod convert;
mod deliveries;
mod entitlements;
mod identity;
mod redacted;
mod refusals;
mod tls;
mod watches;

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;
use tonic::{service::Routes, transport::server::Router};

use crate::{
    certified::{Certified, Events},
    clock::Clock,
    intake::Intake,
    status::{AccountStatuses, Feed, Status, WatchPlaces},
};

pub use connections::{ConnectionLimits, accept_within};
pub use convert::{create_request, list_request, preview_request};
pub use identity::Callers;
pub use tls::{ServerTls, TlsExpiry, TlsMaterial, TlsProblem};

/// The generated protocol.
#[allow(missing_docs, clippy::all, clippy::pedantic)] // written by tonic-prost-build from proto/, which has the comments
pub mod proto {
    tonic::include_proto!("clave.otp.v1");
}

/// The protocol as reflection tells it.
pub const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/clave_otp_descriptor.bin"));

/// Limits of the gRPC server.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most bytes of one request message (`grpc.max_message_bytes`).
    pub max_message_bytes: usize,
    /// Most bytes of the header list of one call (`grpc.max_header_bytes`).
    pub max_header_bytes: u32,
    /// How long the beginning of a connection, and the message of a call, may take to arrive (`grpc.arrival_timeout_ms`).
    pub arrival_timeout: Duration,
    /// How often a connection is asked whether its client is there (`grpc.keepalive_interval_seconds`).
    pub keepalive_interval: Duration,
    /// How long the client may take to say so (`grpc.keepalive_timeout_seconds`).
    pub keepalive_timeout: Duration,
    /// Most connections at once (`grpc.max_connections`).
    pub max_connections: usize,
    /// Most TLS handshakes at once from one source (`grpc.max_handshakes_per_source`).
    pub max_handshakes_per_source: usize,
    /// Most calls at once on one connection (`grpc.max_concurrent_streams`).
    pub max_concurrent_streams: u32,
    /// Most bytes of one request message about certified messages (`certified.max_message_bytes`).
    pub max_certified_message_bytes: usize,
    /// Most calls about certified messages whose messages are in memory at a time (`certified.max_calls`).
    pub max_certified_calls: usize,
    /// Whether reflection is served (`grpc.reflection`).
    pub reflection: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message_bytes: 64 * 1024,
            max_header_bytes: 16 * 1024,
            arrival_timeout: Duration::from_secs(5),
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(20),
            max_connections: 1000,
            max_handshakes_per_source: 16,
            max_concurrent_streams: 1024,
            max_certified_message_bytes: 4 * 1024 * 1024,
            max_certified_calls: 16,
            reflection: true,
        }
    }
}

/// What the services work with.
#[derive(Debug, Clone)]
pub struct Services {
    /// Takes codes.
    pub intake: Intake,
    /// Tells what became of them.
    pub status: Status,
    /// Sends certified messages.
    pub certified: Certified,
    /// Tells what becomes of them.
    pub certified_events: Events,
    /// Tells of every change.
    pub feed: Feed,
    /// The places for watches.
    pub watch_places: WatchPlaces,
    /// Tells how accounts fare.
    pub accounts: AccountStatuses,
    /// Who may call.
    pub callers: Arc<Callers>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Time for a call that brings no deadline of its own (`grpc.default_deadline_ms`).
    pub default_deadline: Duration,
    /// Cancelled when the service stops: streams end and nothing new is taken.
    pub stop: CancellationToken,
}

/// Name of the delivery service, for health.
pub const DELIVERY_SERVICE: &str = <proto::delivery_service_server::DeliveryServiceServer<
    deliveries::Deliveries,
> as tonic::server::NamedService>::NAME;

/// Name of the account service, for health.
pub const ACCOUNT_SERVICE: &str = <proto::account_service_server::AccountServiceServer<
    accounts::Accounts,
> as tonic::server::NamedService>::NAME;

/// Name of the service for certified messages, for health.
pub const CERTIFIED_MESSAGE_SERVICE: &str =
    <proto::certified_message_service_server::CertifiedMessageServiceServer<
        certified::CertifiedMessages,
    > as tonic::server::NamedService>::NAME;

/// The server with all services; `health` adds the one that tells how they are.
pub fn router(
    services: Services,
    health: impl FnOnce(Routes) -> Routes,
    limits: Limits,
) -> Result<Router, tonic_reflection::server::Error> {
    let accounts = proto::account_service_server::AccountServiceServer::new(
        accounts::Accounts::new(services.clone()),
    )
    .max_decoding_message_size(limits.max_message_bytes);
    let certified = proto::certified_message_service_server::CertifiedMessageServiceServer::new(
        certified::CertifiedMessages::new(services.clone()),
    )
    .max_decoding_message_size(limits.max_certified_message_bytes);
    let deliveries = proto::delivery_service_server::DeliveryServiceServer::new(
        deliveries::Deliveries::new(services.clone()),
    )
    .max_decoding_message_size(limits.max_message_bytes);
    let mut routes = health(
        Routes::new(deliveries)
            .add_service(accounts)
            .add_service(certified),
    );
    if limits.reflection {
        let known = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(DESCRIPTOR)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        // Tools in wide use, Python's among them, speak only the older version.
        routes = routes
            .add_service(known().build_v1()?)
            .add_service(known().build_v1alpha()?);
    }
    Ok(tonic::transport::Server::builder()
        .max_concurrent_streams(limits.max_concurrent_streams)
        // What is up to twice as long still comes in, and is told why it is refused; the rest ends where it is read.
        .http2_max_header_list_size(limits.max_header_bytes.saturating_mul(2))
        .http2_keepalive_interval(Some(limits.keepalive_interval))
        .http2_keepalive_timeout(Some(limits.keepalive_timeout))
        .add_routes(entitlements::guarded(
            arrivals::bounded(routes, limits),
            services,
        )))
}
