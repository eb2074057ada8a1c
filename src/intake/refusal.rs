//! Why a request is refused: one enum, each variant one reason of the public error table.

use thiserror::Error;

use crate::{
    domain::{CallerName, DeliveryState, RecipientError},
    routing::NoRoute,
    store::StoreError,
    text::TextRefusal,
};

/// Why a request is refused. The texts are for developers and hold nothing that the caller sent.
#[derive(Debug, Error)]
pub enum Refusal {
    /// A field is malformed or missing.
    #[error("{field}: {problem}")]
    InvalidField {
        /// Name of the field in the request.
        field: &'static str,
        /// What is wrong with it and what is expected.
        problem: String,
    },
    /// The recipient's number takes no codes.
    #[error("recipient: {0}")]
    Recipient(RecipientError),
    /// The account does not send to the recipient's country.
    #[error(
        "the account does not send to the recipient's country (accounts.international.allowed_regions)"
    )]
    RecipientCountryNotAllowed,
    /// The account does not send outside Spain.
    #[error("the account does not send outside Spain (accounts.international.enabled)")]
    InternationalDisabled,
    /// The code is worth nothing any more.
    #[error("expire_time: is over; nothing was sent")]
    AlreadyExpired,
    /// The code would live too long.
    #[error("expire_time: is further ahead than a code may live")]
    ExpiryTooFar,
    /// The composed text takes more than the account allows.
    #[error(
        "the composed text takes {segments} segments where the account allows {limit}; shorten the template or the code"
    )]
    TextTooLong {
        /// What it takes.
        segments: u32,
        /// What is allowed.
        limit: u8,
    },
    /// The composed text holds characters that the air does not.
    #[error(
        "the composed text holds characters that an SMS of this account cannot carry; change the template"
    )]
    TextUnrepresentable,
    /// Other content under the same request id.
    #[error("request_id: was taken with other content; choose a new UUID for each code")]
    RequestIdReused,
    /// Unknown administration, or not listed for this caller.
    #[error("the administration is not available to this caller")]
    AdministrationNotAvailable,
    /// The asked sender is none of the account's.
    #[error("sender: is none of the account's senders")]
    SenderNotAllowed,
    /// Operators would block the alias.
    #[error(
        "the sender's alias may not be used today through the account's gateway; ask for 217812 or see its record"
    )]
    AliasNotUsable,
    /// The account's operator paused it.
    #[error("the account is paused; its operator must resume it")]
    AccountPaused,
    /// Behind all that waits, the code would come too late.
    #[error(
        "the code would come too late behind all that waits for this account; nothing was sent: offer another factor"
    )]
    CannotArriveInTime,
    /// The gateway rejects the account's credentials.
    #[error("the gateway rejects the account's credentials; its operator must renew them")]
    AccountCredentialsRejected,
    /// The account has no credit.
    #[error("the account has no credit at its gateway; its operator must see to it")]
    AccountNoCredit,
    /// Too many deliveries wait for the account.
    #[error("too many deliveries wait for this account; try again, or offer another factor")]
    QueueFull,
    /// The store does not answer.
    #[error(
        "the store does not work just now; try again with the same request_id, or offer another factor"
    )]
    StoreUnavailable(#[source] StoreError),
    /// The service is ending.
    #[error("the service is shutting down; try another replica or again")]
    ShuttingDown,
    /// Nothing of that name for this caller.
    #[error("nothing of that name for this caller")]
    NotFound,
    /// The delivery has been submitted or has ended.
    #[error("the delivery is {} and cannot be withdrawn any more", .0.as_str())]
    TooLateToCancel(DeliveryState),
    /// What followed the resume token is not kept any more.
    #[error(
        "resume_token: the changes behind it are not kept any more (delivery.changes_kept_hours); watch again without one, and ask ListDeliveries for what changed meanwhile"
    )]
    ResumeTokenExpired,
    /// The client of a watch did not read.
    #[error(
        "the client did not read the changes as fast as they came (grpc.watch_buffer); watch again with the last resume_token"
    )]
    WatcherTooSlow,
    /// All places for watches of this kind are taken.
    #[error("too many such watches are open ({key}); close some, or try again")]
    TooManyWatchers {
        /// The key of their limit.
        key: &'static str,
    },
    /// The caller has all that one caller may have at a time.
    #[error("this caller has as many as one caller may ({key}); close some, or try again")]
    CallerLimit {
        /// Which caller.
        caller: CallerName,
        /// The key of the limit.
        key: &'static str,
    },
    /// No or unknown client certificate.
    #[error("no caller is known by this connection")]
    Unauthenticated,
}

