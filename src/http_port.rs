//! A port for short HTTP requests: at most so many connections, each with one request, small heads and little time, so that
//! nobody can use it up. The operator's pages and the platforms' reports come in here.
//!
//! Must not know: what is asked and answered.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

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
    let places = Arc::new(Places::of(limits));
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
        let place = match Places::take(&places, source.ip()) {
            Ok(place) => place,
            Err(NoPlace::AtAll) => {
                metrics::counter!(names.refused).increment(1);
                continue;
            }
            Err(NoPlace::ForThisSource) => {
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

/// The places of a port, and who holds how many of them.
#[derive(Debug)]
struct Places {
    all: Arc<Semaphore>,
    per_source: usize,
    /// Only sources that hold a place, so it is never longer than there are places.
    held: Mutex<HashMap<IpAddr, usize>>,
}

/// A place that is held until this is dropped.
#[derive(Debug)]
struct Place {
    _of_all: OwnedSemaphorePermit,
    source: IpAddr,
    places: Arc<Places>,
}

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NoPlace {
    AtAll,
    ForThisSource,
}

impl Places {
    fn of(limits: Limits) -> Self {
        Self {
            all: Arc::new(Semaphore::new(limits.max_connections)),
            per_source: limits.max_connections_per_source.unwrap_or(usize::MAX),
            held: Mutex::default(),
        }
    }

    fn take(places: &Arc<Self>, address: IpAddr) -> Result<Place, NoPlace> {
        let source = source_of(address);
        let mut held = places.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held
            .get(&source)
            .is_some_and(|count| *count >= places.per_source)
        {
            return Err(NoPlace::ForThisSource);
        }
        let of_all = Arc::clone(&places.all)
            .try_acquire_owned()
            .map_err(|_| NoPlace::AtAll)?;
        *held.entry(source).or_default() += 1;
        Ok(Place {
            _of_all: of_all,
            source,
            places: Arc::clone(places),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self
            .places
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.source);
            }
        }
    }
}

/// Whom an address belongs to: over IPv6 whoever has one address has a whole network of 64 bits.
fn source_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
        IpAddr::V4(address) => IpAddr::V4(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(all: usize, per_source: Option<usize>) -> Arc<Places> {
        Arc::new(Places::of(Limits {
            max_connections: all,
            max_connections_per_source: per_source,
            max_header_bytes: 8192,
            timeout: Duration::from_secs(1),
        }))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_source_has_its_places_and_all_have_theirs() {
        let places = places(3, Some(2));
        let take = |source| Places::take(&places, address(source));
        let first = take("192.0.2.1").unwrap();
        // The same one, as a socket for both protocols writes it.
        let _second = take("::ffff:192.0.2.1").unwrap();
        assert_eq!(take("192.0.2.1").unwrap_err(), NoPlace::ForThisSource);
        let other = take("192.0.2.2").unwrap();
        assert_eq!(take("192.0.2.2").unwrap_err(), NoPlace::AtAll);
        drop(other);
        drop(first);
        let _again = take("192.0.2.1").unwrap();
        assert_eq!(take("192.0.2.1").unwrap_err(), NoPlace::ForThisSource);
        assert_eq!(
            places.held.lock().unwrap().len(),
            1,
            "who is gone is forgotten"
        );
    }

    #[test]
    fn one_network_of_ipv6_is_one_source() {
        let places = places(9, Some(1));
        let take = |source| Places::take(&places, address(source));
        let _first = take("2001:db8:0:1::1").unwrap();
        assert_eq!(
            take("2001:db8:0:1:ffff::2").unwrap_err(),
            NoPlace::ForThisSource
        );
        let _other = take("2001:db8:0:2::1").unwrap();
    }

    #[test]
    fn without_a_bound_one_source_may_have_all() {
        let places = places(2, None);
        let take = || Places::take(&places, address("192.0.2.1"));
        let _all = (take().unwrap(), take().unwrap());
        assert_eq!(take().unwrap_err(), NoPlace::AtAll);
    }
}
