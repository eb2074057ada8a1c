//! A request's body that knows whether a connection has begun to write it.
//!
//! Must not know: what it carries, HTTP beyond the trait of bodies.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use thiserror::Error;
use zeroize::Zeroizing;

/// Opened by the connection that takes the body, or closed by us when the exchange ended first; never both.
///
/// The connection runs as a task of its own, so that "has it begun?" would be a race with a plain flag.
#[derive(Debug, Default)]
pub(super) struct Gate(AtomicU8);

impl Gate {
    const UNOPENED: u8 = 0;
    const OPENED: u8 = 1;
    const CLOSED: u8 = 2;

    /// Lets the body through; false where the exchange is over.
    fn open(&self) -> bool {
        self.turn(Self::OPENED)
    }

    /// Keeps the body back for ever; false where it is already on its way.
    pub(super) fn close(&self) -> bool {
        self.turn(Self::CLOSED)
    }

    fn turn(&self, to: u8) -> bool {
        self.0
            .compare_exchange(Self::UNOPENED, to, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

/// A body in one piece that tells through its gate when a connection begins to write it.
///
/// hyper asks for it only when a connection stands and the request's head is to be written.
pub(super) struct GatedBody {
    bytes: Option<Bytes>,
    gate: Arc<Gate>,
}

impl GatedBody {
    pub(super) fn new(bytes: Zeroizing<Vec<u8>>, gate: Arc<Gate>) -> Self {
        Self {
            bytes: Some(Bytes::from_owner(bytes)),
            gate,
        }
    }
}

/// The exchange ended before the body was begun.
#[derive(Debug, Error)]
#[error("the exchange was given up before its body was begun")]
pub(super) struct GivenUp;

impl Body for GatedBody {
    type Data = Bytes;
    type Error = GivenUp;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, GivenUp>>> {
        Poll::Ready(self.bytes.take().map(|bytes| {
            if self.gate.open() {
                Ok(Frame::data(bytes))
            } else {
                Err(GivenUp)
            }
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    /// Exact, so that `Content-Length` is sent and not chunks.
    fn size_hint(&self) -> SizeHint {
        let left = self.bytes.as_ref().map_or(0, Bytes::len);
        SizeHint::with_exact(left as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_gate_keeps_the_body_back_and_an_open_one_cannot_be_closed() {
        let gate = Arc::new(Gate::default());
        let mut body = GatedBody::new(Zeroizing::new(b"secret".to_vec()), Arc::clone(&gate));
        assert_eq!(body.size_hint().exact(), Some(6));
        assert!(gate.close());
        let mut context = Context::from_waker(std::task::Waker::noop());
        let frame = Pin::new(&mut body).poll_frame(&mut context);
        assert!(matches!(frame, Poll::Ready(Some(Err(GivenUp)))));

        let gate = Gate::default();
        assert!(gate.open());
        assert!(!gate.close());
    }
}
