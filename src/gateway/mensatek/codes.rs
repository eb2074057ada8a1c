//! What the platform's numbers mean to us: one table of answers, one of the states in its reports.
//!
//! Must not know: JSON, forms, HTTP, accounts. Whether anything is tried again is the lane's business.
//!
//! Source: the text of API 7.0 (confidence A) and, for rows that say so, clients in production (confidence B).

use super::wire::Answer;
use crate::{
    domain::{News, Reason, certified::PlatformState},
    gateway::{CodeMap, Outcome, Verdict, outcomes},
};

/// What a refusal says.
#[derive(Debug, Clone, Copy)]
enum Refusal {
    /// The account is not recognised.
    Credentials,
    /// The account has no credit.
    NoCredit,
    /// This message is refused for good, in this word.
    Message(&'static str),
}

/// `Res` below zero; any other negative number refuses the message with the number as word.
const REFUSALS: [(i64, Refusal); 7] = [
    (-1, Refusal::Credentials),
    (-2, Refusal::NoCredit),
    // Data of the call wrong or missing; the free text `Error` beside it is not kept.
    (-3, Refusal::Message("GATEWAY_REQUEST_INVALID")),
    (-4, Refusal::Message("GATEWAY_ATTACHMENT_REFUSED")),
    (-5, Refusal::NoCredit),
    // The two of contracts; a code has none, so they can only come from what the account forces upon it.
    (-15, Refusal::Message("GATEWAY_CONTRACT_WITHOUT_FILE")),
    (-16, Refusal::Message("GATEWAY_FILE_UNKNOWN")),
];

/// What an account without credit is told in the record.
const NO_CREDIT: &str = "NO_CREDIT";

/// Whether `Res` says that something was taken: it counts the messages sent.
pub fn is_accepted(code: i64) -> bool {
    code > 0
}

/// What an answer, read with a status of success or not, says of the one message of its request.
pub fn outcome(is_success: bool, answer: &Answer, codes: &CodeMap) -> Outcome {
    let code = answer.code;
    if is_accepted(code) {
        return match (is_success, answer.not_sent, answer.sent) {
            (true, Some(1..), Some(0)) => wrong_number(code),
            // One number, sent and not sent: which of the two is not told. And success in an answer that says failure.
            (true, Some(1..), None) | (false, ..) => outcomes::unknown(),
            (true, ..) => Outcome::Accepted(answer.message_id.clone()),
        };
    }
    if let Some(explained) = codes.outcome(code) {
        return explained;
    }
    if code == 0 {
        let is_refused = answer.not_sent.is_some_and(|count| count > 0)
            && answer.sent.is_none_or(|count| count == 0);
        return if is_refused {
            wrong_number(code)
        } else {
            outcomes::unknown()
        };
    }
    match REFUSALS.iter().find(|(known, _)| *known == code) {
        Some((_, Refusal::Credentials)) => outcomes::credentials(Some(code)),
        Some((_, Refusal::NoCredit)) => Outcome::Rejected {
            reason: Reason::known(NO_CREDIT),
            code: Some(code),
            verdict: Verdict::Quota,
        },
        Some((_, Refusal::Message(word))) => outcomes::rejected(Reason::known(word), Some(code)),
        None => outcomes::rejected(Reason::gateway_code(code), Some(code)),
    }
}

/// `NoEnviados`: usually because the number is wrong (or repeated, which one number cannot be).
fn wrong_number(code: i64) -> Outcome {
    let reason = Reason::known(Reason::GATEWAY_REJECTED_NUMBER);
    outcomes::rejected(reason, Some(code))
}

/// What a state says of its message; a state that is not known says nothing.
pub fn news(state: i64) -> News {
    PlatformState::new(state).news()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::GatewayMessageId,
        gateway::{Effect, meanings::CodeMeaning, outcomes::brief},
    };

