//! What an installation says that a platform's codes mean.
//!
//! Must not know: which codes a protocol has, HTTP, accounts. Whether anything is tried again is the lane's business.

use std::collections::HashMap;

use super::{Outcome, Verdict, setup::GatewaySetupError};
use crate::domain::Reason;

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

/// The codes that an installation explains, besides and before the table of the protocol. The one code that means
/// "accepted" is not among them: an adapter is not made of a map that explains it.
#[derive(Debug, Clone, Default)]
pub struct CodeMap(HashMap<i64, CodeMeaning>);

impl CodeMap {
    /// Takes the installation's own meanings.
    pub fn new(meanings: HashMap<i64, CodeMeaning>) -> Self {
        Self(meanings)
    }

    /// What the installation says of the code; `None` where it says nothing.
    pub(super) fn outcome(&self, code: i64) -> Option<Outcome> {
        self.0.get(&code).map(|meaning| meaning.outcome(code))
    }

    /// Refuses a map that would make something else of what was accepted.
    pub(super) fn check(&self, accepted: i64) -> Result<(), GatewaySetupError> {
        self.check_all(|code| code == accepted)
    }

    /// The same where several codes mean accepted.
    pub(super) fn check_all(
        &self,
        is_accepted: impl Fn(i64) -> bool,
    ) -> Result<(), GatewaySetupError> {
        let explained = self.0.keys().copied().filter(|code| is_accepted(*code));
        match explained.min() {
            Some(code) => Err(GatewaySetupError::AcceptedCode(code)),
            None => Ok(()),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_effect_has_its_outcome_and_keeps_word_and_code() {
        let reason = Reason::known("OWN_WORD");
        let outcome = |effect| {
            let reason = reason.clone();
            let map = CodeMap::new(HashMap::from([(7, CodeMeaning { reason, effect })]));
            assert_eq!(map.outcome(8), None);
            map.outcome(7).unwrap()
        };
        let code = Some(7);
        for (effect, verdict) in [
            (Effect::Rejected, Verdict::Message),
            (Effect::Credentials, Verdict::Credentials),
            (Effect::Quota, Verdict::Quota),
        ] {
            let reason = reason.clone();
            let expected = Outcome::Rejected {
                reason,
                code,
                verdict,
            };
            assert_eq!(outcome(effect), expected);
        }
        let reason = reason.clone();
        assert_eq!(outcome(Effect::Retry), Outcome::NotSent { reason, code });
    }

    #[test]
    fn the_code_of_what_was_accepted_cannot_be_explained_away() {
        let meaning = CodeMeaning {
            reason: Reason::known("OWN_WORD"),
            effect: Effect::Rejected,
        };
        let map = CodeMap::new(HashMap::from([(1000, meaning)]));
        assert!(map.check(0).is_ok());
        let refused = map.check(1000);
        assert!(matches!(
            refused,
            Err(GatewaySetupError::AcceptedCode(1000))
        ));
    }
}
