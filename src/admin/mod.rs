//! The operator's port: is it alive, is it ready, its metrics.
//!
//! Must not know: texts, codes, full numbers.

use std::fmt;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::sync::watch;

use crate::{http_port, telemetry::names};

/// What this port is called and counts.
pub const PORT: http_port::Names = http_port::Names {
    section: "admin",
    refused: names::ADMIN_CONNECTIONS_REFUSED,
    source_refused: None,
    timeouts: names::ADMIN_TIMEOUTS,
};

/// Whether codes can be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// They can.
    Ready,
    /// They cannot, for this reason: one line, without data.
    Not(String),
}

/// Writes all metrics in the text format of Prometheus.
pub type RenderMetrics = std::sync::Arc<dyn Fn() -> String + Send + Sync>;

/// What the pages tell.
#[derive(Clone)]
pub struct Admin {
    ready: watch::Receiver<Readiness>,
    metrics: RenderMetrics,
}

impl fmt::Debug for Admin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Admin")
    }
}

/// The pages.
pub fn router(ready: watch::Receiver<Readiness>, metrics: RenderMetrics) -> Router {
    Router::new()
        .route("/live", get(|| async { "alive\n" }))
        .route("/ready", get(readiness))
        .route("/metrics", get(render))
        .with_state(Admin { ready, metrics })
}

async fn readiness(State(admin): State<Admin>) -> Response {
    match &*admin.ready.borrow() {
        Readiness::Ready => "ready\n".into_response(),
        Readiness::Not(reason) => {
            let page = format!("not ready: {reason}\n");
            (StatusCode::SERVICE_UNAVAILABLE, page).into_response()
        }
    }
}

async fn render(State(admin): State<Admin>) -> Response {
    let content_type = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    (content_type, (admin.metrics)()).into_response()
}
