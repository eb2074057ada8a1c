//! What the end of an exchange says of a message, whatever the protocol.
//!
//! Must not know: what a platform's answer says, accounts, retry policy.

use reqwest::StatusCode;

use super::{Message, Outcome, Verdict, http::ExchangeError};
use crate::domain::Reason;

/// What an exchange without a whole answer says.
pub(super) fn of_failure(error: ExchangeError) -> Outcome {
    match error {
        ExchangeError::NotStarted { .. } => Outcome::NotSent {
            reason: Reason::known(Reason::GATEWAY_UNREACHABLE),
            code: None,
        },
        // The status was whole; what came after it would have changed nothing.
        ExchangeError::Broken {
            status: Some(status),
            ..
        } if !status.is_success() => of_status(status),
        ExchangeError::Broken { .. } => unknown(),
    }
}

/// What a status other than success says where the answer says nothing more. The platforms' documents name none: this is
/// RFC 9110.
pub(super) fn of_status(status: StatusCode) -> Outcome {
    let reason = Reason::gateway_http(status.as_u16());
    match status.as_u16() {
        401 | 403 => credentials(None),
        // Not taken for now: incomplete request, too early, too many, unavailable (RFC 9110, 8470, 6585). That nothing in front
        // of the platform says so after having passed the request on is an assumption (confidence C).
        408 | 425 | 429 | 503 => Outcome::NotSent { reason, code: None },
        // Redirects are not followed, so nothing was taken there.
        300..=499 => rejected(reason, None),
        // The server, or one behind it, failed in the middle.
        _ => Outcome::Uncertain { reason },
    }
}

/// The platform may have taken it, or not.
pub(super) fn unknown() -> Outcome {
    Outcome::Uncertain {
        reason: Reason::known(Reason::GATEWAY_OUTCOME_UNKNOWN),
    }
}

/// The protocol has no way to write the text.
pub(super) fn unrepresentable() -> Outcome {
    rejected(Reason::known(Reason::TEXT_UNREPRESENTABLE), None)
}

/// More messages were handed over than a request carries.
pub(super) fn beyond_batch_limit() -> Outcome {
    Outcome::NotSent {
        reason: Reason::known(Reason::GATEWAY_BATCH_LIMIT),
        code: None,
    }
}

/// What became of messages of which a request carries one: the first is exchanged, the others are not sent.
pub(super) async fn only_the_first<'a, E>(
    messages: &'a [Message],
    exchange: impl FnOnce(&'a Message) -> E,
) -> Vec<Outcome>
where
    E: Future<Output = Outcome>,
{
    let mut outcomes = Vec::with_capacity(messages.len());
    if let Some(message) = messages.first() {
        outcomes.push(exchange(message).await);
    }
    outcomes.resize_with(messages.len(), beyond_batch_limit);
    outcomes
}

/// This message is refused for good.
pub(super) fn rejected(reason: Reason, code: Option<i64>) -> Outcome {
    Outcome::Rejected {
        reason,
        code,
        verdict: Verdict::Message,
    }
}

/// The account's credentials are not accepted.
pub(super) fn credentials(code: Option<i64>) -> Outcome {
    Outcome::Rejected {
        reason: Reason::known(Reason::GATEWAY_CREDENTIALS_REJECTED),
        code,
        verdict: Verdict::Credentials,
    }
}

/// An outcome in few letters: its kind and reason, `!` for credentials.
#[cfg(test)]
pub(super) fn brief(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Accepted(None) => "accepted".into(),
        Outcome::Accepted(Some(id)) => format!("accepted as {}", id.as_str()),
        Outcome::Rejected {
            reason, verdict, ..
        } => {
            let mark = if *verdict == Verdict::Credentials {
                "!"
            } else {
                ""
            };
            format!("rejected{mark} {reason}")
        }
        Outcome::NotSent { reason, .. } => format!("not sent {reason}"),
        Outcome::Uncertain { reason } => format!("uncertain {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::http::{Broken, NotStarted};

    fn broken(kind: Broken, status: Option<u16>) -> ExchangeError {
        let status = status.map(|status| StatusCode::from_u16(status).unwrap());
        ExchangeError::Broken { kind, status }
    }

    #[test]
    fn every_exchange_without_an_answer_has_one_outcome() {
        let not_started = |kind| ExchangeError::NotStarted { kind };
        let unreachable = "not sent GATEWAY_UNREACHABLE";
        let unknown = "uncertain GATEWAY_OUTCOME_UNKNOWN";
        for (error, expected) in [
            (not_started(NotStarted::Dns), unreachable),
            (not_started(NotStarted::Connect), unreachable),
            (not_started(NotStarted::Tls), unreachable),
            (not_started(NotStarted::Timeout), unreachable),
            (not_started(NotStarted::GivenUp), unreachable),
            (broken(Broken::Timeout, None), unknown),
            (broken(Broken::Connection, None), unknown),
            (broken(Broken::TruncatedAnswer, Some(200)), unknown),
            (broken(Broken::AnswerTooLarge, Some(200)), unknown),
            (
                broken(Broken::AnswerTooLarge, Some(401)),
                "rejected! GATEWAY_CREDENTIALS_REJECTED",
            ),
            (
                broken(Broken::TruncatedAnswer, Some(503)),
                "not sent GATEWAY_HTTP_503",
            ),
        ] {
            assert_eq!(brief(&of_failure(error)), expected, "{error:?}");
        }
    }

    #[test]
    fn every_http_status_has_one_outcome() {
        for (status, expected) in [
            (302, "rejected GATEWAY_HTTP_302"),
            (400, "rejected GATEWAY_HTTP_400"),
            (401, "rejected! GATEWAY_CREDENTIALS_REJECTED"),
            (403, "rejected! GATEWAY_CREDENTIALS_REJECTED"),
            (404, "rejected GATEWAY_HTTP_404"),
            (408, "not sent GATEWAY_HTTP_408"),
            (425, "not sent GATEWAY_HTTP_425"),
            (429, "not sent GATEWAY_HTTP_429"),
            (500, "uncertain GATEWAY_HTTP_500"),
            (502, "uncertain GATEWAY_HTTP_502"),
            (503, "not sent GATEWAY_HTTP_503"),
            (504, "uncertain GATEWAY_HTTP_504"),
        ] {
            let found = of_status(StatusCode::from_u16(status).unwrap());
            assert_eq!(brief(&found), expected, "{status}");
        }
    }
}
