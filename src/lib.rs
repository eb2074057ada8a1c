//! clave-otp delivers the one-time codes of Cl@ve by SMS, on the account of the administration that pays.
//!
//! The modules follow the way of one delivery:
//!
//! ```text
//! grpc ─► intake ─► routing ─► text ─► store ─► dispatch ─► gateway ─► (the SMS platform)
//!                                        ▲          │            │
//!  status ◄──────── wakes & reads ───────┤◄─────────┘            ▼
//!                                        └──────────────────── reports
//! ```
//!
//! Certified messages and contracts go `grpc ─► certified ─► store`, then `gateway`; what is told of them comes by `reports`.
//!
//! Who may import whom is a table in `docs/ARCHITECTURE.md`, kept by `tests/it/architecture.rs`.

pub mod domain;

pub mod certified;
pub mod grpc;
pub mod intake;
pub mod routing;
pub mod text;

pub mod store;

pub mod dispatch;
pub mod gateway;
pub mod reports;

pub mod status;

pub mod admin;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod crash_points;
pub mod http_port;
pub mod places;
pub mod simulator;
pub mod telemetry;
