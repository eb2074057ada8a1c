//! The four-digit status codes that the SOAP and the REST interface share, and what each means to us.
//!
//! Must not know: XML, JSON, accounts. Whether anything is tried again is the lane's business.
//!
//! Seen in production (confidence B): 1000, 2000, 4000, 4001, 4004. They are codes of 3GPP MM7 (TS 23.140), so the others
//! are taken to mean what they mean there (confidence C); an installation that knows better maps them.

use reqwest::StatusCode;

use super::{CodeMap, Outcome, outcomes};
use crate::domain::{GatewayMessageId, Reason};

/// The code of a message that was taken.
pub(super) const SUCCESS: i64 = 1000;

/// What a code says of the one message of a request.
#[derive(Debug, Clone, Copy)]
enum Row {
    /// Taken.
    Accepted,
    /// Refused for good, with the code as word.
    Rejected,
    /// Refused for good because of the number.
    WrongNumber,
    /// The account is not recognised.
    Credentials,
    /// Not taken; it may be tried again.
    ///
    /// An exchange that breaks after the body was begun proves nothing, but this is a whole answer by which the platform
    /// itself says that it did not do what was asked. For what it may have done by half it has a word of its own, 4005.
    NotSent,
    /// It cannot be told whether it was taken.
    Uncertain,
}

/// Every code with a meaning.
const TABLE: [(i64, Row); 21] = [
    (SUCCESS, Row::Accepted),
    // Partial success: of several recipients some. With a single one that says nothing.
    (1100, Row::Uncertain),
    // Client error.
    (2000, Row::Rejected),
    // Operation restricted: this client may not do this.
    (2001, Row::Rejected),
    // Address error.
    (2002, Row::WrongNumber),
    // Address not found.
    (2003, Row::WrongNumber),
    // Content refused.
    (2004, Row::Rejected),
    // Message id not found: no answer to a submission, but a refusal in any case.
    (2005, Row::Rejected),
    // Format corrupt.
    (2007, Row::Rejected),
    // Server error. The receiver's word for whatever has no word, also for codes that are not understood: like HTTP 500 it
    // leaves open how far the server came.
    (3000, Row::Uncertain),
    // Not possible now.
    (3001, Row::NotSent),
    // Message rejected by the server.
    (3002, Row::Rejected),
    // Several recipients not supported: there is one.
    (3003, Row::Rejected),
    // General service error: the service cannot be given.
    (4000, Row::NotSent),
    // Improper identification.
    (4001, Row::Credentials),
    // Unsupported version.
    (4002, Row::Rejected),
    // Unsupported operation.
    (4003, Row::Rejected),
    // Validation error: element missing or of the wrong form.
    (4004, Row::Rejected),
    // Service error that must not be sent again.
    (4005, Row::Rejected),
    // Service unavailable for the moment.
    (4006, Row::NotSent),
    // No permission or no funds: which of the two is not told, so it says nothing of the account as a whole (an
    // installation may map it to a quota).
    (4007, Row::Rejected),
];

/// What the answer with this status, code and message id says of the one message of its request.
pub(super) fn outcome(
    status: StatusCode,
    code: i64,
    message_id: Option<GatewayMessageId>,
    codes: &CodeMap,
) -> Outcome {
    match (row(code), codes.outcome(code)) {
        (Row::Accepted, _) if status.is_success() => Outcome::Accepted(message_id),
        // Success in an answer that says failure: one of the two is wrong.
        (Row::Accepted, _) => outcomes::unknown(),
        (_, Some(explained)) => explained,
        (Row::Rejected, None) => outcomes::rejected(Reason::gateway_code(code), Some(code)),
        (Row::WrongNumber, None) => {
            let reason = Reason::known(Reason::GATEWAY_REJECTED_NUMBER);
            outcomes::rejected(reason, Some(code))
        }
        (Row::Credentials, None) => outcomes::credentials(Some(code)),
        (Row::NotSent, None) => Outcome::NotSent {
            reason: Reason::gateway_code(code),
            code: Some(code),
        },
        // The word keeps the code.
        (Row::Uncertain, None) => Outcome::Uncertain {
            reason: Reason::gateway_code(code),
        },
    }
}

