//! The connections of the operator's port: few, short, with small heads, so that nobody can use them up.
//!
//! Must not know: what the pages tell.

use std::{sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::telemetry::names;

/// Rest after an accept that failed, as for want of file descriptors.
const AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(50);

/// Limits of the port.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most connections at once (`admin.max_connections`); one more is closed at once.
    pub max_connections: usize,
    /// Most bytes of a request's head (`admin.max_header_bytes`), at least 8192.
    pub max_header_bytes: usize,
    /// How long a request and its answer may take together (`admin.timeout_ms`).
    pub timeout: Duration,
}

/// Serves the pages until told to stop; each connection carries one request. Returns when the last has been answered.
pub async fn serve(listener: TcpListener, pages: Router, limits: Limits, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(limits.max_connections));
    let connections = TaskTracker::new();
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::error!(%error, "admin: no connection can be accepted; are there file descriptors (LimitNOFILE)?");
                    tokio::time::sleep(AFTER_FAILED_ACCEPT).await;
                    continue;
                }
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            metrics::counter!(names::ADMIN_CONNECTIONS_REFUSED).increment(1);
            continue;
        };
        let pages = pages.clone();
        connections.spawn(async move {
            answer(stream, pages, limits).await;
            drop(place);
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn answer(stream: TcpStream, pages: Router, limits: Limits) {
    let connection = http1::Builder::new()
        .keep_alive(false)
        // The time-out of the whole connection covers the head too.
        .header_read_timeout(None)
        .max_buf_size(limits.max_header_bytes.max(8192))
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(pages));
    // What a client does wrong on its own connection concerns nobody else.
    if tokio::time::timeout(limits.timeout, connection)
        .await
        .is_err()
    {
        metrics::counter!(names::ADMIN_TIMEOUTS).increment(1);
    }
}
