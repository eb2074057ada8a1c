//! One connection of the gRPC port: a place, a peer, and bytes that must begin to arrive soon and may be cut off.
//!
//! Must not know: what is said on it, how connections are accepted.

use std::{
    fmt,
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::Sleep,
};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use super::tls::PeerCertificate;
use crate::telemetry::names;

/// What every HTTP/2 client sends first: the preface of 24 bytes and the head of a SETTINGS frame (RFC 9113, 3.4).
const BEGINNING_BYTES: usize = 24 + 9;

/// The beginning of a connection, until it has arrived.
pub(super) struct Arriving {
    missing_bytes: usize,
    pub(super) deadline: Pin<Box<Sleep>>,
    closing: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Arriving {
    pub(super) fn begin(deadline: Pin<Box<Sleep>>, closing: CancellationToken) -> Self {
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
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Place {
    pub(super) fn taken(permit: OwnedSemaphorePermit) -> Self {
        metrics::gauge!(names::GRPC_CONNECTIONS).increment(1.0);
        Self { _permit: permit }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        metrics::gauge!(names::GRPC_CONNECTIONS).decrement(1.0);
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
pub(super) enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection that holds one of the places.
#[derive(Debug)]
pub struct Connection {
    pub(super) stream: Transport,
    pub(super) peer: Peer,
    pub(super) arriving: Option<Arriving>,
    pub(super) cut: Cut,
    pub(super) _place: Place,
}

/// Where a connection learns that it is cut off, whatever its peer does. It is asked by all that may wait for the peer; one task
/// does all of that.
pub(super) struct Cut(Pin<Box<WaitForCancellationFutureOwned>>);

impl Cut {
    pub(super) fn by(cut: CancellationToken) -> Self {
        Self(Box::pin(cut.cancelled_owned()))
    }

    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.0.as_mut().poll(context).is_ready() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}

impl fmt::Debug for Cut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Cut")
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
        self.cut.check(context)?;
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
        self.cut.check(context)?;
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
        self.cut.check(context)?;
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
        self.cut.check(context)?;
        match &mut self.stream {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(context),
            Transport::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.cut.check(context)?;
        match &mut self.stream {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Transport::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
