//! The connections of the gRPC port: at most so many at a time, and each must begin to speak soon.
//!
//! Must not know: what is said on them.

use std::{
    fmt,
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{Stream, stream};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;
use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::telemetry::names;

/// What every HTTP/2 client sends first: the preface of 24 bytes and the head of a SETTINGS frame (RFC 9113, 3.4).
const BEGINNING_BYTES: usize = 24 + 9;

/// Rest after an accept that failed, as for want of file descriptors.
const AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(50);

/// Limits of the port.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    /// Most connections at once (`grpc.max_connections`).
    pub max_connections: usize,
    /// How long the beginning of a connection may take to arrive (`grpc.arrival_timeout_ms`).
    pub arrival_timeout: Duration,
    /// Cancelled when the port closes: connections that have not begun to speak by then are not waited for.
    pub closing: CancellationToken,
}

struct Door {
    listener: TcpListener,
    places: Arc<Semaphore>,
    limits: ConnectionLimits,
    is_full: bool,
}

/// Accepts connections. One more than there are places is closed before a byte is answered: a gRPC client then tells its
/// calls `UNAVAILABLE` at once, tries another address, and comes back with growing pauses. Left in the system's queue it
/// would hang until its deadline.
pub fn accept_within(
    limits: ConnectionLimits,
    listener: TcpListener,
) -> impl Stream<Item = io::Result<Connection>> {
    let door = Door {
        places: Arc::new(Semaphore::new(limits.max_connections)),
        listener,
        limits,
        is_full: false,
    };
    stream::unfold(door, |mut door| async {
        let accepted = door.accept().await;
        Some((Ok(accepted), door))
    })
}

impl Door {
    async fn accept(&mut self) -> Connection {
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::error!(%error, "grpc: no connection can be accepted; are there file descriptors (LimitNOFILE)?");
                    tokio::time::sleep(AFTER_FAILED_ACCEPT).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
                self.refuse();
                continue;
            };
            self.is_full = false;
            // A connection that is gone already tells so when it is read.
            let _ = stream.set_nodelay(true);
            metrics::gauge!(names::GRPC_CONNECTIONS).increment(1.0);
            return Connection {
                stream,
                arriving: Some(Arriving::begin(&self.limits)),
                _place: place,
            };
        }
    }

    /// Logs the first of a row of refusals only.
    fn refuse(&mut self) {
        metrics::counter!(names::GRPC_CONNECTIONS_REFUSED).increment(1);
        if !self.is_full {
            tracing::warn!(
                limit = self.limits.max_connections,
                "grpc: all places for connections are taken (grpc.max_connections); further clients are turned away"
            );
        }
        self.is_full = true;
    }
}

/// The beginning of a connection, until it has arrived.
struct Arriving {
    missing_bytes: usize,
    over: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Arriving {
    fn begin(limits: &ConnectionLimits) -> Self {
        let (timeout, closing) = (limits.arrival_timeout, limits.closing.clone());
        Self {
            missing_bytes: BEGINNING_BYTES,
            over: Box::pin(async move {
                tokio::select! {
                    () = tokio::time::sleep(timeout) => {
                        metrics::counter!(names::GRPC_ARRIVAL_TIMEOUTS).increment(1);
                    }
                    () = closing.cancelled() => {}
                }
            }),
        }
    }
}

impl fmt::Debug for Arriving {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Arriving({} bytes missing)", self.missing_bytes)
    }
}

/// A connection that holds one of the places.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    arriving: Option<Arriving>,
    _place: OwnedSemaphorePermit,
}

impl Drop for Connection {
    fn drop(&mut self) {
        metrics::gauge!(names::GRPC_CONNECTIONS).decrement(1.0);
    }
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let Some(arriving) = &mut self.arriving else {
            return read;
        };
        let read_bytes = buffer.filled().len() - before;
        arriving.missing_bytes = arriving.missing_bytes.saturating_sub(read_bytes);
        if arriving.missing_bytes == 0 {
            self.arriving = None;
        } else if arriving.over.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
