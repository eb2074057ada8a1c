//! The platform's numeric codes, and what each means to us.
//!
//! Must not know: XML, HTTP, accounts. Whether anything is tried again is the lane's business.

use crate::{
    domain::Reason,
    gateway::{
        CodeMap, Outcome,
        outcomes::{rejected, unknown},
    },
};

/// The code of a message that was taken.
pub(super) const ACCEPTED: i64 = 0;

/// All codes whose meaning is public: 0 by the platform's own documents, −5 by clients in production. What the others
/// mean has not been published; an installation that has the table maps them in its configuration.
const TABLE: [(i64, Known); 2] = [
    (ACCEPTED, Known::Accepted),
    (-5, Known::Rejected(Reason::GATEWAY_REJECTED_NUMBER)),
];

/// Errors lie in this band (clients in production; confidence B). What lies outside is not understood.
const ERRORS: std::ops::RangeInclusive<i64> = -93..=-1;

#[derive(Debug, Clone, Copy)]
enum Known {
    Accepted,
    Rejected(&'static str),
}

/// What the code of one message means.
pub(super) fn of_message(code: i64, codes: &CodeMap) -> Outcome {
    let known = TABLE.iter().find(|(known, _)| *known == code);
    match (known, codes.outcome(code)) {
        (Some((_, Known::Accepted)), _) => Outcome::Accepted(None),
        (_, Some(explained)) => explained,
        (Some((_, Known::Rejected(word))), None) => rejected(Reason::known(word), Some(code)),
        (None, None) if ERRORS.contains(&code) => rejected(Reason::gateway_code(code), Some(code)),
        // Whether the message was taken cannot be told; the word keeps the code.
        (None, None) => Outcome::Uncertain {
            reason: Reason::gateway_code(code),
        },
    }
}

/// What one code in place of an array means for each of the request's messages.
///
/// Other than 0 it is the failure of the whole request (clients in production; confidence B), also outside the band.
/// Zero says "accepted" of a single message. Of several it may be a summary or the code of the first: uncertain.
pub(super) fn of_request(code: i64, messages: usize, codes: &CodeMap) -> Outcome {
    match (code, messages) {
        (_, 1) if code == ACCEPTED || ERRORS.contains(&code) => of_message(code, codes),
        (ACCEPTED, _) => unknown(),
        // The table speaks of one message ("wrong number"): it must not be said of all of them.
        _ => codes
            .outcome(code)
            .unwrap_or_else(|| rejected(Reason::gateway_code(code), Some(code))),
    }
}

/// What a fault means for each of the request's messages: the failure of the whole request.
///
/// Fault codes are numbers of another table, of which nothing is public: only the installation's map is asked.
pub(super) fn of_fault(code: Option<i64>, codes: &CodeMap) -> Outcome {
    code.and_then(|code| codes.outcome(code))
        .unwrap_or_else(|| rejected(Reason::known(Reason::GATEWAY_FAULT), code))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::gateway::{CodeMeaning, Effect, Verdict};

    fn map(code: i64, effect: Effect) -> CodeMap {
        let reason = Reason::known("OWN_WORD");
        CodeMap::new(HashMap::from([(code, CodeMeaning { reason, effect })]))
    }

    fn refused(word: &str, code: i64) -> Outcome {
        rejected(Reason::parse(word).unwrap(), Some(code))
    }

    fn uncertain(word: &str) -> Outcome {
        let reason = Reason::parse(word).unwrap();
        Outcome::Uncertain { reason }
    }

    #[test]
    fn every_code_of_a_message_has_one_meaning() {
        let codes = CodeMap::default();
        for (code, expected) in [
            (0, Outcome::Accepted(None)),
            (-5, refused("GATEWAY_REJECTED_NUMBER", -5)),
            (-1, refused("GATEWAY_CODE_M1", -1)),
            (-93, refused("GATEWAY_CODE_M93", -93)),
            (-94, uncertain("GATEWAY_CODE_M94")),
            (1, uncertain("GATEWAY_CODE_1")),
            (i64::MIN, uncertain("GATEWAY_CODE_M9223372036854775808")),
        ] {
            assert_eq!(of_message(code, &codes), expected, "{code}");
        }
    }

    #[test]
    fn the_installation_has_the_first_word_on_a_code_except_zero() {
        let reason = Reason::known("OWN_WORD");
        let code = Some(-5);
        assert_eq!(
            of_message(-5, &map(-5, Effect::Retry)),
            Outcome::NotSent { reason, code }
        );
        for (effect, expected) in [
            (Effect::Rejected, Verdict::Message),
            (Effect::Credentials, Verdict::Credentials),
            (Effect::Quota, Verdict::Quota),
        ] {
            let outcome = of_message(7, &map(7, effect));
            assert!(
                matches!(&outcome, Outcome::Rejected { verdict, code: Some(7), .. } if *verdict == expected),
                "{outcome:?}"
            );
        }
        let zero = map(0, Effect::Rejected);
        assert_eq!(of_message(0, &zero), Outcome::Accepted(None));
        assert_eq!(of_request(0, 1, &zero), Outcome::Accepted(None));
    }

    #[test]
    fn one_code_for_the_request_is_never_more_than_it_says() {
        let codes = CodeMap::default();
        for (code, messages, expected) in [
            (0, 1, Outcome::Accepted(None)),
            (0, 2, uncertain("GATEWAY_OUTCOME_UNKNOWN")),
            (-5, 1, refused("GATEWAY_REJECTED_NUMBER", -5)),
            (-5, 2, refused("GATEWAY_CODE_M5", -5)),
            (-2, 1, refused("GATEWAY_CODE_M2", -2)),
            (7, 1, refused("GATEWAY_CODE_7", 7)),
            (7, 2, refused("GATEWAY_CODE_7", 7)),
        ] {
            let found = of_request(code, messages, &codes);
            assert_eq!(found, expected, "{code} for {messages}");
        }
        let outcome = of_request(-9, 3, &map(-9, Effect::Credentials));
        assert!(matches!(
            outcome,
            Outcome::Rejected {
                verdict: Verdict::Credentials,
                ..
            }
        ));
    }

    #[test]
    fn a_fault_is_a_rejection_unless_the_installation_knows_better() {
        let codes = CodeMap::default();
        assert_eq!(of_fault(Some(-5), &codes), refused("GATEWAY_FAULT", -5));
        assert_eq!(
            of_fault(None, &codes),
            rejected(Reason::known(Reason::GATEWAY_FAULT), None)
        );
        assert!(matches!(
            of_fault(Some(4), &map(4, Effect::Retry)),
            Outcome::NotSent { code: Some(4), .. }
        ));
    }
}
