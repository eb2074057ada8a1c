//! Whatever a SOAP platform answers: it is understood as it is meant, or not at all.

use clave_otp::gateway::{CodeMap, Effect, Outcome, soap::outcome_of_body};

use super::{
    codes::explained,
    soap::{ENVELOPE, SCHEMA, Seen, see},
};

/// Fails where the adapter says more than the answer does. That something was accepted, refused or not sent must stand
/// there; "uncertain" is always allowed.
pub fn check(body: &[u8]) {
    let seen = see(body);
    for codes in [CodeMap::default(), installation()] {
        let outcome = outcome_of_body(body, &codes);
        assert!(
            stands_there(&outcome, &seen),
            "{outcome:?}, but the answer says {seen:?}"
        );
    }
}

fn installation() -> CodeMap {
    explained(&[
        (1000, Effect::Rejected),
        (3000, Effect::Retry),
        (4007, Effect::Quota),
        (5, Effect::Credentials),
    ])
}

fn stands_there(outcome: &Outcome, seen: &Seen) -> bool {
    if matches!(seen, Seen::Noise) {
        return true;
    }
    let answered = seen.at(SCHEMA, "SubmitRes", &["Status", "StatusCode"]);
    let answered = answered.and_then(|code| code.parse::<i64>().ok());
    match outcome {
        Outcome::Uncertain { .. } => true,
        Outcome::Accepted(id) => {
            let stands =
                |id: &str| seen.at(SCHEMA, "SubmitRes", &["MessageId"]).as_deref() == Some(id);
            answered == Some(1000) && id.as_ref().is_none_or(|id| stands(id.as_str()))
        }
        Outcome::Rejected {
            code: Some(code), ..
        }
        | Outcome::NotSent {
            code: Some(code), ..
        } => *code != 1000 && (answered == Some(*code) || in_fault(seen, *code)),
        // Without a code only a fault that blames the sender.
        Outcome::Rejected { code: None, .. } => {
            let fault = seen.at(ENVELOPE, "Fault", &["faultcode"]);
            fault.is_some_and(|fault| {
                let blames = ["Client", "VersionMismatch", "MustUnderstand"];
                blames.iter().any(|word| fault.contains(word))
            })
        }
        Outcome::NotSent { code: None, .. } => false,
    }
}

fn in_fault(seen: &Seen, code: i64) -> bool {
    let is_fault = matches!(seen, Seen::Payload { namespace, name, .. }
        if namespace.as_deref() == Some(ENVELOPE) && name == "Fault");
    let codes = seen.all("StatusCode");
    is_fault && codes.len() == 1 && codes[0].parse() == Ok(code)
}
