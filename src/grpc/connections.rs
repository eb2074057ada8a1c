//! The connections of the gRPC port: at most so many at a time, and each must begin to speak soon.
//!
//! Must not know: what is said on them.

use std::{io, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{Sleep, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    connection::{Arriving, Connection, Cut, Peer, Place, Transport},
    tls::{PeerCertificate, ServerTls},
};
use crate::{
    places::{self, AddressHolder, Full, Places},
    telemetry::names,
};

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
    /// Cancelled when no connection is waited for any more: whatever is still open then is cut off.
    pub cut: CancellationToken,
}

/// Places for TLS handshakes under way: who has not shown a certificate yet may not take the places of those who have.
type Handshakes = Places<AddressHolder>;

/// All sources together get half of the places for connections: strangers, however many, leave the other half to callers who
/// have shown who they are. More would be of no use: a handshake takes some round trips, a connection of a caller stays.
fn handshakes(limits: &ConnectionLimits) -> Arc<Handshakes> {
    let most = limits.max_connections.div_ceil(2);
    Places::new(most, limits.max_handshakes_per_source)
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
        handshakes: handshakes(&limits),
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
                cut: self.limits.cut.clone(),
            };
            let Some(tls) = &self.tls else {
                return accepted.plain();
            };
            match self.handshakes.take(source.ip().into()) {
                Ok(handshake) => {
                    self.greeting
                        .spawn(accepted.greeted(Arc::clone(tls), handshake));
                }
                Err(full) => {
                    let limit = match full {
                        Full::OfOne => "source",
                        Full::OfAll => "all",
                    };
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

/// A connection that has its place and has said nothing yet.
struct Accepted {
    stream: TcpStream,
    source: SocketAddr,
    place: Place,
    /// Until when its beginning must be there: one for all of it, so that a peer that is slow in one part has less for the next.
    deadline: Pin<Box<Sleep>>,
    closing: CancellationToken,
    cut: CancellationToken,
}

impl Accepted {
    /// Speaks TLS on it; `None` where the peer does not, takes too long, or shows no certificate that is trusted. It is not told
    /// which.
    async fn greeted(
        mut self,
        tls: Arc<ServerTls>,
        handshake: places::Place<AddressHolder>,
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
            cut: Cut::by(self.cut),
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
            cut: Cut::by(self.cut),
            _place: self.place,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use rustls::{ClientConfig, RootCertStore, pki_types::PrivateKeyDer};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        time::Instant,
    };
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
            cut: CancellationToken::new(),
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
        let handshakes = Places::new(1, 1);
        let handshake = handshakes.take(accepted.source.ip().into()).unwrap();
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
        let _next = handshakes.take(source.into()).unwrap();
    }

    #[test]
    fn strangers_have_half_of_the_places_and_one_source_a_part_of_them() {
        let limits = |max_connections| ConnectionLimits {
            max_connections,
            max_handshakes_per_source: 2,
            arrival_timeout: LONG,
            closing: CancellationToken::new(),
            cut: CancellationToken::new(),
        };
        let take = |places: &Arc<Handshakes>, last: u8| {
            places.take(AddressHolder::from(std::net::IpAddr::from([
                192, 0, 2, last,
            ])))
        };
        let five = handshakes(&limits(5));
        let held = [1, 1].map(|source| take(&five, source).unwrap());
        assert_eq!(take(&five, 1).unwrap_err(), Full::OfOne);
        let _other = take(&five, 2).unwrap();
        assert_eq!(take(&five, 3).unwrap_err(), Full::OfAll);
        drop(held);
        // With one connection there is one handshake.
        let one = handshakes(&limits(1));
        let _held = take(&one, 1).unwrap();
        assert_eq!(take(&one, 2).unwrap_err(), Full::OfAll);
    }

    /// Fails at once, though it could wait for its peer for ever.
    async fn assert_is_cut(connection: Connection) {
        let mut connection = pin!(connection);
        let aborted = io::ErrorKind::ConnectionAborted;
        let read = connection.read(&mut [0; 9]).await;
        assert_eq!(read.unwrap_err().kind(), aborted);
        let written = connection.write(b"x").await;
        assert_eq!(written.unwrap_err().kind(), aborted);
        assert_eq!(connection.flush().await.unwrap_err().kind(), aborted);
        assert_eq!(connection.shutdown().await.unwrap_err().kind(), aborted);
    }

    #[tokio::test]
    async fn a_connection_that_is_cut_off_waits_for_nobody() {
        let (accepted, _client) = accepted(LONG).await;
        let cut = accepted.cut.clone();
        let mut connection = Box::new(accepted.plain());
        {
            // A peer that does not read: what is written stays here.
            let full = async { while connection.write(&[0; 8192]).await.is_ok() {} };
            let ((), ()) = tokio::join!(full, async {
                tokio::task::yield_now().await;
                cut.cancel();
            });
        }
        assert_is_cut(*connection).await;
    }
}
