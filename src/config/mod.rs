//! The files that say who pays, through which account and who may ask: typed, judged as one set, every mistake at once.
//!
//! Must not know: running components. `app` hands them plain values; they never import this room.
//!
//! The way of a set: `tree` reads files and environment into plain values, `repair` turns them into the raw sections and
//! reports every key that is unknown or of the wrong kind, each section's `validate` turns raw into values that cannot be
//! wrong, and `set` judges what holds between administrations. All report through `findings`.

mod account_parts;
mod account_reports;
mod accounts;
mod addresses;
mod admin;
mod administrations;
mod aliases;
mod callers;
mod certified;
mod environment;
mod findings;
mod grpc;
mod limits;
mod mensatek;
mod password_file;
mod protocols;
mod repair;
mod reports;
mod secrets;
mod service;
mod set;
mod store;
mod templates;
mod tls;
mod tree;

pub use account_parts::{
    AccountLimits, CodeEffect, CodeMeaning, InternationalSettings, SenderOnWire,
};
pub use account_reports::{AccountReports, ReportLogin};
pub use accounts::{AccountSettings, ApiUser, OnUncertain};
pub use admin::AdminSettings;
pub use administrations::{AdministrationSettings, AliasPolicy};
pub use callers::{CallerIdentity, CallerSettings};
pub use certified::CertifiedSettings;
pub use environment::Environment;
pub use findings::{Problem, Problems, Warning};
pub use grpc::{GrpcSettings, WatcherSettings};
pub use limits::{DeliverySettings, LimitSettings};
pub use mensatek::{MensatekContact, MensatekService, MensatekSettings};
pub use password_file::PasswordFile;
pub use protocols::{ExpiryFormat, InternationalFormat, NumberFormat, Protocol, WireEncoding};
pub use reports::ReportsSettings;
pub use service::Settings;
pub use store::{StoreLocation, StoreSettings};
pub use templates::{TemplateCheck, TemplateOverride, TextLimits};
pub use tls::{TlsFiles, TlsSettings};
