//! Refusal about a certified message → gRPC status with `google.rpc` details: one exhaustive map (`docs/ERRORS.md`).

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::super::{
    answer::refuse as refuse_commonly,
    refusals::{DOMAIN, RETRY_AFTER},
};
use crate::{
    certified::{PlatformRefusal, Refusal, RefusalKind},
    intake,
    status::LaneClosure,
    telemetry::names,
};

/// Logs a refusal and makes its status.
pub(super) fn refuse(refusal: Refusal) -> Status {
    use intake::Refusal as Common;
    let words = refusal.to_string();
    match refusal {
        Refusal::Field { field, problem } => {
            refuse_commonly(Common::InvalidField { field, problem })
        }
        Refusal::Recipient(error) => refuse_commonly(Common::Recipient(error)),
        Refusal::NotAvailable => refuse_commonly(Common::AdministrationNotAvailable),
        Refusal::RequestIdReused => refuse_commonly(Common::RequestIdReused),
        Refusal::NoRoute(no_route) => refuse_commonly(no_route),
        Refusal::LaneClosed(LaneClosure::Paused) => refuse_commonly(Common::AccountPaused),
        Refusal::LaneClosed(LaneClosure::CredentialsRejected) => {
            refuse_commonly(Common::AccountCredentialsRejected)
        }
        Refusal::LaneClosed(LaneClosure::NoCredit) => refuse_commonly(Common::AccountNoCredit),
        Refusal::NotFound => refuse_commonly(Common::NotFound),
        Refusal::Watch(error) => refuse_commonly(error),
        Refusal::Store(error) => refuse_commonly(Common::StoreUnavailable(error)),
        Refusal::ShuttingDown => refuse_commonly(Common::ShuttingDown),
        Refusal::NoAccount => own(Code::FailedPrecondition, "CERTIFIED_NOT_AVAILABLE", &words),
        Refusal::ContactMissing => own(
            Code::FailedPrecondition,
            "CERTIFIED_CONTACT_MISSING",
            &words,
        ),
        Refusal::TooManyCalls(limit) => {
            metrics::counter!(names::CERTIFIED_LIMITED, "limit" => limit).increment(1);
            later(
                Code::ResourceExhausted,
                "TOO_MANY_CERTIFIED_CALLS",
                &words,
                RETRY_AFTER,
            )
        }
        Refusal::AskedTooSoon { wait } => {
            let limit = "certified.ask_again_after_seconds";
            metrics::counter!(names::CERTIFIED_LIMITED, "limit" => limit).increment(1);
            later(Code::ResourceExhausted, "ASKED_TOO_SOON", &words, wait)
        }
        Refusal::NotSent => own(Code::FailedPrecondition, "MESSAGE_NOT_SENT", &words),
        Refusal::NumberUnknown => own(Code::FailedPrecondition, "MESSAGE_NUMBER_UNKNOWN", &words),
        Refusal::AlreadyCancelled => own(Code::FailedPrecondition, "ALREADY_CANCELLED", &words),
        Refusal::TooLarge => own(Code::FailedPrecondition, "GATEWAY_ANSWER_TOO_LARGE", &words),
        Refusal::NotDone(reason) => later(Code::Unavailable, reason.as_str(), &words, RETRY_AFTER),
        // Not `UNAVAILABLE`: clients repeat that by themselves.
        Refusal::Unclear(reason) => own(Code::Unknown, reason.as_str(), &words),
        Refusal::Platform(refused) => platform(&refused, &words),
    }
}

fn platform(refused: &PlatformRefusal, words: &str) -> Status {
    let code = match refused.kind {
        RefusalKind::Credentials | RefusalKind::NoCredit | RefusalKind::Trouble => {
            Code::Unavailable
        }
        RefusalKind::Invalid => Code::InvalidArgument,
        RefusalKind::Absent => Code::NotFound,
        RefusalKind::State => Code::FailedPrecondition,
    };
    let facts = [
        ("gateway_code", refused.code.map(|code| code.to_string())),
        (
            "gateway_detail",
            refused.detail.as_ref().map(ToString::to_string),
        ),
        (
            "credits_needed",
            refused.credits_needed.map(|credits| credits.to_string()),
        ),
    ];
    let facts = facts
        .into_iter()
        .filter_map(|(name, fact)| Some((name.to_owned(), fact?)))
        .collect();
    let wait = (code == Code::Unavailable).then_some(RETRY_AFTER);
    made(code, refused.reason.as_str(), words, facts, wait)
}

fn own(code: Code, reason: &str, words: &str) -> Status {
    made(code, reason, words, HashMap::new(), None)
}

fn later(code: Code, reason: &str, words: &str, wait: Duration) -> Status {
    made(code, reason, words, HashMap::new(), Some(wait))
}

fn made(
    code: Code,
    reason: &str,
    words: &str,
    facts: HashMap<String, String>,
    wait: Option<Duration>,
) -> Status {
    metrics::counter!(names::REQUESTS_REFUSED, "reason" => reason.to_owned()).increment(1);
    tracing::info!(reason, "grpc: refused");
    let mut details = ErrorDetails::with_error_info(reason, DOMAIN, facts);
    if let Some(wait) = wait {
        details.set_retry_info(Some(wait));
    }
    Status::with_error_details(code, words, details)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Reason;

    #[test]
    fn each_kind_of_refusal_of_the_platform_has_its_status_and_its_number() {
        for (kind, code, may_come_again) in [
            (RefusalKind::Credentials, Code::Unavailable, true),
            (RefusalKind::NoCredit, Code::Unavailable, true),
            (RefusalKind::Trouble, Code::Unavailable, true),
            (RefusalKind::Invalid, Code::InvalidArgument, false),
            (RefusalKind::Absent, Code::NotFound, false),
            (RefusalKind::State, Code::FailedPrecondition, false),
        ] {
            let status = refuse(Refusal::Platform(Box::new(PlatformRefusal {
                reason: Reason::known("NO_CREDIT_LEFT"),
                kind,
                code: Some(-5),
                detail: Some("Sin saldo".into()),
                credits_needed: Some(2.5),
            })));
            assert_eq!(status.code(), code, "{kind:?}");
            let retry = status.get_details_retry_info();
            assert_eq!(retry.is_some(), may_come_again, "{kind:?}");
            let info = status.get_details_error_info().unwrap();
            assert_eq!(info.reason, "NO_CREDIT_LEFT");
            for (name, value) in [
                ("gateway_code", "-5"),
                ("gateway_detail", "Sin saldo"),
                ("credits_needed", "2.5"),
            ] {
                assert_eq!(info.metadata.get(name).map(String::as_str), Some(value));
            }
        }
    }
}