impl Refusal {
    /// A malformed or missing field.
    pub fn field(field: &'static str, problem: impl Into<String>) -> Self {
        Self::InvalidField {
            field,
            problem: problem.into(),
        }
    }

    /// The stable word of the public error table (`docs/ERRORS.md`).
    pub fn reason(&self) -> &'static str {
        match self {
            Self::InvalidField { .. } => "INVALID_FIELD",
            Self::Recipient(RecipientError::Malformed) => "RECIPIENT_MALFORMED",
            Self::Recipient(RecipientError::NotMobile) => "RECIPIENT_NOT_MOBILE",
            Self::Recipient(RecipientError::PremiumOrSpecial) => "RECIPIENT_PREMIUM_OR_SPECIAL",
            Self::Recipient(RecipientError::NonGeographic) => "RECIPIENT_NON_GEOGRAPHIC",
            Self::RecipientCountryNotAllowed => "RECIPIENT_COUNTRY_NOT_ALLOWED",
            Self::InternationalDisabled => "INTERNATIONAL_DISABLED",
            Self::AlreadyExpired => "ALREADY_EXPIRED",
            Self::ExpiryTooFar => "EXPIRY_TOO_FAR",
            Self::TextTooLong { .. } => "TEXT_TOO_LONG",
            Self::TextUnrepresentable => "TEXT_UNREPRESENTABLE",
            Self::RequestIdReused => "REQUEST_ID_REUSED",
            Self::AdministrationNotAvailable => "ADMINISTRATION_NOT_AVAILABLE",
            Self::SenderNotAllowed => "SENDER_NOT_ALLOWED",
            Self::AliasNotUsable => "ALIAS_NOT_USABLE",
            Self::AccountPaused => "ACCOUNT_PAUSED",
            Self::CannotArriveInTime => "CANNOT_ARRIVE_IN_TIME",
            Self::AccountCredentialsRejected => "ACCOUNT_CREDENTIALS_REJECTED",
            Self::AccountNoCredit => "ACCOUNT_NO_CREDIT",
            Self::QueueFull => "QUEUE_FULL",
            Self::StoreUnavailable(_) => "STORE_UNAVAILABLE",
            Self::ShuttingDown => "SHUTTING_DOWN",
            Self::NotFound => "NOT_FOUND",
            Self::TooLateToCancel(_) => "TOO_LATE_TO_CANCEL",
            Self::ResumeTokenExpired => "RESUME_TOKEN_EXPIRED",
            Self::WatcherTooSlow => "WATCHER_TOO_SLOW",
            Self::TooManyWatchers { .. } => "TOO_MANY_WATCHERS",
            Self::CallerLimit { .. } => "CALLER_LIMIT",
            Self::Unauthenticated => "UNAUTHENTICATED",
        }
    }

    /// The field of the request that the refusal is about.
    pub fn about_field(&self) -> Option<&'static str> {
        match self {
            Self::InvalidField { field, .. } => Some(field),
            Self::Recipient(_) => Some("recipient"),
            Self::AlreadyExpired | Self::ExpiryTooFar => Some("expire_time"),
            _ => None,
        }
    }
}

impl From<NoRoute> for Refusal {
    fn from(no_route: NoRoute) -> Self {
        match no_route {
            NoRoute::InternationalDisabled => Self::InternationalDisabled,
            NoRoute::CountryNotAllowed => Self::RecipientCountryNotAllowed,
            NoRoute::SenderNotAllowed => Self::SenderNotAllowed,
            NoRoute::AliasNotUsable => Self::AliasNotUsable,
            NoRoute::OriginNotAllowed => Self::field("origin", no_route.to_string()),
        }
    }
}

impl From<TextRefusal> for Refusal {
    fn from(refusal: TextRefusal) -> Self {
        match refusal {
            TextRefusal::TooLong {
                segments, limit, ..
            } => Self::TextTooLong { segments, limit },
            TextRefusal::Unrepresentable { .. } => Self::TextUnrepresentable,
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Closed => Self::ShuttingDown,
            other => Self::StoreUnavailable(other),
        }
    }
}
