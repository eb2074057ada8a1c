//! Writes the answers of the REST interface.
//!
//! Must not know: accounts, rules, which answer is due.

use serde_json::json;

use crate::simulator::{
    answer::Written,
    codes::{self, status_text},
};

/// How an answer begins that never ends, and what it goes on with.
const ENDLESS: (&str, &str) = ("{\"statusCode\":1000,\"statusText\":\"", "Success ");

/// The answer to a submission.
pub(super) fn status(code: i32, details: Option<&str>, message_id: Option<&str>) -> Written {
    let body = json!({
        "statusCode": code,
        "statusText": status_text(code),
        "details": details,
        "messageId": message_id,
    });
    written(http_status(code), body.to_string())
}

/// A failure of the service, with this code and text.
pub(super) fn fault(code: i32, text: &str) -> Written {
    let body = json!({ "statusCode": code, "statusText": text });
    written(500, body.to_string())
}

/// JSON that breaks off.
pub(super) fn malformed() -> Written {
    written(200, "{\"statusCode\":1000,\"statusText\":".to_owned())
}

/// The status that goes with a code: 401 and 400 are known (confidence B) for 4001, 4004 and 2000; the rest is assumed.
fn http_status(code: i32) -> u16 {
    match code {
        codes::SUCCESS | codes::PARTIAL_SUCCESS => 200,
        codes::IMPROPER_IDENTIFICATION => 401,
        4007 => 403,
        4005 | codes::SERVICE_UNAVAILABLE => 503,
        2000..=2999 | 4002..=4004 => 400,
        _ => 500,
    }
}

fn written(status: u16, body: String) -> Written {
    Written {
        status,
        media_type: "application/json",
        body: body.into(),
        endless: ENDLESS,
    }
}