    fn answer(code: i64, sent: Option<i64>, not_sent: Option<i64>) -> Answer {
        Answer {
            code,
            message_id: GatewayMessageId::parse("77"),
            credit: None,
            sent,
            not_sent,
        }
    }

    fn of(code: i64) -> Outcome {
        outcome(true, &answer(code, None, None), &CodeMap::default())
    }

    #[test]
    fn every_refusal_has_one_meaning() {
        let rows = [
            (-1, "GATEWAY_CREDENTIALS_REJECTED", Verdict::Credentials),
            (-2, "NO_CREDIT", Verdict::Quota),
            (-3, "GATEWAY_REQUEST_INVALID", Verdict::Message),
            (-4, "GATEWAY_ATTACHMENT_REFUSED", Verdict::Message),
            (-5, "NO_CREDIT", Verdict::Quota),
            (-15, "GATEWAY_CONTRACT_WITHOUT_FILE", Verdict::Message),
            (-16, "GATEWAY_FILE_UNKNOWN", Verdict::Message),
            // In no row.
            (-6, "GATEWAY_CODE_M6", Verdict::Message),
            (-99, "GATEWAY_CODE_M99", Verdict::Message),
            (
                i64::MIN,
                "GATEWAY_CODE_M9223372036854775808",
                Verdict::Message,
            ),
        ];
        for (code, word, verdict) in rows {
            let expected = Outcome::Rejected {
                reason: Reason::parse(word).unwrap(),
                code: Some(code),
                verdict,
            };
            assert_eq!(of(code), expected, "{code}");
            // A refusal is one, whatever the status.
            let answer = answer(code, None, None);
            assert_eq!(outcome(false, &answer, &CodeMap::default()), expected);
        }
        let tested = |code: &i64| rows.iter().any(|(row, ..)| row == code);
        assert!(REFUSALS.iter().all(|(code, _)| tested(code)), "each row");
    }

    #[test]
    fn what_was_sent_is_accepted_and_what_was_not_is_a_wrong_number() {
        let codes = CodeMap::default();
        let wrong = "rejected GATEWAY_REJECTED_NUMBER";
        let unknown = "uncertain GATEWAY_OUTCOME_UNKNOWN";
        for (is_success, code, sent, not_sent, expected) in [
            (true, 1, None, None, "accepted as 77"),
            (true, 3, Some(3), Some(0), "accepted as 77"),
            (true, 1, Some(1), Some(1), "accepted as 77"),
            (true, 1, Some(0), Some(1), wrong),
            (true, 1, None, Some(1), unknown),
            (false, 1, Some(1), Some(0), unknown),
            (true, 0, None, Some(1), wrong),
            (true, 0, Some(0), Some(1), wrong),
            (true, 0, Some(1), Some(1), unknown),
            (true, 0, Some(0), Some(0), unknown),
            (true, 0, None, None, unknown),
        ] {
            let found = outcome(is_success, &answer(code, sent, not_sent), &codes);
            assert_eq!(brief(&found), expected, "{code} {sent:?} {not_sent:?}");
        }
    }

    #[test]
    fn the_installation_has_the_first_word_on_a_code_except_success() {
        let meaning = |code, effect| {
            let reason = Reason::known("OWN_WORD");
            (code, CodeMeaning { reason, effect })
        };
        let codes = CodeMap::new(
            [
                meaning(1, Effect::Rejected),
                meaning(0, Effect::Rejected),
                meaning(-1, Effect::Retry),
                meaning(-77, Effect::Credentials),
            ]
            .into(),
        );
        for (code, expected) in [
            (1, "accepted as 77"),
            (0, "rejected OWN_WORD"),
            (-1, "not sent OWN_WORD"),
            (-77, "rejected! OWN_WORD"),
            (-2, "rejected NO_CREDIT"),
        ] {
            let found = outcome(true, &answer(code, None, None), &codes);
            assert_eq!(brief(&found), expected, "{code}");
        }
    }
}
