//! Refusal → gRPC status with `google.rpc` details: one exhaustive map (`docs/ERRORS.md`).

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::{
    intake::Refusal,
    status::{StatusError, Watched},
    telemetry::names,
};

/// Domain of the reasons in `google.rpc.ErrorInfo`.
pub(super) const DOMAIN: &str = "clave-otp";

/// When to try again where trying again may help and nothing better is known.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Where an operator has to act first.
const RETRY_AFTER_OPERATOR: Duration = Duration::from_secs(60);

pub(super) fn status(refusal: &Refusal) -> Status {
    status_of_all(refusal, &[])
}

/// The status of the first refusal; the field violations of all of them.
pub(super) fn status_of_all(first: &Refusal, others: &[Refusal]) -> Status {
    let reason = first.reason();
    metrics::counter!(names::REQUESTS_REFUSED, "reason" => reason).increment(1);
    let mut details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
    for refusal in std::iter::once(first).chain(others) {
        if let Some(field) = refusal.about_field() {
            details.add_bad_request_violation(field, refusal.to_string());
        }
    }
    if let Refusal::CallerLimit { caller, .. } = first {
        details.add_quota_failure_violation(format!("callers/{caller}"), first.to_string());
    }
    if let Some(delay) = retry_after(first) {
        details.set_retry_info(Some(delay));
    }
    Status::with_error_details(code(first), first.to_string(), details)
}

fn code(refusal: &Refusal) -> Code {
    match refusal {
        Refusal::InvalidField { .. }
        | Refusal::Recipient(_)
        | Refusal::AlreadyExpired
        | Refusal::ExpiryTooFar
        | Refusal::TextTooLong { .. }
        | Refusal::TextUnrepresentable => Code::InvalidArgument,
        Refusal::RecipientCountryNotAllowed
        | Refusal::InternationalDisabled
        | Refusal::SenderNotAllowed
        | Refusal::AliasNotUsable
        | Refusal::TooLateToCancel(_) => Code::FailedPrecondition,
        Refusal::RequestIdReused => Code::AlreadyExists,
        Refusal::AdministrationNotAvailable => Code::PermissionDenied,
        // As etcd answers for a revision that it has compacted: the place is right, but the log begins later.
        Refusal::ResumeTokenExpired => Code::OutOfRange,
        Refusal::CannotArriveInTime
        | Refusal::WatcherTooSlow
        | Refusal::TooManyWatchers { .. }
        | Refusal::CallerLimit { .. } => Code::ResourceExhausted,
        Refusal::AccountPaused
        | Refusal::AccountCredentialsRejected
        | Refusal::AccountNoCredit
        | Refusal::QueueFull
        | Refusal::StoreUnavailable(_)
        | Refusal::ShuttingDown => Code::Unavailable,
        Refusal::NotFound => Code::NotFound,
        Refusal::Unauthenticated => Code::Unauthenticated,
    }
}

/// Every `UNAVAILABLE` and `RESOURCE_EXHAUSTED` says when to try again.
fn retry_after(refusal: &Refusal) -> Option<Duration> {
    match refusal {
        Refusal::AccountCredentialsRejected | Refusal::AccountNoCredit | Refusal::AccountPaused => {
            Some(RETRY_AFTER_OPERATOR)
        }
        _ if matches!(code(refusal), Code::Unavailable | Code::ResourceExhausted) => {
            Some(RETRY_AFTER)
        }
        _ => None,
    }
}

impl From<StatusError> for Refusal {
    fn from(error: StatusError) -> Self {
        match error {
            StatusError::NotFound => Self::NotFound,
            StatusError::NotAvailable => Self::AdministrationNotAvailable,
            StatusError::ResumeToken(error) => Self::field("resume_token", error.to_string()),
            StatusError::ResumeTokenExpired => Self::ResumeTokenExpired,
            StatusError::WatcherTooSlow => Self::WatcherTooSlow,
            StatusError::TooManyWatchers(Watched::One) => Self::TooManyWatchers {
                key: "grpc.max_watchers",
            },
            StatusError::TooManyWatchers(Watched::All) => Self::TooManyWatchers {
                key: "grpc.max_watchers_of_all",
            },
            StatusError::CallerWatches { watched, caller } => Self::CallerLimit {
                caller,
                key: match watched {
                    Watched::One => "grpc.max_watchers_per_caller",
                    Watched::All => "grpc.max_watchers_of_all_per_caller",
                },
            },
            StatusError::PageToken(error) => Self::field("page_token", error.to_string()),
            StatusError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreError;

    #[test]
    fn what_is_unavailable_says_when_to_try_again() {
        for refusal in [
            Refusal::QueueFull,
            Refusal::CannotArriveInTime,
            Refusal::AccountPaused,
            Refusal::WatcherTooSlow,
            Refusal::TooManyWatchers {
                key: "grpc.max_watchers",
            },
            Refusal::ShuttingDown,
            Refusal::AccountCredentialsRejected,
            Refusal::AccountNoCredit,
            Refusal::StoreUnavailable(StoreError::Busy),
        ] {
            let details = status(&refusal).get_error_details();
            assert!(details.retry_info().is_some(), "{refusal}");
            assert_eq!(details.error_info().unwrap().domain, DOMAIN);
        }
    }

    #[test]
    fn every_wrong_field_is_named_at_once() {
        let first = Refusal::field("request_id", "must be a UUID");
        let others = [Refusal::field("purpose", "is required")];
        let details = status_of_all(&first, &others).get_error_details();
        let fields: Vec<&str> = details
            .bad_request()
            .unwrap()
            .field_violations
            .iter()
            .map(|violation| violation.field.as_str())
            .collect();
        assert_eq!(fields, ["request_id", "purpose"]);
    }
}
