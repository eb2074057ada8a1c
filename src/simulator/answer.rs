//! Writes the platform's answers, the right ones and the wrong ones, by hand.
//!
//! Must not know: accounts, rules, which answer is due. Only ASCII is written, so that every encoding reads it alike.

use std::{fmt::Write as _, io, time::Duration};

use axum::{
    body::Body,
    http::{
        HeaderValue, Response, StatusCode,
        header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER},
    },
};
use bytes::Bytes;
use futures_util::stream;

/// The platform's answers are taken to be encoded as the requests of its own clients are (confidence C).
const DECLARATION: &str = r#"<?xml version="1.0" encoding="ISO-8859-15"?>"#;

/// Size of one piece of an answer that comes slowly, in bytes.
const DRIP_BYTES: usize = 16;

/// Size of one piece of an answer that never seems to end, in bytes.
const FLOOD_PIECE_BYTES: usize = 50_000;

const BYTES_IN_MEGABYTE: u64 = 1_000_000;

/// A whole answer with this body.
pub(super) fn whole(body: String) -> Response<Body> {
    with_type("text/xml", Body::from(body))
}

/// An array with these codes.
pub(super) fn array(codes: &[i32]) -> String {
    let items: String = codes.iter().copied().map(int).collect();
    response(&array_of(&items))
}

/// An array whose first code is a string.
pub(super) fn array_of_wrong_type(codes: &[i32]) -> String {
    let mut items = String::new();
    for (index, code) in codes.iter().enumerate() {
        if index == 0 {
            // Writing to a string cannot fail.
            let _ = write!(items, "<value><string>{code}</string></value>");
        } else {
            items.push_str(&int(*code));
        }
    }
    response(&array_of(&items))
}

/// One int.
pub(super) fn bare_int(code: i32) -> String {
    response(&int(code))
}

/// A fault.
pub(super) fn fault(code: i32, text: &str) -> String {
    let text = escape(text);
    format!(
        "{DECLARATION}<methodResponse><fault><value><struct>\
         <member><name>faultCode</name><value><int>{code}</int></value></member>\
         <member><name>faultString</name><value><string>{text}</string></value></member>\
         </struct></value></fault></methodResponse>"
    )
}

/// XML whose elements do not close in order.
pub(super) fn malformed() -> String {
    format!("{DECLARATION}<methodResponse><params></methodResponse></params>")
}

/// A page for people.
pub(super) fn html_page() -> Response<Body> {
    let page = "<!DOCTYPE html><html><head><title>Aviso</title></head>\
                <body><p>Servicio en mantenimiento<br></body></html>";
    with_type("text/html; charset=utf-8", Body::from(page))
}

/// Another status with a short plain body; what is no status counts as 500.
pub(super) fn status(status: u16, retry_after: Option<Duration>) -> Response<Body> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
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
pub(super) fn partial(body: String) -> Response<Body> {
    let length = body.len();
    let mut half = Bytes::from(body);
    half.truncate(length / 2);
    let pieces = stream::unfold(Some(half), |half| async move {
        if let Some(half) = half {
            return Some((Ok(half), None));
        }
        // The half must be on its way before the connection breaks.
        tokio::task::yield_now().await;
        Some((Err(io::Error::from(io::ErrorKind::ConnectionAborted)), None))
    });
    with_length(length, Body::from_stream(pieces))
}

/// The body in small pieces with a pause before each; `at_end` runs before the last one.
pub(super) fn dripping(
    body: String,
    pause: Duration,
    at_end: impl FnOnce() + Send + 'static,
) -> Response<Body> {
    let length = body.len();
    let state = (Bytes::from(body), Some(at_end));
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
    with_length(length, Body::from_stream(pieces))
}

/// Megabytes of what begins as a right answer; `at_end` runs before the last piece.
pub(super) fn flood(megabytes: u32, at_end: impl FnOnce() + Send + 'static) -> Response<Body> {
    let piece = Bytes::from(int(0).repeat(FLOOD_PIECE_BYTES / int(0).len()));
    let begin = format!("{DECLARATION}<methodResponse><params><param><value><array><data>");
    let total = u64::from(megabytes) * BYTES_IN_MEGABYTE;
    let state = (Bytes::from(begin), 0_u64, Some(at_end));
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
    with_type("text/xml", Body::from_stream(pieces))
}

fn with_type(media_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let media_type = HeaderValue::from_static(media_type);
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response
}

fn with_length(length: usize, body: Body) -> Response<Body> {
    let mut response = with_type("text/xml", body);
    let length = HeaderValue::from(length);
    response.headers_mut().insert(CONTENT_LENGTH, length);
    response
}

fn response(value: &str) -> String {
    format!("{DECLARATION}<methodResponse><params><param>{value}</param></params></methodResponse>")
}

fn array_of(items: &str) -> String {
    format!("<value><array><data>{items}</data></array></value>")
}

fn int(code: i32) -> String {
    format!("<value><int>{code}</int></value>")
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            ' '..='~' => escaped.push(character),
            // XML 1.0 has no way to write the other control characters.
            '\u{0}'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' => escaped.push('?'),
            other => {
                // Writing to a string cannot fail.
                let _ = write!(escaped, "&#{};", u32::from(other));
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_has_one_int_for_each_code() {
        assert_eq!(
            array(&[0, -5]),
            "<?xml version=\"1.0\" encoding=\"ISO-8859-15\"?><methodResponse><params><param>\
             <value><array><data><value><int>0</int></value><value><int>-5</int></value>\
             </data></array></value></param></params></methodResponse>"
        );
        assert!(array(&[]).contains("<data></data>"));
    }

    #[test]
    fn a_fault_carries_any_text_in_ascii() {
        let text = "a < b & \"c\" > d: año, 3 €\n\u{1}";
        let written = fault(4, text);
        assert!(written.is_ascii());
        let document = roxmltree::Document::parse(&written).unwrap();
        let read = document
            .descendants()
            .find(|node| node.has_tag_name("string"))
            .and_then(|node| node.text());
        assert_eq!(read, Some("a < b & \"c\" > d: año, 3 €\n?"));
    }
}
