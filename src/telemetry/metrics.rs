//! The metrics of the process, kept for Prometheus to fetch.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// Bounds of the histograms of durations: from what a disk takes to what a code lives, in seconds.
const SECONDS: [f64; 16] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    120.0,
];
/// Bounds of the histograms of counts.
const COUNTS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 350.0, 500.0];

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

/// Begins to keep metrics; a second start in one process keeps the first.
pub fn start() -> Result<PrometheusHandle, BuildError> {
    if let Some(handle) = HANDLE.get() {
        return Ok(handle.clone());
    }
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_messages".into()), &COUNTS)?
        .set_buckets_for_metric(Matcher::Suffix("_transactions".into()), &COUNTS)?
        .build_recorder();
    let handle = recorder.handle();
    // Two starts at once: the first recorder stays, and the handle of the other shows nothing but does no harm.
    let _ = metrics::set_global_recorder(recorder);
    Ok(HANDLE.get_or_init(|| handle).clone())
}
