//! A certified message as it is kept, and where it stands.

use jiff::Timestamp;

use super::{CertifiedId, CertifiedKind, MessageGroup, PlatformState};
use crate::domain::{AccountId, CallerName, Dir3, Reason, Reference, Sender};

/// Where a message stands between us and the platform; what became of it at its recipients is told for each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CertifiedMessageState {
    /// Recorded; being handed over.
    Sending,
    /// The platform took it.
    Sent,
    /// The platform did not take it; it was not sent and will not be.
    Failed,
    /// The platform may or may not have taken it. It is never handed over again; an event or a report settles it.
    Uncertain,
    /// Withdrawn on the platform before it was sent.
    Cancelled,
}

impl CertifiedMessageState {
    /// Every state.
    pub const ALL: [Self; 5] = [
        Self::Sending,
        Self::Sent,
        Self::Failed,
        Self::Uncertain,
        Self::Cancelled,
    ];

    /// The name used in the store, in metrics and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sending => "SENDING",
            Self::Sent => "SENT",
            Self::Failed => "FAILED",
            Self::Uncertain => "UNCERTAIN",
            Self::Cancelled => "CANCELLED",
        }
    }

    /// The state of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// One recipient of a message, as people may see them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertifiedRecipient {
    /// `+34•••••678`
    pub masked: Box<str>,
    /// The platform's last word, where it has said one.
    pub state: Option<PlatformState>,
    /// When that was, by the platform's clock, or when it came.
    pub state_time: Option<Timestamp>,
}

/// What the platform said when it took a message, or why it did not.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CertifiedSubmission {
    /// Its number there.
    pub group: Option<MessageGroup>,
    /// Why it is not sent, or not known to be.
    pub reason: Option<Reason>,
    /// The platform's own number of a refusal.
    pub code: Option<i64>,
    /// SMS that it took.
    pub messages: Option<u64>,
    /// Recipients that it did not take: a repeated or wrong number.
    pub not_sent: Option<u64>,
    /// What it cost, in the platform's credits.
    pub credits_used: Option<f64>,
    /// What it would have cost, where the credit was not enough.
    pub credits_needed: Option<f64>,
}

/// A certified message or contract.
#[derive(Debug, Clone, PartialEq)]
pub struct CertifiedMessage {
    /// Its id.
    pub id: CertifiedId,
    /// Who asked for it.
    pub caller: CallerName,
    /// Who pays.
    pub administration: Dir3,
    /// The account that carries it.
    pub account: AccountId,
    /// What kind.
    pub kind: CertifiedKind,
    /// What its recipients see as its origin.
    pub sender: Sender,
    /// The caller's own id.
    pub reference: Option<Reference>,
    /// Where it stands.
    pub state: CertifiedMessageState,
    /// What the platform said of it.
    pub submission: CertifiedSubmission,
    /// When it is to be sent; at once where there is none.
    pub send_time: Option<Timestamp>,
    /// Its recipients, in the order of the request.
    pub recipients: Vec<CertifiedRecipient>,
    /// When it was recorded.
    pub create_time: Timestamp,
    /// When it last changed.
    pub update_time: Timestamp,
}
