//! The connections of the gRPC port: at most so many at a time, and each must begin to speak soon.
//!
//! Must not know: what is said on them.

use std::{
    fmt,
    future::Future,
    io,
    net::SocketAddr,
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
    task::JoinSet,
};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;

use super::tls::{PeerCertificate, ServerTls};
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
    /// `None` on loopback alone.
    tls: Option<Arc<ServerTls>>,
    /// Connections that do not speak TLS yet; each holds its place.
    handshakes: JoinSet<Option<Connection>>,
    is_full: bool,
}

/// Accepts connections. One more than there are places is closed before a byte is answered: a gRPC client then tells its
/// calls `UNAVAILABLE` at once, tries another address, and comes back with growing pauses. Left in the system's queue it
/// would hang until its deadline.
pub fn accept_within(
    limits: ConnectionLimits,
    tls: Option<Arc<ServerTls>>,
    listener: TcpListener,
) -> impl Stream<Item = io::Result<Connection>> {
    let door = Door {
        places: Arc::new(Semaphore::new(limits.max_connections)),
        listener,
        limits,
        tls,
        handshakes: JoinSet::new(),
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
            let stream = tokio::select! {
                // Those that have got far come first.
                biased;
                Some(greeted) = self.handshakes.join_next() => {
                    if let Ok(Some(connection)) = greeted {
                        return connection;
                    }
                    continue;
                }
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        tracing::error!(%error, "grpc: no connection can be accepted; are there file descriptors (LimitNOFILE)?");
                        tokio::time::sleep(AFTER_FAILED_ACCEPT).await;
                        continue;
                    }
                },
            };
            let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
                self.refuse();
                continue;
            };
            self.is_full = false;
            // A connection that is gone already tells so when it is read.
            let _ = stream.set_nodelay(true);
            let place = Place::taken(place);
            let Some(tls) = &self.tls else {
                return Connection::plain(stream, place, &self.limits);
            };
            let greeting = greet(stream, place, Arc::clone(tls), self.limits.clone());
            self.handshakes.spawn(greeting);
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

/// One of the places for connections, until it is dropped.
#[derive(Debug)]
struct Place(#[allow(dead_code)] OwnedSemaphorePermit); // held, never read

impl Place {
    fn taken(permit: OwnedSemaphorePermit) -> Self {
        metrics::gauge!(names::GRPC_CONNECTIONS).increment(1.0);
        Self(permit)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        metrics::gauge!(names::GRPC_CONNECTIONS).decrement(1.0);
    }
}

/// Speaks TLS on a connection; `None` where the peer does not, takes too long, or shows no certificate that is trusted. It is
/// not told which.
async fn greet(
    stream: TcpStream,
    place: Place,
    tls: Arc<ServerTls>,
    limits: ConnectionLimits,
) -> Option<Connection> {
    let address = stream.peer_addr().ok();
    let failed = |cause| {
        metrics::counter!(names::GRPC_HANDSHAKES_FAILED, "cause" => cause).increment(1);
    };
    let greeted = tokio::select! {
        greeted = tls.acceptor().accept(stream) => greeted,
        () = tokio::time::sleep(limits.arrival_timeout) => {
            failed("timeout");
            return None;
        }
        () = limits.closing.cancelled() => return None,
    };
    let stream = match greeted {
        Ok(stream) => stream,
        Err(error) => {
            failed("refused");
            tracing::debug!(%error, "grpc: a TLS handshake failed");
            return None;
        }
    };
    let chain = stream.get_ref().1.peer_certificates()?;
    let certificate = Arc::new(PeerCertificate::of(chain)?);
    Some(Connection {
        stream: Transport::Tls(Box::new(stream)),
        peer: Peer {
            address,
            certificate: Some(certificate),
        },
        arriving: Some(Arriving::begin(&limits)),
        _place: place,
    })
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Where it is.
    pub(super) address: Option<SocketAddr>,
    /// What it has shown, where TLS is spoken.
    pub(super) certificate: Option<Arc<PeerCertificate>>,
}

#[derive(Debug)]
enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection that holds one of the places.
#[derive(Debug)]
pub struct Connection {
    stream: Transport,
    peer: Peer,
    arriving: Option<Arriving>,
    _place: Place,
}

impl Connection {
    fn plain(stream: TcpStream, place: Place, limits: &ConnectionLimits) -> Self {
        Self {
            peer: Peer {
                address: stream.peer_addr().ok(),
                certificate: None,
            },
            stream: Transport::Plain(stream),
            arriving: Some(Arriving::begin(limits)),
            _place: place,
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = match &mut self.stream {
            Transport::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Transport::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        };
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
        match &mut self.stream {
            Transport::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Transport::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Transport::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Transport::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Transport::Plain(stream) => stream.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(context),
            Transport::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Transport::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
