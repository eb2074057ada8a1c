//! A port for short HTTP requests: at most so many connections, each with one request, small heads and little time, so that
//! nobody can use it up. The operator's pages and the platforms' reports come in here.
//!
//! Must not know: what is asked and answered.

use std::{net::SocketAddr, time::Duration};

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::places::{AddressHolder, Full, Places};

/// Rest after an accept that failed, as for want of file descriptors.
const AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(50);

/// Limits of the port.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most connections at once (`max_connections`); one more is closed at once.
    pub max_connections: usize,
    /// Most of them from one source, where that is bounded (`max_connections_per_source`). Places are taken before anything is
    /// known of a request, so that without this one source could take them all.
    pub max_connections_per_source: Option<usize>,
    /// Most bytes of a request's head (`max_header_bytes`), at least 8192.
    pub max_header_bytes: usize,
    /// How long a request and its answer may take together (`timeout_ms`).
    pub timeout: Duration,
}

/// What the port is called in the log, and what it counts.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    /// The section of its keys.
    pub section: &'static str,
    /// Counter of connections that were turned away because all places were taken.
    pub refused: &'static str,
    /// Counter of connections that were turned away because their source had all the places that one may have; none where that
    /// is not bounded.
    pub source_refused: Option<&'static str>,
    /// Counter of connections that took too long.
    pub timeouts: &'static str,
}

/// Where a request comes from, for whoever wants to know.
#[derive(Debug, Clone, Copy)]
pub struct Source(pub SocketAddr);

/// Serves the pages until told to stop; each connection carries one request. Returns when the last has been answered.
pub async fn serve(
    listener: TcpListener,
    pages: Router,
    (limits, names): (Limits, Names),
    stop: CancellationToken,
) {
    let of_one = limits.max_connections_per_source.unwrap_or(usize::MAX);
    let places = Places::new(limits.max_connections, of_one);
    let connections = TaskTracker::new();
    loop {
        let (stream, source) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::error!(section = names.section, %error, "http: no connection can be accepted; are there file descriptors (LimitNOFILE)?");
                    tokio::time::sleep(AFTER_FAILED_ACCEPT).await;
                    continue;
                }
            }
        };
        let place = match places.take(AddressHolder::from(source.ip())) {
            Ok(place) => place,
            Err(Full::OfAll) => {
                metrics::counter!(names.refused).increment(1);
                continue;
            }
            Err(Full::OfOne) => {
                let name = names.source_refused.unwrap_or(names.refused);
                metrics::counter!(name).increment(1);
                continue;
            }
        };
        let pages = pages.clone().layer(Extension(Source(source)));
        connections.spawn(async move {
            if !answer(stream, pages, limits).await {
                metrics::counter!(names.timeouts).increment(1);
            }
            drop(place);
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// Answers one request; false where that took too long.
async fn answer(stream: TcpStream, pages: Router, limits: Limits) -> bool {
    let connection = http1::Builder::new()
        .keep_alive(false)
        // The time-out of the whole connection covers the head too.
        .header_read_timeout(None)
        .max_buf_size(limits.max_header_bytes.max(8192))
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(pages));
    // What a client does wrong on its own connection concerns nobody else.
    tokio::time::timeout(limits.timeout, connection)
        .await
        .is_ok()
}
