//! The port to what is kept of certified messages: recorded before the platform is asked, settled once, and what becomes of them.
//!
//! Must not know: the platform, gRPC. Numbers and citizens' words are sealed before they reach a file; texts and attachments
//! never reach one.

use std::num::NonZeroU32;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;

use super::{
    ChangePlace, Content, ForgottenChanges, LaneClosing, LaneClosure, RequestKey, Store, StoreError,
};
use crate::domain::{
    AccountId, Dir3, Recipient,
    certified::{
        CertifiedEvent, CertifiedId, CertifiedMessage, CertifiedMessageState, CertifiedNews,
        CertifiedSubmission, SendTime,
    },
};

/// A message about to be handed over.
#[derive(Debug)]
pub struct NewCertified {
    /// As it stands before: `SENDING`.
    pub message: CertifiedMessage,
    /// The request that asks for it.
    pub key: RequestKey,
    /// What the request said, for telling a repeat from another request under the same id.
    pub content: Content,
    /// Who gets it, in the order of `message.recipients`.
    pub recipients: Vec<Recipient>,
}

/// What is known of a request id.
#[derive(Debug, Clone, PartialEq)]
pub enum CertifiedReceipt {
    /// The same request made this message.
    Same(Box<CertifiedMessage>),
    /// Another request took the id.
    Reused,
}

/// What became of recording a message.
#[derive(Debug, Clone, PartialEq)]
pub enum CertifiedBegun {
    /// It is on the disk, and nobody else hands it over.
    Recorded,
    /// The request had been taken before.
    Known(CertifiedReceipt),
    /// The account takes nothing new.
    LaneClosed(LaneClosure),
}

/// An event, with where and when it came.
#[derive(Debug, Clone)]
pub struct NewCertifiedEvent {
    /// The account whose platform says it.
    pub account: AccountId,
    /// What it says.
    pub event: CertifiedEvent,
    /// Whether we asked: then it is told of a group, in which a number may stand because of an earlier message.
    pub was_asked: bool,
    /// Now.
    pub receive_time: Timestamp,
    /// Most events that are kept of one message (`certified.events_per_message`).
    pub limit: NonZeroU32,
}

/// What an event came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertifiedEffect {
    /// Kept, and whoever watches is told.
    Kept {
        /// Whether it says that a message was taken of which that was not known.
        settled: bool,
    },
    /// The same had come before.
    Repeated,
    /// No message of this account is known under its ids.
    Unknown,
    /// It names nobody that its message was sent to: not believed.
    AnotherRecipient,
    /// Its message has as many as are kept.
    TooMany,
}

impl CertifiedEffect {
    /// The name used in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kept { settled: true } => "certified_settled",
            Self::Kept { settled: false } => "certified_kept",
            Self::Repeated => "certified_repeated",
            Self::Unknown => "certified_unknown",
            Self::AnotherRecipient => "certified_another_recipient",
            Self::TooMany => "certified_too_many",
        }
    }
}

/// An event as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptEvent {
    /// The place right behind it in the log of events.
    pub place: ChangePlace,
    /// Its message.
    pub message: CertifiedId,
    /// Who pays for that.
    pub administration: Dir3,
    /// The account that carried it.
    pub account: AccountId,
    /// Which of its recipients, from 0.
    pub recipient: u32,
    /// `+34•••••678`
    pub masked_recipient: Box<str>,
    /// What happened; the words of an answer only where they can still be opened.
    pub news: CertifiedNews,
    /// When it happened, by the platform's clock.
    pub time: Option<Timestamp>,
    /// When we were told.
    pub receive_time: Timestamp,
}

/// What follows a place in the log of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventPage {
    /// The next events in their order; none at the end of the log.
    Events(Vec<KeptEvent>),
    /// Events behind this place are not kept any more.
    Forgotten,
    /// This log has no such place.
    Unknown,
}

/// Keeps certified messages, beside deliveries. Every method is one named transaction; none is open while it returns.
#[async_trait]
pub trait CertifiedStore: Store {
    /// Records a message before it is handed over; settles races of one request id.
    async fn begin_certified(&self, new: NewCertified) -> Result<CertifiedBegun, StoreError>;
    /// What is known of a request.
    async fn certified_receipt(
        &self,
        key: &RequestKey,
        content: &Content,
    ) -> Result<Option<CertifiedReceipt>, StoreError>;
    /// Records what became of handing over; answers the message as it is then. What an event has settled meanwhile stays so.
    async fn settle_certified(
        &self,
        id: CertifiedId,
        state: CertifiedMessageState,
        submission: CertifiedSubmission,
        now: Timestamp,
    ) -> Result<Option<CertifiedMessage>, StoreError>;
    /// One message.
    async fn certified(&self, id: CertifiedId) -> Result<Option<CertifiedMessage>, StoreError>;
    /// The number of one of its recipients, from 0; `None` where there is no such one or it cannot be opened.
    async fn certified_recipient(
        &self,
        id: CertifiedId,
        place: u32,
    ) -> Result<Option<Recipient>, StoreError>;
    /// Records that the platform cancelled a message, and with it all that wait in its group.
    async fn certified_cancelled(
        &self,
        id: CertifiedId,
        now: Timestamp,
    ) -> Result<Option<CertifiedMessage>, StoreError>;
    /// Records that the platform moved a message, and with it all that wait in its group.
    async fn certified_moved(
        &self,
        id: CertifiedId,
        send_time: SendTime,
        now: Timestamp,
    ) -> Result<Option<CertifiedMessage>, StoreError>;
    /// Keeps what the platform says about a message; idempotent.
    async fn apply_certified_event(
        &self,
        new: NewCertifiedEvent,
    ) -> Result<CertifiedEffect, StoreError>;
    /// The events that follow a place in their log, at most `limit`.
    async fn certified_events_after(
        &self,
        place: ChangePlace,
        limit: NonZeroU32,
    ) -> Result<EventPage, StoreError>;
    /// The end of the log of events.
    async fn certified_events_end(&self) -> Result<ChangePlace, StoreError>;
    /// Deletes a piece of the log of events: those received before a moment, at most `limit`, the newest never.
    async fn forget_certified_events(
        &self,
        before: Timestamp,
        limit: NonZeroU32,
    ) -> Result<ForgottenChanges, StoreError>;
    /// Closes a lane because of what its platform says about the account.
    async fn close_lane(&self, closing: LaneClosing, now: Timestamp) -> Result<(), StoreError>;
    /// Settles what a process that is gone was handing over: now `UNCERTAIN`. Only at start; answers how many.
    async fn recover_certified(&self, now: Timestamp) -> Result<u64, StoreError>;
    /// Is marked when the log of events has grown.
    fn certified_grew(&self) -> watch::Receiver<()>;
}
