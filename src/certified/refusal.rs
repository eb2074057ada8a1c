//! Why a call about certified messages is refused: one enum, each variant one reason of the public error table.

use thiserror::Error;

use crate::{
    domain::{Reason, RecipientError},
    gateway::certified::PlatformRefusal,
    routing::NoRoute,
    status::StatusError,
    store::{LaneClosure, StoreError},
};

/// Why a call is refused. The texts are for developers and hold nothing that the caller sent.
#[derive(Debug, Error)]
pub enum Refusal {
    /// A field is malformed or missing.
    #[error("{field}: {problem}")]
    Field {
        /// Name of the field in the request.
        field: &'static str,
        /// What is wrong with it and what is expected.
        problem: String,
    },
    /// A recipient's number takes no messages.
    #[error("addressees.recipient: {0}")]
    Recipient(RecipientError),
    /// Unknown administration, or not listed for this caller, or the caller has not the role.
    #[error("the administration is not available to this caller")]
    NotAvailable,
    /// The administration has no such account for certified messages.
    #[error("the administration has no such Mensatek account")]
    NoAccount,
    /// The account names no contact.
    #[error(
        "the account names no contact, which certificates need; its operator must set contact_name, contact_phone and contact_nif"
    )]
    ContactMissing,
    /// Other content under the same request id.
    #[error("request_id: was taken with other content; choose a new UUID for each message")]
    RequestIdReused,
    /// The account does not send there, or not so.
    #[error("{0}")]
    NoRoute(#[from] NoRoute),
    /// The account takes nothing, or its platform may not be asked.
    #[error("the account takes nothing now: its operator must see to it")]
    LaneClosed(LaneClosure),
    /// As many requests are under way as may be.
    #[error("too many requests are under way for this account ({0}); try again soon")]
    TooManyCalls(&'static str),
    /// The platform was asked the same a moment ago, or refused it.
    #[error(
        "the platform was asked the same a moment ago, or refused it, and takes repetitions for an attack (certified.ask_again_after_seconds)"
    )]
    AskedTooSoon {
        /// How long to wait.
        wait: std::time::Duration,
    },
    /// Nothing of that name for this caller.
    #[error("nothing of that name for this caller")]
    NotFound,
    /// The message was not sent, so the platform knows nothing of it.
    #[error("the message was not sent: the platform knows nothing of it")]
    NotSent,
    /// The platform's number of the message is not known yet.
    #[error(
        "the platform's number of the message is not known yet; it comes with the first event of the message"
    )]
    NumberUnknown,
    /// The message has been withdrawn.
    #[error("the message is cancelled already")]
    AlreadyCancelled,
    /// The platform says no.
    #[error("the platform refuses{}", code_of(.0))]
    Platform(Box<PlatformRefusal>),
    /// Nothing was done; it may be tried again.
    #[error(
        "the platform could not be asked, or not understood ({0}); nothing was changed: try again"
    )]
    NotDone(Reason),
    /// It may or may not have been done.
    #[error("nobody can say whether the platform did it ({0}); look before asking again")]
    Unclear(Reason),
    /// What comes is larger than we read.
    #[error(
        "the platform's answer is larger than is read (certified.max_download_bytes, accounts.answer_limit_bytes)"
    )]
    TooLarge,
    /// The resume token is of no use, or the watch could not go on.
    #[error("{0}")]
    Watch(StatusError),
    /// The store does not answer.
    #[error("the store does not work just now; try again with the same request_id")]
    Store(#[source] StoreError),
    /// The service is ending.
    #[error("the service is shutting down; try another replica or again")]
    ShuttingDown,
}

fn code_of(refusal: &PlatformRefusal) -> String {
    refusal
        .code
        .map_or_else(String::new, |code| format!(" with its number {code}"))
}

impl Refusal {
    /// A malformed or missing field.
    pub fn field(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Field {
            field,
            problem: problem.into(),
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Closed => Self::ShuttingDown,
            other => Self::Store(other),
        }
    }
}

impl From<StatusError> for Refusal {
    fn from(error: StatusError) -> Self {
        match error {
            StatusError::Store(error) => error.into(),
            StatusError::NotAvailable => Self::NotAvailable,
            StatusError::NotFound => Self::NotFound,
            other => Self::Watch(other),
        }
    }
}
