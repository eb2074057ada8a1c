//! Bytes ⇄ structs: JSON in UTF-8.
//!
//! Must not know: what a code means, HTTP. What it held in clear is wiped; neither free text nor a citizen's answer is
//! kept.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{domain::GatewayMessageId, gateway::callbacks::ReportParts};

/// One message as the platform takes it.
#[derive(Clone, Copy)]
pub struct SubmitRequest<'a> {
    pub sender: &'a str,
    pub phone: &'a str,
    pub text: &'a str,
    /// xsd:duration or xsd:dateTime.
    pub expiry: Option<&'a str>,
    /// Where reports go; without it none are asked for.
    pub report_url: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Submit<'a> {
    sender: &'a str,
    recipients: [To<'a>; 1],
    sms_text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery_report: Option<&'a str>,
    #[serde(rename = "deliveryReportURL", skip_serializing_if = "Option::is_none")]
    delivery_report_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiry_date: Option<&'a str>,
}

#[derive(Serialize)]
struct To<'a> {
    to: &'a str,
}

/// Most bytes that JSON makes of one: `\u001f`.
const ESCAPED_BYTES: usize = 6;
/// The names and signs around the texts, generously.
const FRAME_BYTES: usize = 256;

/// The request could not be written; it holds nothing of what was to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the request could not be written as JSON")]
pub struct Unwritable;

/// Writes the request.
pub fn submit_request(request: &SubmitRequest<'_>) -> Result<Zeroizing<Vec<u8>>, Unwritable> {
    let texts = [
        Some(request.sender),
        Some(request.phone),
        Some(request.text),
        request.expiry,
        request.report_url,
    ];
    let room: usize = texts.into_iter().flatten().map(str::len).sum();
    // Room for everything at once, so that no copy stays behind when the buffer grows.
    let mut body = Zeroizing::new(Vec::with_capacity(FRAME_BYTES + ESCAPED_BYTES * room));
    let submit = Submit {
        sender: request.sender,
        recipients: [To { to: request.phone }],
        sms_text: request.text,
        delivery_report: request.report_url.map(|_| "All"),
        delivery_report_url: request.report_url,
        expiry_date: request.expiry,
    };
    serde_json::to_writer(&mut *body, &submit).map_err(|_| Unwritable)?;
    Ok(body)
}

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The platform's own code; `None` where there is none, which is not the same as one that cannot be read.
    pub code: Option<i64>,
    /// Its id of the message, where it gave one that is usable.
    pub message_id: Option<GatewayMessageId>,
}

/// Why a body says nothing. None of them quotes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unreadable {
    /// Not one JSON object, or a field twice.
    #[error("not a JSON object")]
    Form,
    /// A field that must be there is missing, or is of the wrong type.
    #[error("a field is missing or of the wrong type")]
    Field,
}

