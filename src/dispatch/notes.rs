//! What lanes tell in metrics and in the log.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    domain::AccountId,
    gateway::Outcome,
    store::{Unlawful, Work},
    telemetry::names,
};

/// A request ended.
pub(super) fn submitted(account: &AccountId, messages: usize, took: Duration) {
    let label = account.to_string();
    metrics::histogram!(names::GATEWAY_REQUEST_SECONDS, "account" => label.clone())
        .record(took.as_secs_f64());
    metrics::histogram!(names::GATEWAY_BATCH_MESSAGES, "account" => label)
        .record(f64::from(u32::try_from(messages).unwrap_or(u32::MAX)));
    tracing::info!(%account, messages, milliseconds = took.as_millis(), "dispatch: submitted");
}

/// The lane rests.
pub(super) fn rests(account: &AccountId) {
    metrics::counter!(names::LANE_RESTS, "account" => account.to_string()).increment(1);
}

/// Deliveries went to another account of their administration.
pub(super) fn handed_over(account: &AccountId, deliveries: u64) {
    metrics::counter!(names::HANDED_OVER, "account" => account.to_string()).increment(deliveries);
    tracing::warn!(
        %account,
        deliveries,
        "dispatch: handed over to another account of the administration; look at this account's gateway"
    );
}

/// A lease met deliveries that the account may not send any more, under their sender or to their country.
pub(super) fn unlawful(account: &AccountId, found: Unlawful) {
    let Unlawful {
        renamed,
        moved,
        waiting,
        ended,
    } = found;
    if renamed > 0 || moved > 0 {
        tracing::warn!(
            %account,
            renamed,
            moved,
            "dispatch: senders of deliveries may not be used any more; renamed ones go out under the common number, moved ones \
             on another account"
        );
    }
    if moved > 0 {
        metrics::counter!(names::HANDED_OVER, "account" => account.to_string()).increment(moved);
    }
    if waiting > 0 {
        tracing::debug!(%account, waiting, "dispatch: may go out on another account alone, which cannot take them now");
    }
    if ended > 0 {
        metrics::counter!(names::DELIVERIES_UNLAWFUL, "account" => account.to_string())
            .increment(ended);
        tracing::error!(
            %account,
            deliveries = ended,
            "dispatch: not sent, since their sender may not be used any more, or the account does not send to that country any \
             more, and there is no other way: see the alias's record in [[aliases]], the account's senders and its \
             allowed_regions, or say alias_policy = \"numeric\""
        );
    }
}

/// One attempt ended; `None` where the code had no time left and nothing was sent.
pub(super) fn outcome(account: &AccountId, work: &Work, outcome: Option<&Outcome>, now: Timestamp) {
    let label = account.to_string();
    let (name, reason) = match outcome {
        Some(Outcome::Accepted(_)) => ("sent", None),
        Some(Outcome::Rejected { reason, .. }) => ("rejected", Some(reason.as_str())),
        Some(Outcome::NotSent { reason, .. }) => ("not_sent", Some(reason.as_str())),
        Some(Outcome::Uncertain { reason }) => ("uncertain", Some(reason.as_str())),
        None => ("too_late", Some("TIME_RAN_OUT")),
    };
    metrics::counter!(names::ATTEMPTS, "account" => label.clone(), "outcome" => name).increment(1);
    match reason {
        None => {
            let waited = now.duration_since(work.create_time).as_secs_f64();
            metrics::histogram!(names::ACCEPT_TO_GATEWAY_SECONDS, "account" => label.clone())
                .record(waited);
            metrics::counter!(names::SEGMENTS, "account" => label)
                .increment(u64::from(work.segments));
            tracing::debug!(delivery = %work.id, "dispatch: sent");
        }
        Some(reason) => {
            tracing::warn!(delivery = %work.id, outcome = name, reason, "dispatch: not sent for sure");
        }
    }
}
