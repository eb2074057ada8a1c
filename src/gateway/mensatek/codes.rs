//! What the platform's numbers mean to us: one table of answers, one of the states in its reports.
//!
//! Must not know: JSON, forms, HTTP, accounts. Whether anything is tried again is the lane's business.
//!
//! Source: the text of API 7.0 (confidence A) and, for rows that say so, clients in production (confidence B).

use super::wire::Answer;
use crate::{
    domain::{News, Reason},
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

/// What a state means.
#[derive(Debug, Clone, Copy)]
enum State {
    /// The handset has it.
    Delivered,
    /// Nothing is decided.
    Waiting,
    /// It will not arrive, for this reason.
    Failed(&'static str),
    /// Known, and says nothing about whether an SMS arrives: counted and kept, changes nothing.
    Silent,
}

/// The number does not exist, or is written wrongly.
const NUMBER_UNKNOWN: &str = "REPORTED_NUMBER_UNKNOWN";
/// The number exists no more, or has no service.
const NUMBER_NOT_IN_SERVICE: &str = "REPORTED_NUMBER_NOT_IN_SERVICE";
/// The operator, the platform or the account blocks the number.
const NUMBER_BLOCKED: &str = "REPORTED_NUMBER_BLOCKED";
/// The handset could not take it.
const HANDSET_FAILED: &str = "REPORTED_HANDSET_FAILED";
/// A network failed.
const NETWORK_FAILED: &str = "REPORTED_NETWORK_FAILED";
/// Somebody cancelled it on the platform.
const CANCELLED: &str = "REPORTED_CANCELLED";

/// Every state with a meaning, as first and last number of a row.
const STATES: [(i64, i64, State); 55] = [
    // Waiting for delivery; scheduled.
    (0, 0, State::Waiting),
    (1, 1, State::Waiting),
    (2, 2, State::Waiting),
    (10, 10, State::Waiting),
    // Not in the text, and the commonest of all (B).
    (11, 11, State::Delivered),
    // Not in the text (B).
    (12, 12, State::Waiting),
    (13, 13, State::Delivered),
    (14, 14, State::Delivered),
    // A contract by answer: the message has been delivered, its answer is awaited, has come, is certified.
    (15, 15, State::Delivered),
    (16, 16, State::Delivered),
    (17, 17, State::Delivered),
    // Fatal (B); the text does not have them.
    (22, 28, State::Failed(Reason::REPORTED_REJECTED)),
    (29, 29, State::Failed(CANCELLED)),
    // Not in the text (B).
    (31, 31, State::Waiting),
    (50, 50, State::Failed(NUMBER_UNKNOWN)),
    (51, 51, State::Failed(HANDSET_FAILED)),
    (52, 52, State::Failed(NETWORK_FAILED)),
    (53, 53, State::Failed(Reason::REPORTED_EXPIRED)),
    // Black list; blocked.
    (54, 54, State::Failed(NUMBER_BLOCKED)),
    (55, 55, State::Failed(NUMBER_BLOCKED)),
    // Delivered, time unknown.
    (70, 70, State::Delivered),
    (101, 101, State::Failed(Reason::REPORTED_EXPIRED)),
    (102, 102, State::Failed(NUMBER_NOT_IN_SERVICE)),
    (103, 103, State::Failed(Reason::REPORTED_EXPIRED)),
    (104, 104, State::Failed(NUMBER_UNKNOWN)),
    // Delivered, time unknown.
    (106, 106, State::Delivered),
    (110, 110, State::Failed(NUMBER_UNKNOWN)),
    (111, 111, State::Failed(NUMBER_NOT_IN_SERVICE)),
    (112, 112, State::Failed(NUMBER_NOT_IN_SERVICE)),
    (113, 113, State::Failed(Reason::REPORTED_EXPIRED)),
    // The operator's centre fails or is congested: the platform keeps trying.
    (120, 122, State::Waiting),
    (130, 130, State::Failed(NUMBER_NOT_IN_SERVICE)),
    // Memory full; cannot receive. Repeated failures, and not said to be tried again, unlike the next two.
    (131, 131, State::Failed(HANDSET_FAILED)),
    (132, 132, State::Failed(HANDSET_FAILED)),
    (133, 133, State::Failed(NUMBER_NOT_IN_SERVICE)),
    (134, 134, State::Waiting),
    (135, 135, State::Waiting),
    (136, 136, State::Failed(NUMBER_NOT_IN_SERVICE)),
    (137, 137, State::Failed(NUMBER_NOT_IN_SERVICE)),
    // Trouble with operator or country; "contact support".
    (140, 140, State::Failed(NETWORK_FAILED)),
    (141, 141, State::Failed(NETWORK_FAILED)),
    (150, 150, State::Failed(NETWORK_FAILED)),
    // The contract behind the message was opened, read, accepted, signed: whoever did that has the message.
    (160, 163, State::Delivered),
    (180, 181, State::Delivered),
    // Refused by its reader.
    (190, 190, State::Delivered),
    // Ran out unsigned: nobody knows whether it was seen.
    (195, 195, State::Silent),
    // Refused by the operator (B).
    (200, 200, State::Failed(Reason::REPORTED_REJECTED)),
    // Voice calls (B).
    (500, 553, State::Silent),
    // Seen, meaning unknown (B).
    (999, 999, State::Silent),
    // Waiting, scheduled, being handed over, tried again.
    (1000, 1000, State::Waiting),
    (1001, 1001, State::Waiting),
    (1002, 1002, State::Waiting),
    (1003, 1003, State::Waiting),
    // Voice calls (B).
    (1004, 1010, State::Silent),
    // Where a contract was signed; tells nothing that 180 and 181 do not.
    (5000, 5000, State::Silent),
];

/// What a state says of its message; a state that is not known says nothing.
pub fn news(state: i64) -> News {
    let row = STATES
        .iter()
        .find(|(first, last, _)| (*first..=*last).contains(&state));
    match row {
        Some((.., State::Delivered)) => News::Delivered,
        Some((.., State::Waiting)) => News::Waiting,
        Some((.., State::Failed(word))) => News::Failed(Reason::known(word)),
        Some((.., State::Silent)) | None => News::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

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

    /// By hand from the text and from what clients saw; not from the table.
    const EXPECTED: [(&str, &[i64]); 11] = [
        ("delivered", &[11, 13, 14, 15, 16, 17, 70, 106]),
        ("delivered", &[160, 161, 162, 163, 180, 181, 190]),
        ("waiting", &[0, 1, 2, 10, 12, 31, 120, 121, 122, 134, 135]),
        ("waiting", &[1000, 1001, 1002, 1003]),
        ("REPORTED_REJECTED", &[22, 23, 24, 25, 26, 27, 28, 200]),
        ("REPORTED_CANCELLED", &[29]),
        ("REPORTED_EXPIRED", &[53, 101, 103, 113]),
        ("REPORTED_NUMBER_UNKNOWN", &[50, 104, 110]),
        (
            "REPORTED_NUMBER_NOT_IN_SERVICE",
            &[102, 111, 112, 130, 133, 136, 137],
        ),
        ("REPORTED_NUMBER_BLOCKED", &[54, 55]),
        ("REPORTED_HANDSET_FAILED", &[51, 131, 132]),
    ];
    const NETWORK: [i64; 4] = [52, 140, 141, 150];

    #[test]
    fn every_state_has_one_meaning_and_every_other_none() {
        let mut rows: Vec<(&str, Vec<i64>)> = EXPECTED
            .iter()
            .map(|(word, states)| (*word, states.to_vec()))
            .collect();
        rows.push(("REPORTED_NETWORK_FAILED", NETWORK.to_vec()));
        let known: BTreeSet<i64> = rows.iter().flat_map(|(_, states)| states.clone()).collect();
        for (word, state) in rows
            .iter()
            .flat_map(|(word, states)| states.iter().map(move |state| (*word, *state)))
        {
            let expected = match word {
                "delivered" => News::Delivered,
                "waiting" => News::Waiting,
                word => News::Failed(Reason::parse(word).unwrap()),
            };
            assert_eq!(news(state), expected, "{state}");
        }
        for state in (-10..6000).filter(|state| !known.contains(state)) {
            assert_eq!(news(state), News::Unknown, "{state}");
        }
        assert_eq!(news(i64::MAX), News::Unknown);
        assert_eq!(news(i64::MIN), News::Unknown);
    }

    #[test]
    fn the_rows_of_states_are_in_order_and_do_not_overlap() {
        assert!(STATES.iter().all(|(first, last, _)| first <= last));
        assert!(STATES.windows(2).all(|pair| pair[0].1 < pair[1].0));
    }
}