/// The code's row. An unknown code means what its class means; outside the classes it means 3000 (MM7).
fn row(code: i64) -> Row {
    let known = |code| TABLE.iter().find(|(known, _)| *known == code);
    if let Some((_, row)) = known(code) {
        return *row;
    }
    match code {
        2000..=2999 => Row::Rejected,
        // As 4000.
        4000..=4999 => Row::NotSent,
        // 1xxx: taken wholly or in part; nothing is said to be sent on a guess, and nothing is sent again. 3xxx and all
        // else: as 3000.
        _ => Row::Uncertain,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::gateway::{CodeMeaning, Effect, outcomes::brief};

    fn of(status: u16, code: i64, codes: &CodeMap) -> String {
        let status = StatusCode::from_u16(status).unwrap();
        let found = outcome(status, code, GatewayMessageId::parse("m-1"), codes);
        if let Outcome::Rejected { code: kept, .. } | Outcome::NotSent { code: kept, .. } = &found {
            assert_eq!(*kept, Some(code), "the code is kept as it came");
        }
        brief(&found)
    }

    #[test]
    fn every_code_has_one_meaning() {
        let rows = [
            (1000, "accepted as m-1"),
            (1100, "uncertain GATEWAY_CODE_1100"),
            (2000, "rejected GATEWAY_CODE_2000"),
            (2001, "rejected GATEWAY_CODE_2001"),
            (2002, "rejected GATEWAY_REJECTED_NUMBER"),
            (2003, "rejected GATEWAY_REJECTED_NUMBER"),
            (2004, "rejected GATEWAY_CODE_2004"),
            (2005, "rejected GATEWAY_CODE_2005"),
            (2007, "rejected GATEWAY_CODE_2007"),
            (3000, "uncertain GATEWAY_CODE_3000"),
            (3001, "not sent GATEWAY_CODE_3001"),
            (3002, "rejected GATEWAY_CODE_3002"),
            (3003, "rejected GATEWAY_CODE_3003"),
            (4000, "not sent GATEWAY_CODE_4000"),
            (4001, "rejected! GATEWAY_CREDENTIALS_REJECTED"),
            (4002, "rejected GATEWAY_CODE_4002"),
            (4003, "rejected GATEWAY_CODE_4003"),
            (4004, "rejected GATEWAY_CODE_4004"),
            (4005, "rejected GATEWAY_CODE_4005"),
            (4006, "not sent GATEWAY_CODE_4006"),
            (4007, "rejected GATEWAY_CODE_4007"),
        ];
        let codes = CodeMap::default();
        for (code, expected) in rows {
            assert_eq!(of(200, code, &codes), expected, "{code}");
        }
        let tested = |code: &i64| rows.iter().any(|(row, _)| row == code);
        assert!(TABLE.iter().all(|(code, _)| tested(code)), "each row");
    }

    #[test]
    fn an_unknown_code_means_what_its_class_means() {
        for (code, expected) in [
            (1001, "uncertain GATEWAY_CODE_1001"),
            (1999, "uncertain GATEWAY_CODE_1999"),
            (2999, "rejected GATEWAY_CODE_2999"),
            (3999, "uncertain GATEWAY_CODE_3999"),
            (4008, "not sent GATEWAY_CODE_4008"),
            (0, "uncertain GATEWAY_CODE_0"),
            (999, "uncertain GATEWAY_CODE_999"),
            (5000, "uncertain GATEWAY_CODE_5000"),
            (-1, "uncertain GATEWAY_CODE_M1"),
            (i64::MIN, "uncertain GATEWAY_CODE_M9223372036854775808"),
        ] {
            let codes = CodeMap::default();
            assert_eq!(of(200, code, &codes), expected, "{code}");
        }
    }

    #[test]
    fn a_code_speaks_louder_than_the_status_except_for_success() {
        let codes = CodeMap::default();
        for (status, code, expected) in [
            (401, 4001, "rejected! GATEWAY_CREDENTIALS_REJECTED"),
            (400, 4004, "rejected GATEWAY_CODE_4004"),
            (500, 4006, "not sent GATEWAY_CODE_4006"),
            (500, 1000, "uncertain GATEWAY_OUTCOME_UNKNOWN"),
            (401, 1000, "uncertain GATEWAY_OUTCOME_UNKNOWN"),
            (202, 1000, "accepted as m-1"),
        ] {
            assert_eq!(of(status, code, &codes), expected, "{status} {code}");
        }
    }

    #[test]
    fn the_installation_has_the_first_word_on_a_code_except_success() {
        let meaning = |code, effect| {
            let reason = Reason::known("OWN_WORD");
            (code, CodeMeaning { reason, effect })
        };
        let codes = CodeMap::new(HashMap::from([
            meaning(1000, Effect::Rejected),
            meaning(3000, Effect::Retry),
            meaning(4007, Effect::Quota),
            meaning(9999, Effect::Credentials),
        ]));
        for (code, expected) in [
            (1000, "accepted as m-1"),
            (3000, "not sent OWN_WORD"),
            (4007, "rejected OWN_WORD"),
            (9999, "rejected! OWN_WORD"),
        ] {
            assert_eq!(of(200, code, &codes), expected, "{code}");
        }
    }
}
