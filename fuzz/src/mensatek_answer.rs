//! Whatever Mensatek answers: it is understood as it is meant, or not at all.

use clave_otp::gateway::{CodeMap, Effect, Outcome, mensatek::outcome_of_body};

use super::{codes::explained, mensatek::Seen};

const CODE: &[&str] = &["res", "resp"];
const MESSAGE_ID: &[&str] = &["msgid", "idmensaje", "idenvio"];
const NOT_SENT: &[&str] = &["noenviados"];

/// Fails where the adapter says more than the answer does. "Uncertain" is always allowed.
pub fn check(body: &[u8]) {
    let text = String::from_utf8_lossy(body);
    let seen = Seen::of_objects(&text);
    // A bare number, maybe in an array or in quotes.
    let bare = text.replace(['[', ']', '"', '\u{feff}'], "");
    let bare: Option<i64> = bare.trim().parse().ok();
    let explained = explained(&[
        (-1, Effect::Retry),
        (-2, Effect::Rejected),
        (0, Effect::Quota),
        (-99, Effect::Credentials),
    ]);
    for codes in [CodeMap::default(), explained] {
        let outcome = outcome_of_body(body, &codes);
        assert!(
            stands_there(&outcome, &seen, bare),
            "{outcome:?}, but the answer says {seen:?} {bare:?}"
        );
    }
}

fn stands_there(outcome: &Outcome, seen: &Seen, bare: Option<i64>) -> bool {
    let says = |code| seen.says(CODE, code) || bare == Some(code);
    match outcome {
        Outcome::Uncertain { .. } => true,
        Outcome::Accepted(id) => {
            let is_bare = bare.is_some_and(|code| code > 0);
            (is_bare || seen.under(CODE).any(is_above_zero))
                && id
                    .as_ref()
                    .is_none_or(|id| seen.has(MESSAGE_ID, id.as_str()))
        }
        // What counts messages and refuses all the same tells how many were not sent.
        Outcome::Rejected {
            code: Some(code @ 1..),
            ..
        } => says(*code) && seen.under(NOT_SENT).any(is_above_zero),
        Outcome::Rejected {
            code: Some(code), ..
        }
        | Outcome::NotSent {
            code: Some(code), ..
        } => says(*code),
        Outcome::Rejected { code: None, .. } | Outcome::NotSent { code: None, .. } => false,
    }
}

/// A number above zero, however it is written: a digit that is not zero, and no minus before it.
fn is_above_zero(text: &str) -> bool {
    let begins = text.trim_start_matches('+');
    begins.starts_with(|c: char| c.is_ascii_digit()) && text.contains(|c| ('1'..='9').contains(&c))
}
