//! What every protocol answers alike: the right answer whole, half, slowly or without end, and pages of plain HTTP.
//!
//! Must not know: accounts, rules, how a protocol writes.

use std::{io, time::Duration};

use axum::{
    body::Body,
    http::{
        HeaderValue, Response, StatusCode,
        header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER},
    },
};
use bytes::Bytes;
use futures_util::stream;

use super::{entrance::ConnectionClosed, script::Action, visit::Visit};

/// Size of one piece of an answer that comes slowly, in bytes.
const DRIP_BYTES: usize = 16;

/// Size of one piece of an answer that never seems to end, in bytes.
const FLOOD_PIECE_BYTES: usize = 50_000;

const BYTES_IN_MEGABYTE: u64 = 1_000_000;

/// A right answer as its protocol writes it, and how one of the same kind would begin that never ends.
#[derive(Debug)]
pub(super) struct Written {
    pub status: u16,
    pub media_type: &'static str,
    pub body: Bytes,
    /// Written once, then the piece again and again.
    pub endless: (&'static str, &'static str),
}

impl Written {
    /// The whole answer.
    pub fn whole(self) -> Response<Body> {
        let Self {
            status,
            media_type,
            body,
            ..
        } = self;
        whole(status, media_type, body)
    }
}

/// A whole answer.
pub(super) fn whole(
    status: u16,
    media_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Body> {
    let mut response = with_type(media_type, Body::from(body.into()));
    *response.status_mut() = status_code(status);
    response
}

/// Ends the visit and answers, rightly or as the script wants; `codes` are those that the right answer tells.
///
/// The visit ends before the last byte is written: a client that has read the whole answer may call again at once.
pub(super) fn reply(
    visit: Visit,
    codes: &[i32],
    right: Written,
    how: Option<&Action>,
) -> Result<Response<Body>, ConnectionClosed> {
    let told: Vec<_> = codes.iter().copied().map(Some).collect();
    let response = match how {
        Some(Action::DropAfterReading) => {
            visit.dropped();
            return Err(ConnectionClosed);
        }
        Some(Action::PartialAnswer) => {
            visit.dropped();
            return Ok(partial(right));
        }
        Some(Action::SlowDrip { pause }) => {
            return Ok(dripping(right, *pause, move || visit.answered(told)));
        }
        Some(Action::Flood { megabytes }) => {
            return Ok(flood(&right, *megabytes, move || visit.answered([])));
        }
        Some(Action::HtmlPage) => html_page(),
        Some(Action::HttpStatus {
            status,
            retry_after,
        }) => self::status(*status, *retry_after),
        // The other actions are not answers, or not of this protocol.
        _ => {
            visit.answered(told);
            return Ok(right.whole());
        }
    };
    visit.answered([]);
    Ok(response)
}

/// A page for people.
fn html_page() -> Response<Body> {
    let page = "<!DOCTYPE html><html><head><title>Aviso</title></head>\
                <body><p>Servicio en mantenimiento<br></body></html>";
    with_type("text/html; charset=utf-8", Body::from(page))
}

/// Another status with a short plain body; what is no status counts as 500.
pub(super) fn status(status: u16, retry_after: Option<Duration>) -> Response<Body> {
    let status = status_code(status);
    let reason = status.canonical_reason().unwrap_or("Error");
    let mut response = with_type("text/plain", Body::from(reason));
    *response.status_mut() = status;
    if let Some(pause) = retry_after {
        let seconds = HeaderValue::from(pause.as_secs());
        response.headers_mut().insert(RETRY_AFTER, seconds);
    }
    response
}

/// Marks an answer as the last of its connection.
pub(super) fn and_close(mut response: Response<Body>) -> Response<Body> {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, close);
    response
}

/// The length of the whole body, half of the body, the end of the connection.
fn partial(right: Written) -> Response<Body> {
    let (head, mut half) = head_and_body(right);
    let length = half.len();
    half.truncate(length / 2);
    let pieces = stream::unfold(Some(half), |half| async move {
        if let Some(half) = half {
            return Some((Ok(half), None));
        }
        // The half must be on its way before the connection breaks.
        tokio::task::yield_now().await;
        Some((Err(io::Error::from(io::ErrorKind::ConnectionAborted)), None))
    });
    with_length(head, length, Body::from_stream(pieces))
}

/// The body in small pieces with a pause before each; `at_end` runs before the last one.
fn dripping(
    right: Written,
    pause: Duration,
    at_end: impl FnOnce() + Send + 'static,
) -> Response<Body> {
    let (head, body) = head_and_body(right);
    let length = body.len();
    let state = (body, Some(at_end));
    let pieces = stream::unfold(state, move |(mut rest, mut at_end)| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(pause).await;
        let piece = rest.split_to(rest.len().min(DRIP_BYTES));
        if rest.is_empty()
            && let Some(at_end) = at_end.take()
        {
            at_end();
        }
        Some((Ok::<_, io::Error>(piece), (rest, at_end)))
    });
    with_length(head, length, Body::from_stream(pieces))
}

/// Megabytes of what begins as a right answer; `at_end` runs before the last piece.
fn flood(
    right: &Written,
    megabytes: u32,
    at_end: impl FnOnce() + Send + 'static,
) -> Response<Body> {
    let (begin, piece) = right.endless;
    let piece = Bytes::from(piece.repeat(FLOOD_PIECE_BYTES / piece.len()));
    let total = u64::from(megabytes) * BYTES_IN_MEGABYTE;
    let state = (Bytes::from_static(begin.as_bytes()), 0_u64, Some(at_end));
    let pieces = stream::unfold(state, move |(next, sent, mut at_end)| {
        let piece = piece.clone();
        async move {
            at_end.as_ref()?;
            let sent = sent + next.len() as u64;
            if sent >= total
                && let Some(at_end) = at_end.take()
            {
                at_end();
            }
            Some((Ok::<_, io::Error>(next), (piece, sent, at_end)))
        }
    });
    with_type(right.media_type, Body::from_stream(pieces))
}

fn with_type(media_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let media_type = HeaderValue::from_static(media_type);
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response
}

/// The head of the right answer, still without a body, and the body.
fn head_and_body(right: Written) -> (Response<Body>, Bytes) {
    let head = whole(right.status, right.media_type, String::new());
    (head, right.body)
}

fn with_length(head: Response<Body>, length: usize, body: Body) -> Response<Body> {
    let mut response = head.map(|_| body);
    let length = HeaderValue::from(length);
    response.headers_mut().insert(CONTENT_LENGTH, length);
    response
}

/// What is no status counts as 500.
fn status_code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