impl Unreadable {
    /// The name used in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Form => "not_json",
            Self::Field => "field",
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnswerFields {
    status_code: Option<Value>,
    message_id: Option<Value>,
}

/// Reads an answer. Never panics, whatever comes.
pub fn parse_answer(bytes: &[u8]) -> Result<Answer, Unreadable> {
    let fields: AnswerFields = object(bytes)?;
    let code = match present(fields.status_code) {
        Some(Value::Number(number)) => Some(number.as_i64().ok_or(Unreadable::Field)?),
        Some(Value::String(text)) => {
            Some(text.trim().parse::<i64>().map_err(|_| Unreadable::Field)?)
        }
        Some(_) => return Err(Unreadable::Field),
        None => None,
    };
    let message_id = word(fields.message_id).ok().flatten();
    Ok(Answer {
        code,
        message_id: message_id.and_then(|id| GatewayMessageId::parse(&id)),
    })
}

/// What the platform tells by itself. No `Debug`: there is a number in it.
pub enum Notice {
    /// What became of a message.
    Report(ReportParts),
    /// A citizen answered. Nothing of it is kept.
    CitizenAnswer,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NoticeFields {
    recipient: Option<Value>,
    message_id: Option<Value>,
    message_status: Option<Value>,
    sms_text: Option<serde::de::IgnoredAny>,
}

/// Reads a notice. Never panics, whatever comes.
///
/// What stands in it and is not needed (`sender`, `statusText`) may be missing: a report that is refused comes again for
/// ever. That a citizen's answer is what has a text and no state is an assumption (confidence C).
pub fn parse_notice(bytes: &[u8]) -> Result<Notice, Unreadable> {
    let fields: NoticeFields = object(bytes)?;
    let status = word(fields.message_status)?;
    if status.is_none() && fields.sms_text.is_some() {
        return Ok(Notice::CitizenAnswer);
    }
    Ok(Notice::Report(ReportParts {
        recipient: Some(word(fields.recipient)?.ok_or(Unreadable::Field)?),
        message_id: word(fields.message_id)?,
        status: status.ok_or(Unreadable::Field)?,
    }))
}

/// One JSON object with these fields. What is not UTF-8 can only stand in a text, of which nothing is needed.
fn object<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T, Unreadable> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_start_matches('\u{feff}');
    // A struct would be read from an array too.
    if !text.trim_start().starts_with('{') {
        return Err(Unreadable::Form);
    }
    serde_json::from_str(text).map_err(|_| Unreadable::Form)
}

/// A value that is neither null nor a blank text.
fn present(value: Option<Value>) -> Option<Value> {
    value.filter(|value| match value {
        Value::Null => false,
        Value::String(text) => !text.trim().is_empty(),
        _ => true,
    })
}

/// A text, or a whole number in its place.
fn word(value: Option<Value>) -> Result<Option<String>, Unreadable> {
    match present(value) {
        Some(Value::String(text)) => Ok(Some(text.trim().to_owned())),
        Some(Value::Number(number)) if !number.is_f64() => Ok(Some(number.to_string())),
        Some(_) => Err(Unreadable::Field),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(text: &str) -> SubmitRequest<'_> {
        SubmitRequest {
            sender: "217812",
            phone: "600000001",
            text,
            expiry: None,
            report_url: None,
        }
    }

    #[test]
    fn the_buffer_never_grows() {
        let text = "\u{1f}".repeat(1000);
        let request = SubmitRequest {
            sender: &text,
            phone: &text,
            text: &text,
            expiry: Some(&text),
            report_url: Some(&text),
        };
        let body = submit_request(&request).unwrap();
        // Had it grown, the capacity would have doubled.
        assert!(body.capacity() <= body.len() + FRAME_BYTES);
    }

    #[test]
    fn reads_code_and_message_id_as_number_or_text() {
        let answer = |code, id: Option<&str>| {
            Ok(Answer {
                code,
                message_id: id.and_then(GatewayMessageId::parse),
            })
        };
        for (text, expected) in [
            (
                r#"{"statusCode":1000,"messageId":"m-1"}"#,
                answer(Some(1000), Some("m-1")),
            ),
            (
                r#"{"messageId":77,"statusCode":" 1000 ","details":{"a":[1]}}"#,
                answer(Some(1000), Some("77")),
            ),
            ("\u{feff} {\"statusCode\":4001}", answer(Some(4001), None)),
            (
                r#"{"statusCode":null,"messageId":"m"}"#,
                answer(None, Some("m")),
            ),
            (r#"{"statusCode":"","messageId":" "}"#, answer(None, None)),
            (
                r#"{"statusCode":1000,"messageId":{}}"#,
                answer(Some(1000), None),
            ),
            ("{}", answer(None, None)),
        ] {
            assert_eq!(parse_answer(text.as_bytes()), expected, "{text}");
        }
        let latin = b"{\"statusText\":\"petici\xf3n\",\"statusCode\":1000}";
        assert_eq!(parse_answer(latin), answer(Some(1000), None));
    }

    #[test]
    fn an_answer_that_is_not_understood_says_nothing() {
        let deep = "[".repeat(50_000);
        for (text, expected) in [
            ("", Unreadable::Form),
            ("null", Unreadable::Form),
            ("[1000,\"m\"]", Unreadable::Form),
            ("{\"statusCode\":1000", Unreadable::Form),
            ("{\"statusCode\":1000} x", Unreadable::Form),
            (
                "{\"statusCode\":1000,\"statusCode\":1000}",
                Unreadable::Form,
            ),
            (&format!("{{\"x\":{deep}"), Unreadable::Form),
            ("<html/>", Unreadable::Form),
            ("{\"statusCode\":1000.0}", Unreadable::Field),
            ("{\"statusCode\":\"Success\"}", Unreadable::Field),
            ("{\"statusCode\":true}", Unreadable::Field),
            ("{\"statusCode\":99999999999999999999}", Unreadable::Field),
        ] {
            let start: String = text.chars().take(60).collect();
            assert_eq!(parse_answer(text.as_bytes()), Err(expected), "{start}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(text in any::<String>()) {
            let body = submit_request(&request(&text)).unwrap();
            let value: Value = serde_json::from_slice(&body).unwrap();
            prop_assert_eq!(value["smsText"].as_str(), Some(text.as_str()));
            prop_assert_eq!(value["recipients"][0]["to"].as_str(), Some("600000001"));
            prop_assert!(value.get("expiryDate").is_none() && value.get("deliveryReport").is_none());
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse_answer(&bytes);
            let _ = parse_notice(&bytes);
        }
    }
}
