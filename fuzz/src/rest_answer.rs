//! Whatever a REST platform answers: it is understood as it is meant, or not at all.

use clave_otp::gateway::{CodeMap, Effect, Outcome, rest::outcome_of_body};
use serde_json::Value;

use super::codes::explained;

/// Fails where the adapter says more than the answer does. "Uncertain" is always allowed.
pub fn check(body: &[u8]) {
    let text = String::from_utf8_lossy(body);
    // What is not wanted of an answer the adapter passes over more patiently: half a surrogate pair, a number beyond all.
    let Ok(seen) = serde_json::from_str::<Value>(text.trim_start_matches('\u{feff}')) else {
        for codes in installations() {
            let _ = outcome_of_body(body, &codes);
        }
        return;
    };
    for codes in installations() {
        let outcome = outcome_of_body(body, &codes);
        assert!(
            stands_there(&outcome, &seen),
            "{outcome:?}, but the answer says {seen}"
        );
    }
}

fn installations() -> [CodeMap; 2] {
    let explained = explained(&[
        (1000, Effect::Rejected),
        (3000, Effect::Retry),
        (4007, Effect::Quota),
        (5, Effect::Credentials),
    ]);
    [CodeMap::default(), explained]
}

fn stands_there(outcome: &Outcome, seen: &Value) -> bool {
    let word = |name: &str| match seen.get(name)? {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let said = word("statusCode").filter(|text| !text.is_empty());
    let code = said.as_ref().and_then(|text| text.parse::<i64>().ok());
    match outcome {
        Outcome::Uncertain { .. } => true,
        Outcome::Accepted(None) => code == Some(1000),
        Outcome::Accepted(Some(id)) => {
            // Without a code, its id is proof enough.
            (code == Some(1000) || said.is_none())
                && word("messageId").as_deref() == Some(id.as_str())
        }
        Outcome::Rejected { code: found, .. } | Outcome::NotSent { code: found, .. } => {
            found.is_some() && *found == code && code != Some(1000)
        }
    }
}
