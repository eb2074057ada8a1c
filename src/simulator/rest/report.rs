//! Writes a delivery report over REST and reads what is answered to it.
//!
//! Must not know: where it goes, when, how often.

use serde_json::{Value, json};

use crate::simulator::{codes, reports::Told};

/// The body of a report (clients in production; confidence B).
pub(in crate::simulator) fn write(told: &Told<'_>) -> String {
    let body = json!({
        "sender": told.sender,
        "recipient": told.recipient,
        "messageId": told.message_id,
        "messageStatus": told.status,
        "statusText": told.text,
    });
    body.to_string()
}

/// The status code in an answer; an answer without one says by its HTTP status alone that all is well (confidence C).
pub(in crate::simulator) fn answered_code(body: &[u8]) -> Option<i32> {
    let Ok(Value::Object(fields)) = serde_json::from_slice(body) else {
        return Some(codes::SUCCESS);
    };
    match fields.get("statusCode") {
        None | Some(Value::Null) => Some(codes::SUCCESS),
        Some(Value::String(code)) => code.parse().ok(),
        Some(code) => code.as_i64().and_then(|code| i32::try_from(code).ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_refused_only_by_a_code_that_says_so() {
        for good in [
            "",
            "OK",
            "{}",
            r#"{"statusCode":1000}"#,
            r#"{"statusCode":"1000"}"#,
        ] {
            assert_eq!(answered_code(good.as_bytes()), Some(1000), "{good}");
        }
        assert_eq!(answered_code(br#"{"statusCode":4001}"#), Some(4001));
        assert_eq!(answered_code(br#"{"statusCode":[]}"#), None);
    }
}
