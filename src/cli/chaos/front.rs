//! What stands between the service and a simulated platform: it passes on what comes, or breaks it on the way.
//!
//! Must not know: what is said, who says it.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::Sleep,
};

use super::{certificates::Certificates, installation::free_port, line::Line};

/// Most connections at a time; further ones wait.
const CONNECTIONS: usize = 256;
/// Longest stay of a connection: longer than any request, and than any life of the service.
const LONGEST_STAY: Duration = Duration::from_secs(60);
/// Longest wait for the first bytes of a client, and for a port to be had again.
const PATIENCE: Duration = Duration::from_secs(5);
/// What a client that begins with TLS is answered by something that does not speak it.
const NOT_TLS: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// How long which line stays as it is.
type Wanted = (Option<Line>, Option<Duration>);

/// Dropping it closes the port and every connection.
#[derive(Debug)]
pub(super) struct Front {
    address: SocketAddr,
    wanted: watch::Sender<Wanted>,
    /// What is so at last.
    applied: watch::Receiver<Result<Option<Line>, String>>,
    resets: Arc<AtomicUsize>,
    /// Its task ends with it.
    _serving: JoinSet<()>,
}

/// What every connection needs.
#[derive(Clone)]
struct Way {
    target: SocketAddr,
    certificates: Option<Arc<Certificates>>,
    resets: Arc<AtomicUsize>,
}

impl Front {
    /// Stands in front of what listens on `target`; over TLS where there are certificates.
    pub(super) async fn before(
        target: SocketAddr,
        certificates: Option<Arc<Certificates>>,
    ) -> io::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let listener = TcpListener::bind(address).await?;
        let (wanted, to_apply) = watch::channel((None, None));
        let (apply, applied) = watch::channel(Ok(None));
        let resets = Arc::new(AtomicUsize::new(0));
        let way = Way {
            target,
            certificates,
            resets: Arc::clone(&resets),
        };
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, address, to_apply, apply, way));
        Ok(Self {
            address,
            wanted,
            applied,
            resets,
            _serving: serving,
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on new connections meet this, for so long where that is said; returns when it is so. A host name is not a
    /// matter of this place.
    pub(super) async fn set(
        &self,
        line: Option<Line>,
        lasts: Option<Duration>,
    ) -> Result<(), String> {
        let line = line.filter(|line| *line != Line::NoName);
        self.wanted.send_replace((line, lasts));
        let mut applied = self.applied.clone();
        let so = applied.wait_for(|so| so.as_ref().map_or(true, |so| *so == line));
        match tokio::time::timeout(PATIENCE * 2, so).await {
            Ok(Ok(so)) => so.clone().map(|_| ()),
            _ => Err("the port before a platform does not do what it should".into()),
        }
    }

    /// Connections that were reset so far.
    pub(super) fn resets(&self) -> usize {
        self.resets.load(Ordering::Relaxed)
    }
}

async fn serve(
    listener: TcpListener,
    address: SocketAddr,
    mut wanted: watch::Receiver<Wanted>,
    applied: watch::Sender<Result<Option<Line>, String>>,
    way: Way,
) {
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut heals: Option<Pin<Box<Sleep>>> = None;
    let mut line = None;
    loop {
        if line == Some(Line::Refused) {
            listener = None;
        } else if listener.is_none() {
            match again(address).await {
                Ok(again) => listener = Some(again),
                Err(error) => {
                    let problem = format!("port {}: {error}", address.port());
                    applied.send_modify(|so| *so = Err(problem));
                    return;
                }
            }
        }
        applied.send_modify(|so| *so = Ok(line));
        let accepted = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        let healed = async {
            match &mut heals {
                Some(heals) => heals.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            changed = wanted.changed() => {
                if changed.is_err() {
                    return;
                }
                let lasts;
                (line, lasts) = *wanted.borrow_and_update();
                heals = lasts.map(|lasts| Box::pin(tokio::time::sleep(lasts)));
            }
            () = healed => (line, heals) = (None, None),
            accepted = accepted => {
                while connections.try_join_next().is_some() {}
                let Ok((client, _)) = accepted else {
                    // Too many open files: some will close.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                };
                let (way, places) = (way.clone(), Arc::clone(&places));
                connections.spawn(async move {
                    let Ok(_place) = places.acquire().await else {
                        return;
                    };
                    // However it ends, both sides see it: that is all there is to tell.
                    let _ = tokio::time::timeout(LONGEST_STAY, way.carry(client, line)).await;
                });
            }
        }
    }
}

/// Listens there again; somebody may hold the port for a moment.
async fn again(address: SocketAddr) -> io::Result<TcpListener> {
    let free = async {
        loop {
            if let Ok(listener) = TcpListener::bind(address).await {
                return listener;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    Ok(tokio::time::timeout(PATIENCE, free).await?)
}

impl Way {
    async fn carry(&self, mut client: TcpStream, line: Option<Line>) -> io::Result<()> {
        match (line, &self.certificates) {
            (Some(Line::Reset), _) => {
                self.resets.fetch_add(1, Ordering::Relaxed);
                client.set_zero_linger()
            }
            (Some(Line::NoTls), _) => {
                let mut hello = [0; 1024];
                let read = tokio::time::timeout(PATIENCE, client.read(&mut hello)).await;
                read.unwrap_or(Ok(0))?;
                client.write_all(NOT_TLS).await?;
                client.shutdown().await
            }
            (Some(Line::WrongCertificate), Some(certificates)) => {
                // A client that took it would find nobody behind it, and the judge its message nowhere.
                certificates.wrong().accept(client).await.map(|_| ())
            }
            (_, Some(certificates)) => {
                client.set_nodelay(true)?;
                self.pass_on(certificates.right().accept(client).await?)
                    .await
            }
            (_, None) => {
                client.set_nodelay(true)?;
                self.pass_on(client).await
            }
        }
    }

    async fn pass_on(&self, mut client: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
        let mut platform = TcpStream::connect(self.target).await?;
        platform.set_nodelay(true)?;
        copy_bidirectional(&mut client, &mut platform)
            .await
            .map(|_| ())
    }
}
