//! The gauges of queues and lanes, brought up to date now and then, and at once when a lane becomes well or unwell.

use std::{collections::HashSet, sync::Arc, time::Duration};

use jiff::Timestamp;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    store::{LaneClosure, Store},
    telemetry::names,
};

/// How often the gauges are set and old samples of histograms are folded.
const EVERY: Duration = Duration::from_secs(5);

/// Why a lane is closed, as the label `cause` tells it.
const CAUSES: [(LaneClosure, &str); 3] = [
    (LaneClosure::Paused, "paused"),
    (LaneClosure::CredentialsRejected, "credentials"),
    (LaneClosure::NoCredit, "no_credit"),
];

pub(super) async fn keep(
    store: Arc<dyn Store>,
    metrics: PrometheusHandle,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) {
    let mut turns = store.lanes().turns();
    let mut shown = HashSet::new();
    loop {
        turns.borrow_and_update();
        lanes(&*store, clock.now());
        queues(&*store, &mut shown).await;
        metrics.run_upkeep();
        tokio::select! {
            () = stop.cancelled() => return,
            // The store outlives this.
            _ = turns.changed() => {}
            () = clock.sleep(EVERY) => {}
        }
    }
}

fn lanes(store: &dyn Store, now: Timestamp) {
    for (account, report) in store.lanes().all() {
        for (closure, cause) in CAUSES {
            let is_closed = f64::from(u8::from(report.closed == Some(closure)));
            metrics::gauge!(names::LANE_CLOSED, "account" => account.to_string(), "cause" => cause)
                .set(is_closed);
        }
        let share = f64::from(report.share_at(now)) / 100.0;
        metrics::gauge!(names::LANE_SHARE, "account" => account.to_string()).set(share);
    }
}

async fn queues(store: &dyn Store, shown: &mut HashSet<String>) {
    let Ok(waiting) = store.waiting().await else {
        return;
    };
    let gone = std::mem::take(shown);
    for (account, deliveries) in waiting {
        let deliveries = u32::try_from(deliveries).unwrap_or(u32::MAX);
        metrics::gauge!(names::QUEUE_LENGTH, "account" => account.to_string())
            .set(f64::from(deliveries));
        shown.insert(account.to_string());
    }
    // Only those that have none any more: whoever reads in between is not to see an empty queue.
    for account in gone.difference(shown) {
        metrics::gauge!(names::QUEUE_LENGTH, "account" => account.clone()).set(0.0);
    }
}
