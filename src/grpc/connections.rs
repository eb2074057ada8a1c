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
    time::{Sleep, sleep},
};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use super::{
    handshakes::{HandshakePlace, Handshakes},
    tls::{PeerCertificate, ServerTls},
};
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
    /// Most TLS handshakes at once from one source (`grpc.max_handshakes_per_source`).
    pub max_handshakes_per_source: usize,
    /// How long the beginning of a connection, its handshake included, may take to arrive (`grpc.arrival_timeout_ms`).
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
    greeting: JoinSet<Option<Connection>>,
    handshakes: Arc<Handshakes>,
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
        handshakes: Handshakes::new(limits.max_connections, limits.max_handshakes_per_source),
        listener,
        limits,
        tls,
        greeting: JoinSet::new(),
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
            let (stream, source) = tokio::select! {
                // Those that have got far come first.
                biased;
                Some(greeted) = self.greeting.join_next() => {
                    if let Ok(Some(connection)) = greeted {
                        return connection;
                    }
                    continue;
                }
                accepted = self.listener.accept() => match accepted {
                    Ok(accepted) => accepted,
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
            let accepted = Accepted {
                stream,
                source,
                place,
                deadline: Box::pin(sleep(self.limits.arrival_timeout)),
                closing: self.limits.closing.clone(),
            };
            let Some(tls) = &self.tls else {
                return accepted.plain();
            };
            match self.handshakes.take(source.ip()) {
                Ok(handshake) => {
                    self.greeting
                        .spawn(accepted.greeted(Arc::clone(tls), handshake));
                }
                Err(none) => {
                    let limit = none.label();
                    metrics::counter!(names::GRPC_HANDSHAKES_TURNED_AWAY, "limit" => limit)
                        .increment(1);
                }
            }
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
    deadline: Pin<Box<Sleep>>,
    closing: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Arriving {
    fn begin(deadline: Pin<Box<Sleep>>, closing: CancellationToken) -> Self {
        Self {
            missing_bytes: BEGINNING_BYTES,
            deadline,
            closing: Box::pin(closing.cancelled_owned()),
        }
    }

    /// Whether it is not waited for any more.
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        if self.closing.as_mut().poll(context).is_ready() {
            return true;
        }
        let is_late = self.deadline.as_mut().poll(context).is_ready();
        if is_late {
            metrics::counter!(names::GRPC_ARRIVAL_TIMEOUTS).increment(1);
        }
        is_late
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

/// A connection that has its place and has said nothing yet.
struct Accepted {
    stream: TcpStream,
    source: SocketAddr,
    place: Place,
    /// Until when its beginning must be there: one for all of it, so that a peer that is slow in one part has less for the next.
    deadline: Pin<Box<Sleep>>,
    closing: CancellationToken,
}

impl Accepted {
    /// Speaks TLS on it; `None` where the peer does not, takes too long, or shows no certificate that is trusted. It is not told
    /// which.
    async fn greeted(
        mut self,
        tls: Arc<ServerTls>,
        handshake: HandshakePlace,
    ) -> Option<Connection> {
        let failed = |cause| {
            metrics::counter!(names::GRPC_HANDSHAKES_FAILED, "cause" => cause).increment(1);
        };
        let greeted = tokio::select! {
            greeted = tls.acceptor().accept(self.stream) => greeted,
            () = &mut self.deadline => {
                failed("timeout");
                return None;
            }
            () = self.closing.cancelled() => return None,
        };
        // Its peer has shown who it is, or is gone.
        drop(handshake);
        let stream = match greeted {
            Ok(stream) => stream,
            Err(error) => {
                failed("refused");
                tracing::debug!(%error, "grpc: a TLS handshake failed");
                return None;
            }
        };
        let chain = stream.get_ref().1.peer_certificates();
        let Some(certificate) = chain.and_then(PeerCertificate::of) else {
            failed("refused");
            tracing::debug!("grpc: a client's certificates cannot be read");
            return None;
        };
        Some(Connection {
            stream: Transport::Tls(Box::new(stream)),
            peer: Peer {
                address: Some(self.source),
                certificate: Some(Arc::new(certificate)),
            },
            arriving: Some(Arriving::begin(self.deadline, self.closing)),
            _place: self.place,
        })
    }

    fn plain(self) -> Connection {
        Connection {
            peer: Peer {
                address: Some(self.source),
                certificate: None,
            },
            stream: Transport::Plain(self.stream),
            arriving: Some(Arriving::begin(self.deadline, self.closing)),
            _place: self.place,
        }
    }
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
        } else if arriving.is_over(context) {
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

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use rustls::{ClientConfig, RootCertStore, pki_types::PrivateKeyDer};
    use tokio::{io::AsyncReadExt as _, time::Instant};
    use tokio_rustls::{TlsConnector, client::TlsStream as ClientStream};

    use super::*;
    use crate::grpc::TlsMaterial;

    /// Nothing here waits for it.
    const LONG: Duration = Duration::from_secs(600);

    /// A server and a client of one authority, with the same certificate.
    fn both_sides() -> (Arc<ServerTls>, TlsConnector) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).unwrap();
        let issuer = rcgen::Issuer::new(params, &key);
        let own_key = rcgen::KeyPair::generate().unwrap();
        let own = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        let own = own.signed_by(&own_key, &issuer).unwrap();
        let material = TlsMaterial {
            certificates: own.pem().into_bytes(),
            private_key: own_key.serialize_pem().into_bytes().into(),
            client_authorities: authority.pem().into_bytes(),
            revocations: None,
        };
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(
                vec![own.der().clone()],
                PrivateKeyDer::try_from(own_key.serialize_der()).unwrap(),
            )
            .unwrap();
        client.alpn_protocols = vec![b"h2".to_vec()];
        let server = Arc::new(ServerTls::new(&material).unwrap());
        (server, TlsConnector::from(Arc::new(client)))
    }

    async fn accepted(arrival_timeout: Duration) -> (Accepted, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (accepted, client) = tokio::join!(listener.accept(), client);
        let (stream, source) = accepted.unwrap();
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let accepted = Accepted {
            stream,
            source,
            place: Place::taken(place),
            deadline: Box::pin(sleep(arrival_timeout)),
            closing: CancellationToken::new(),
        };
        (accepted, client.unwrap())
    }

    /// A connection before and after its handshake: its deadline, and who may be next from the same source.
    async fn greeted() -> (
        Instant,
        Connection,
        ClientStream<TcpStream>,
        Arc<Handshakes>,
    ) {
        let (server, client) = both_sides();
        let (accepted, stream) = accepted(LONG).await;
        let deadline = accepted.deadline.deadline();
        let handshakes = Handshakes::new(2, 1);
        let handshake = handshakes.take(accepted.source.ip()).unwrap();
        let connecting = client.connect("localhost".try_into().unwrap(), stream);
        let (connection, client) = tokio::join!(accepted.greeted(server, handshake), connecting);
        (deadline, connection.unwrap(), client.unwrap(), handshakes)
    }

    #[tokio::test]
    async fn handshake_and_beginning_have_one_deadline() {
        let (deadline, connection, _client, _) = greeted().await;
        let arriving = connection.arriving.as_ref().unwrap();
        assert_eq!(arriving.deadline.deadline(), deadline);
        let (late, _client) = accepted(Duration::ZERO).await;
        let mut late = pin!(late.plain());
        let ended = late.read(&mut [0; 9]).await;
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_peer_that_has_shown_who_it_is_leaves_its_place_for_handshakes() {
        let (_, connection, _client, handshakes) = greeted().await;
        let source = connection.peer.address.unwrap().ip();
        let _next = handshakes.take(source).unwrap();
    }
}
