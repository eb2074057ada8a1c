//! What the platforms tell us later: requests to the accounts' report addresses become reports in the store.
//!
//! Must not know: who asked for a delivery, how it was sent, what a report changes (`store`). What a request says, and how it
//! is answered, is the adapter's business.

mod desk;
mod door;

use std::{num::NonZeroU32, time::Duration};

use axum::Router;
use secrecy::SecretString;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    domain::{AccountId, ReportPath, SourceNetwork},
    gateway::Gateway,
    http_port,
    store::{CertifiedStore, ForgottenReports, ReportEffect, Store},
    telemetry::names,
};

use desk::Desk;
use door::Door;

/// What this port is called and counts.
pub const PORT: http_port::Names = http_port::Names {
    section: "reports",
    refused: names::REPORTS_CONNECTIONS_REFUSED,
    source_refused: Some(names::REPORTS_SOURCE_REFUSED),
    timeouts: names::REPORTS_TIMEOUTS,
};

/// How often reports that belong to nothing are looked at.
const TIDY_EVERY: Duration = Duration::from_secs(60);

/// An account whose platform reports.
#[derive(Debug, Clone)]
pub struct ReportingAccount {
    /// Which account.
    pub account: AccountId,
    /// The part of its address that nobody else knows.
    pub path: ReportPath,
    /// Reads what its platform says.
    pub gateway: Arc<dyn Gateway>,
    /// User and password of HTTP Basic, where its platform sends them.
    pub login: Option<(String, SecretString)>,
    /// Where its requests may come from; empty: from anywhere.
    pub allowed_sources: Vec<SourceNetwork>,
}

/// Limits of what comes.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Longest body that is read, in bytes (`reports.max_body_bytes`).
    pub max_body_bytes: usize,
    /// Most reports of an account that may wait for their delivery to be known (`reports.early_limit`).
    pub early_limit: NonZeroU32,
    /// Most events that are kept of one certified message (`certified.events_per_message`).
    pub events_per_message: NonZeroU32,
    /// Most reports that are kept with one delivery (`reports.max_per_delivery`).
    pub max_per_delivery: NonZeroU32,
    /// How long they wait (`reports.early_kept_minutes`).
    pub early_kept: Duration,
}

/// The pages under `base`, the path of `reports.public_url`: one address for each account, and beneath it one for each delivery.
pub fn router(
    base: &str,
    accounts: impl IntoIterator<Item = ReportingAccount>,
    limits: Limits,
    store: Arc<dyn CertifiedStore>,
    clock: Arc<dyn Clock>,
) -> Router {
    let desk = Desk {
        store,
        clock,
        early_limit: limits.early_limit,
        events_per_message: limits.events_per_message,
        max_per_delivery: limits.max_per_delivery,
    };
    Door::new(base, accounts, limits.max_body_bytes, desk).router()
}

/// Forgets, once a minute, reports that belong to no delivery of ours, and counts them as what they turned out to be.
pub async fn tidy(
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    stop: CancellationToken,
) {
    loop {
        let before = clock
            .now()
            .checked_sub(limits.early_kept)
            .unwrap_or(jiff::Timestamp::MIN);
        match store.forget_early_reports(before).await {
            Ok(ForgottenReports { forgotten, left }) => {
                for (account, reports) in forgotten {
                    desk::count(&account, ReportEffect::Unknown.as_str(), reports);
                    tracing::info!(%account, reports, "reports: no delivery became known for them; another system may send on the same account");
                }
                let left = u32::try_from(left).unwrap_or(u32::MAX);
                metrics::gauge!(names::REPORTS_EARLY).set(f64::from(left));
            }
            Err(error) => {
                tracing::error!(%error, "reports: those that belong to no delivery could not be forgotten; it is tried again");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = clock.sleep(TIDY_EVERY) => {}
        }
    }
}
