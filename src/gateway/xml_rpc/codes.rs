//! The platform's numeric codes, and what each means to us.
//!
//! Must not know: XML, HTTP, accounts. Whether anything is tried again is the lane's business.

use std::collections::HashMap;

use thiserror::Error;

use crate::{
    domain::Reason,
    gateway::{Outcome, Verdict},
};

/// All codes whose meaning is public: 0 by the platform's own documents, −5 by clients in production. What the others
/// mean has not been published; an installation that has the table maps them in its configuration.
const TABLE: [(i64, Known); 2] = [
    (0, Known::Accepted),
    (-5, Known::Rejected(Reason::GATEWAY_REJECTED_NUMBER)),
];

/// Errors lie in this band (clients in production; confidence B). What lies outside is not understood.
const ERRORS: std::ops::RangeInclusive<i64> = -93..=-1;

#[derive(Debug, Clone, Copy)]
enum Known {
    Accepted,
    Rejected(&'static str),
}

/// What an installation says that a code does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The message is refused for good.
    Rejected,
    /// The message was not taken and may be tried again.
    Retry,
    /// The account's credentials are not accepted.
    Credentials,
    /// The account has no quota left.
    Quota,
}

/// What an installation says that a code means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeMeaning {
    /// The word that goes into the record.
    pub reason: Reason,
    /// What follows.
    pub effect: Effect,
}

/// The codes that an installation explains, besides and before the built-in table.
#[derive(Debug, Clone, Default)]
pub struct CodeMap(HashMap<i64, CodeMeaning>);

/// Why a map of codes is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("code 0 means accepted and cannot be given another meaning")]
pub struct CodeMapError;

impl CodeMap {
    /// Takes the installation's own meanings.
    pub fn new(meanings: HashMap<i64, CodeMeaning>) -> Result<Self, CodeMapError> {
        if meanings.contains_key(&0) {
            return Err(CodeMapError);
        }
        Ok(Self(meanings))
    }

    /// What the code of one message means.
    pub(super) fn of_message(&self, code: i64) -> Outcome {
        if let Some(meaning) = self.0.get(&code) {
            return meaning.outcome(code);
        }
        match TABLE.iter().find(|(known, _)| *known == code) {
            Some((_, Known::Accepted)) => Outcome::Accepted(None),
            Some((_, Known::Rejected(word))) => rejected(Reason::known(word), Some(code)),
            None if ERRORS.contains(&code) => rejected(Reason::gateway_code(code), Some(code)),
            // Whether the message was taken cannot be told; the word keeps the code.
            None => Outcome::Uncertain {
                reason: Reason::gateway_code(code),
            },
        }
    }

    /// What one code in place of an array means for each of the request's messages.
    ///
    /// Other than 0 it is the failure of the whole request (clients in production; confidence B), also outside the band.
    /// Zero says "accepted" of a single message. Of several it may be a summary or the code of the first: uncertain.
    pub(super) fn of_request(&self, code: i64, messages: usize) -> Outcome {
        match (code, messages) {
            (_, 1) if code == 0 || ERRORS.contains(&code) => self.of_message(code),
            (0, _) => Outcome::Uncertain {
                reason: Reason::known(Reason::GATEWAY_OUTCOME_UNKNOWN),
            },
            // The table speaks of one message ("wrong number"): it must not be said of all of them.
            _ => self.0.get(&code).map_or_else(
                || rejected(Reason::gateway_code(code), Some(code)),
                |meaning| meaning.outcome(code),
            ),
        }
    }

    /// What a fault means for each of the request's messages: the failure of the whole request.
    ///
    /// Fault codes are numbers of another table, of which nothing is public: only the installation's map is asked.
    pub(super) fn of_fault(&self, code: Option<i64>) -> Outcome {
        let meaning = code.and_then(|code| Some((code, self.0.get(&code)?)));
        meaning.map_or_else(
            || rejected(Reason::known(Reason::GATEWAY_FAULT), code),
            |(code, meaning)| meaning.outcome(code),
        )
    }
}

impl CodeMeaning {
    fn outcome(&self, code: i64) -> Outcome {
        let reason = self.reason.clone();
        let code = Some(code);
        let verdict = match self.effect {
            Effect::Retry => return Outcome::NotSent { reason, code },
            Effect::Rejected => Verdict::Message,
            Effect::Credentials => Verdict::Credentials,
            Effect::Quota => Verdict::Quota,
        };
        Outcome::Rejected {
            reason,
            code,
            verdict,
        }
    }
}

fn rejected(reason: Reason, code: Option<i64>) -> Outcome {
    Outcome::Rejected {
        reason,
        code,
        verdict: Verdict::Message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(code: i64, effect: Effect) -> CodeMap {
        let reason = Reason::known("OWN_WORD");
        CodeMap::new(HashMap::from([(code, CodeMeaning { reason, effect })])).unwrap()
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
            assert_eq!(codes.of_message(code), expected, "{code}");
        }
    }

    #[test]
    fn the_installation_has_the_first_word_on_a_code_except_zero() {
        let reason = Reason::known("OWN_WORD");
        let code = Some(-5);
        assert_eq!(
            map(-5, Effect::Retry).of_message(-5),
            Outcome::NotSent { reason, code }
        );
        for (effect, expected) in [
            (Effect::Rejected, Verdict::Message),
            (Effect::Credentials, Verdict::Credentials),
            (Effect::Quota, Verdict::Quota),
        ] {
            let outcome = map(7, effect).of_message(7);
            assert!(
                matches!(&outcome, Outcome::Rejected { verdict, code: Some(7), .. } if *verdict == expected),
                "{outcome:?}"
            );
        }
        let reason = Reason::known("OWN_WORD");
        let effect = Effect::Rejected;
        let zero = HashMap::from([(0, CodeMeaning { reason, effect })]);
        assert!(CodeMap::new(zero).is_err());
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
            let found = codes.of_request(code, messages);
            assert_eq!(found, expected, "{code} for {messages}");
        }
        let outcome = map(-9, Effect::Credentials).of_request(-9, 3);
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
        assert_eq!(codes.of_fault(Some(-5)), refused("GATEWAY_FAULT", -5));
        assert_eq!(
            codes.of_fault(None),
            rejected(Reason::known(Reason::GATEWAY_FAULT), None)
        );
        assert!(matches!(
            map(4, Effect::Retry).of_fault(Some(4)),
            Outcome::NotSent { code: Some(4), .. }
        ));
    }
}
