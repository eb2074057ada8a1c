//! Limits on how a call arrives: its headers not too long, its message neither too slowly nor too long.
//!
//! Must not know: what is in it.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::HeaderMap,
    middleware::{self, Next},
    response::Response,
};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::{sync::Semaphore, time::Sleep};
use tonic::{Status, service::Routes};

use super::{Limits, certified, refusals};
use crate::{intake::Refusal, telemetry::names};

/// Our own services, whose requests are one message each; those of others may keep a request open on purpose.
const OUR_PACKAGE: &str = "/clave.otp.v1.";

/// The service whose messages may hold files.
const CERTIFIED: &str = "/clave.otp.v1.CertifiedMessageService/";

/// What a call is let in by.
#[derive(Clone)]
struct Gate {
    limits: Limits,
    /// For calls whose messages may hold files: so many are in memory at a time.
    certified_places: Arc<Semaphore>,
}

/// The services, behind the limits.
pub(super) fn bounded(routes: Routes, limits: Limits) -> Routes {
    let services: Router = routes.prepare().into_axum_router();
    let gate = Gate {
        limits,
        certified_places: Arc::new(Semaphore::new(limits.max_certified_calls)),
    };
    services
        .layer(middleware::from_fn_with_state(gate, bound))
        .into()
}

async fn bound(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let limits = gate.limits;
    let path = request.uri().path();
    if !path.starts_with(OUR_PACKAGE) {
        return next.run(request).await;
    }
    let is_certified = path.starts_with(CERTIFIED);
    if header_bytes(request.headers()) > limits.max_header_bytes as usize {
        metrics::counter!(names::GRPC_HEADERS_TOO_LONG).increment(1);
        let problem = format!(
            "are longer than {} bytes (grpc.max_header_bytes)",
            limits.max_header_bytes
        );
        return refusals::status(&Refusal::field("headers", problem)).into_http();
    }
    let (most, key) = if is_certified {
        (
            limits.max_certified_message_bytes,
            "certified.max_message_bytes",
        )
    } else {
        (limits.max_message_bytes, "grpc.max_message_bytes")
    };
    let place = is_certified.then(|| Arc::clone(&gate.certified_places).try_acquire_owned());
    if matches!(place, Some(Err(_))) {
        return certified::too_many_calls("certified.max_calls").into_http();
    }
    let request = request.map(|message| {
        Body::new(Arriving {
            message,
            timeout: limits.arrival_timeout,
            over: None,
        })
    });
    metrics::gauge!(names::GRPC_CALLS).increment(1.0);
    let _ends = CallEnds;
    let response = next.run(request).await;
    if is_too_long(&response) {
        let problem = format!("is longer than {most} bytes ({key})");
        return refusals::status(&Refusal::field("request", problem)).into_http();
    }
    response
}

/// The length of a header list as HTTP/2 counts it (RFC 9113, 6.5.2), without the four that every call has.
fn header_bytes(headers: &HeaderMap) -> usize {
    const EACH: usize = 32;
    headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + EACH)
        .sum()
}

/// Also when the caller leaves first.
struct CallEnds;

impl Drop for CallEnds {
    fn drop(&mut self) {
        metrics::gauge!(names::GRPC_CALLS).decrement(1.0);
    }
}

/// The transport answers `OUT_OF_RANGE` to a message over its limit, without the details that our own refusals have.
fn is_too_long(response: &Response) -> bool {
    let out_of_range = (tonic::Code::OutOfRange as i32).to_string();
    response
        .headers()
        .get(Status::GRPC_STATUS)
        .is_some_and(|status| status.as_bytes() == out_of_range.as_bytes())
        && !response.headers().contains_key(Status::GRPC_STATUS_DETAILS)
}

/// A message that must have arrived within a time, counted from the first time that it is waited for.
struct Arriving {
    message: Body,
    timeout: Duration,
    over: Option<Pin<Box<Sleep>>>,
}

impl http_body::Body for Arriving {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = Pin::new(&mut self.message).poll_frame(context);
        if let Poll::Ready(frame) = frame {
            return Poll::Ready(frame.map(|frame| frame.map_err(|e| Status::from_error(e.into()))));
        }
        let timeout = self.timeout;
        let over = self
            .over
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        if over.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        metrics::counter!(names::GRPC_ARRIVAL_TIMEOUTS).increment(1);
        Poll::Ready(Some(Err(Status::deadline_exceeded(
            "the message took longer than grpc.arrival_timeout_ms to arrive; nothing was done",
        ))))
    }

    fn is_end_stream(&self) -> bool {
        self.message.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.message.size_hint()
    }
}
