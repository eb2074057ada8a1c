//! The port to the store: what is kept about deliveries, and the named transactions on it.
//!
//! Must not know: gateways, gRPC, retry policy. Codes, texts and numbers are sealed before they reach a file. The store is
//! the truth; its signals ([`Changes`]) only wake those who then read.

mod certified;
mod change_log;
mod changes;
mod content;
mod health;
mod key_file;
mod lanes;
mod reports;
pub mod sealing;
pub mod sqlite;
mod ways;

use std::{fmt, num::NonZeroU32};

use async_trait::async_trait;
use jiff::Timestamp;
use thiserror::Error;

use crate::domain::{
    AccountId, Alias, AttemptToken, CallerName, CredentialsVersion, Delivery, DeliveryId,
    DeliveryState, Dir3, EffectiveSender, Encoding, GatewayMessageId, Language, OneTimeCode,
    OriginHost, Purpose, Reason, Recipient, Reference, RequestId, SecretText, Sender,
};

pub use certified::{
    CertifiedBegun, CertifiedEffect, CertifiedReceipt, CertifiedStore, EventPage, KeptEvent,
    NewCertified, NewCertifiedEvent,
};
pub use change_log::{Change, ChangePage, ChangePlace, ForgottenChanges, StoreId};
pub use changes::{Changes, DeliveryWatch, LaneBell, LogEnd};
pub use content::Content;
pub use health::{Health, Trouble};
pub use lanes::{LaneReport, Lanes, Share};
pub use reports::{Applied, ForgottenReports, NewReport, ReportEffect};
pub use ways::{HandOver, Lawful, Neighbour, Way, Which};

/// Identifies a request: repeats of it are one delivery.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestKey {
    /// Who asks.
    pub caller: CallerName,
    /// The id that the caller chose.
    pub request_id: RequestId,
}

/// A delivery about to be accepted: routed and composed.
#[derive(Debug)]
pub struct NewDelivery {
    /// Its id.
    pub id: DeliveryId,
    /// The request that asks for it.
    pub key: RequestKey,
    /// What the request said, for telling a repeat from another request under the same id.
    pub content: Content,
    /// Who pays.
    pub administration: Dir3,
    /// The account and sender that are to carry it.
    pub way: Way,
    /// The other lawful ways, in order: one of them takes it where the first takes nothing, or cannot send it.
    pub other_ways: Vec<Way>,
    /// Who gets it.
    pub recipient: Recipient,
    /// The composed text.
    pub text: SecretText,
    /// Why the code is sent.
    pub purpose: Purpose,
    /// The language of the text.
    pub language: Language,
    /// The encoding of the text.
    pub encoding: Encoding,
    /// Billed SMS parts.
    pub segments: u8,
    /// The caller's own id.
    pub reference: Option<Reference>,
    /// Now.
    pub create_time: Timestamp,
    /// When the code stops being worth anything.
    pub expire_time: Timestamp,
}

/// What became of an acceptance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acceptance {
    /// Stored: it is on the disk.
    Stored(Delivery),
    /// The same request had been accepted before.
    Replayed(Delivery),
    /// Another request had been accepted under this id.
    Reused,
    /// Too many deliveries wait for this account, and no other way takes it.
    QueueFull,
    /// The account takes nothing new.
    LaneClosed(LaneClosure),
    /// Behind all that waits, the code would come too late.
    CannotArriveInTime,
}

/// Why a lane takes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaneClosure {
    /// Its operator paused it.
    Paused,
    /// The gateway rejects the account's credentials.
    CredentialsRejected,
    /// The account has no credit at its gateway.
    NoCredit,
}

/// What is known of a request id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receipt {
    /// The same request made this delivery.
    Same(Delivery),
    /// Another request took the id.
    Reused,
}

/// What became of a cancellation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cancellation {
    /// Withdrawn before submission (or withdrawn earlier).
    Cancelled(Delivery),
    /// Too late, in this state.
    TooLate(DeliveryState),
    /// No such delivery.
    NotFound,
}

/// Asks for the work of one lane.
#[derive(Debug, Clone)]
pub struct LeaseRequest {
    /// Whose lane.
    pub account: AccountId,
    /// Most deliveries to take.
    pub limit: NonZeroU32,
    /// Now.
    pub now: Timestamp,
    /// A code that expires at or before this moment cannot make it any more: now plus the gateway's expected latency.
    pub must_outlive: Timestamp,
    /// What the account may send today.
    pub lawful: Lawful,
    /// The other accounts, in order: they get what this one may not send any more.
    pub neighbours: Vec<Neighbour>,
    /// Until when a report may settle these attempts, should nobody record an outcome; `None` where the gateway sends none.
    pub report_deadline: Option<Timestamp>,
}

/// Deliveries whose attempt is committed as started under one token.
#[derive(Debug)]
pub struct Leased {
    /// Counts only with this token can record an outcome.
    pub token: AttemptToken,
    /// The work, oldest first.
    pub work: Vec<Work>,
    /// What was leased but cannot be opened with the installation's key: it must be settled too.
    pub unreadable: Vec<DeliveryId>,
    /// Why there is no work, where the lane is closed.
    pub closed: Option<LaneClosure>,
    /// When the next delivery that waits is due, where there is one and no work was found: past if this lease did not come to
    /// the end of what is due.
    pub next_due: Option<Timestamp>,
    /// What became of deliveries that may not go out here any more.
    pub unlawful: Unlawful,
}

/// What a lease made of due deliveries that the account may not send today, under their sender or to the region of their number:
/// how many there were of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unlawful {
    /// Leased, under the common number.
    pub renamed: u64,
    /// Moved to another account of their administration.
    pub moved: u64,
    /// Waiting on, for another account that may send them and cannot just now.
    pub waiting: u64,
    /// Ended, since there is no other way.
    pub ended: u64,
}

/// One leased delivery with its secrets in clear.
#[derive(Debug, Clone)]
pub struct Work {
    /// Which delivery.
    pub id: DeliveryId,
    /// Who gets it.
    pub recipient: Recipient,
    /// What it says.
    pub text: SecretText,
    /// The sender on the wire.
    pub sender: Sender,
    /// When the code stops being worth anything.
    pub expire_time: Timestamp,
    /// When it was stored.
    pub create_time: Timestamp,
    /// Billed SMS parts.
    pub segments: u8,
    /// How many attempts there are, this one included.
    pub attempt: u32,
    /// Whether an attempt of unknown outcome came before: this one is the resend that its account asks for.
    pub maybe_sent: bool,
}

/// What a lane says about one delivery after an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// The gateway took it.
    Sent {
        /// Its id there.
        message_id: Option<GatewayMessageId>,
        /// Until when a report may follow; `None` where the gateway sends none.
        report_deadline: Option<Timestamp>,
    },
    /// It will not arrive.
    Failed {
        /// Why.
        reason: Reason,
        /// The gateway's own code.
        code: Option<i64>,
    },
    /// Nothing was sent; it waits again.
    Waiting {
        /// Not before this moment.
        not_before: Timestamp,
        /// Why it was not sent.
        reason: Reason,
        /// The gateway's own code.
        code: Option<i64>,
    },
    /// It may or may not have been sent, and its account asks for one resend: it waits again, and is never called unsent.
    Resending {
        /// Not before this moment.
        not_before: Timestamp,
        /// What was seen.
        reason: Reason,
    },
    /// Nothing was sent and its time is over.
    Expired,
    /// It may or may not have been sent.
    Uncertain {
        /// What was seen.
        reason: Reason,
        /// Until when a report may settle it; `None` where the gateway sends none.
        report_deadline: Option<Timestamp>,
    },
}

/// How to settle what a process that is gone left behind.
#[derive(Debug, Clone)]
pub struct Recovery {
    /// Now.
    pub now: Timestamp,
    /// Accounts that ask for one resend of what is uncertain.
    pub resend_once: Vec<AccountId>,
}

/// What a process that is gone left behind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Attempts of unknown outcome: now `UNCERTAIN`.
    pub uncertain: u64,
    /// Attempts of unknown outcome whose account asks for one resend: waiting again.
    pub waiting: u64,
    /// Attempts of unknown outcome about which a report had come already: `DELIVERED` or `FAILED`.
    pub reported: u64,
    /// Deliveries from the future: the clock went back while no process ran, so nobody can say whether they are late. Now
    /// `EXPIRED`.
    pub from_the_future: u64,
}

/// What became of the messages of one sender to Spanish numbers, submitted in some hours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderFigures {
    /// The account that sent them.
    pub account: AccountId,
    /// What the citizens see.
    pub sender: EffectiveSender,
    /// How many the gateway took.
    pub sent: u64,
    /// How many of these a report says the handset has.
    pub delivered: u64,
    /// How many of these a report says will not arrive.
    pub undelivered: u64,
}

/// Closes a lane because of what its gateway says about the account.
#[derive(Debug, Clone)]
pub struct LaneClosing {
    /// Whose lane.
    pub account: AccountId,
    /// What its gateway says.
    pub cause: ClosingCause,
}

/// Why a gateway makes a lane close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClosingCause {
    /// It rejects these credentials; others open the lane again.
    Credentials(CredentialsVersion),
    /// The account has no credit; whoever gave it some resumes the account.
    NoCredit,
}

/// Which deliveries to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListFilter {
    /// Only of these administrations; `None` for all.
    pub administrations: Option<Vec<Dir3>>,
    /// Only in these states; empty for all.
    pub states: Vec<DeliveryState>,
    /// Only stored at or after this moment.
    pub created_from: Option<Timestamp>,
    /// Only stored before this moment.
    pub created_until: Option<Timestamp>,
    /// Only with this reference.
    pub reference: Option<Reference>,
}

/// Place in the order of acceptance, newest highest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sequence(pub i64);

/// A page of deliveries, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The deliveries.
    pub deliveries: Vec<Delivery>,
    /// Where the next page begins, if there is one.
    pub next: Option<Sequence>,
}

/// Why the store did not do what it was asked. Nothing was changed unless the variant says otherwise.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Too much waits for the disk: try again soon.
    #[error("the store has more waiting than it may hold (store.queue)")]
    Busy,
    /// The store cannot read or write, or not in time; it may recover by itself. What was asked in time may still have been
    /// written where the answer is [`Trouble::Stalled`].
    #[error("{0}")]
    Unavailable(Trouble),
    /// A row holds what no version of this program writes.
    #[error(
        "the store holds a row that cannot be read: {0}; restore a backup or ask the developers"
    )]
    Corrupt(String),
    /// The process is ending.
    #[error("the store is closed")]
    Closed,
}

/// Keeps deliveries. Every method is one named transaction; none is open while it returns.
#[async_trait]
pub trait Store: Send + Sync + fmt::Debug {
    /// Stores a delivery and answers when it is on the disk; settles races of one request id.
    async fn accept(&self, new: NewDelivery) -> Result<Acceptance, StoreError>;
    /// What is known of a request.
    async fn receipt_of(
        &self,
        key: &RequestKey,
        content: &Content,
    ) -> Result<Option<Receipt>, StoreError>;
    /// One delivery.
    async fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, StoreError>;
    /// One delivery as it is now; the place is the end of the log of changes at that moment, so that what is told behind it has
    /// followed.
    async fn delivery_now(&self, id: DeliveryId) -> Result<Option<Change>, StoreError>;
    /// The changes of one delivery behind a place in the log, in their order, as far as they are kept.
    async fn changes_of(
        &self,
        id: DeliveryId,
        place: ChangePlace,
    ) -> Result<Vec<Change>, StoreError>;
    /// A page of deliveries older than `before`.
    async fn list(
        &self,
        filter: ListFilter,
        before: Option<Sequence>,
        limit: NonZeroU32,
    ) -> Result<Page, StoreError>;
    /// Withdraws a delivery that has not been submitted.
    async fn cancel(&self, id: DeliveryId, now: Timestamp) -> Result<Cancellation, StoreError>;
    /// Takes the due work of a lane: what is too late becomes `EXPIRED`, the rest `SENDING` with a recorded attempt.
    async fn lease(&self, request: LeaseRequest) -> Result<Leased, StoreError>;
    /// Records what became of leased deliveries, and closes the lane where that follows; a delivery that is no longer
    /// held under `token` is left alone.
    async fn settle(
        &self,
        token: AttemptToken,
        settlements: Vec<(DeliveryId, Settlement)>,
        closing: Option<LaneClosing>,
        now: Timestamp,
    ) -> Result<(), StoreError>;
    /// Gives deliveries that wait, and of which nothing may have been sent, to other accounts of their administration; answers
    /// how many.
    async fn hand_over(&self, request: HandOver) -> Result<u64, StoreError>;
    /// Keeps what a gateway says about a message and lets it settle the delivery; idempotent.
    async fn apply_report(&self, report: NewReport) -> Result<Applied, StoreError>;
    /// Forgets reports received before that moment which no delivery was ever known for.
    async fn forget_early_reports(&self, before: Timestamp)
    -> Result<ForgottenReports, StoreError>;
    /// Whether a lane may work with these credentials; others than the rejected ones open it again.
    async fn open_lane(
        &self,
        account: AccountId,
        credentials: CredentialsVersion,
    ) -> Result<bool, StoreError>;
    /// Pauses a lane: nothing new is taken and nothing that waits is sent.
    async fn pause_lane(&self, account: AccountId, now: Timestamp) -> Result<(), StoreError>;
    /// Opens a lane again, whatever closed it, and wakes it.
    async fn resume_lane(&self, account: AccountId) -> Result<(), StoreError>;
    /// Why a lane takes nothing, where it does not.
    async fn closure_of(&self, account: AccountId) -> Result<Option<LaneClosure>, StoreError>;
    /// Turns every waiting delivery that expires at or before `now` into `EXPIRED`; answers how many.
    async fn expire_overdue(&self, now: Timestamp) -> Result<u64, StoreError>;
    /// Settles what a process that is gone left behind; only at start.
    async fn recover(&self, recovery: Recovery) -> Result<Recovered, StoreError>;
    /// How many deliveries wait, for each account that has any.
    async fn waiting(&self) -> Result<Vec<(AccountId, u64)>, StoreError>;
    /// The beginning of the last hour in which each account submitted something to a Spanish number under the alias; `None`
    /// where it never did.
    async fn last_uses(
        &self,
        aliases: Vec<(AccountId, Alias)>,
    ) -> Result<Vec<Option<Timestamp>>, StoreError>;
    /// What became of messages to Spanish numbers that were submitted in the whole hours from `from` on and before `until`,
    /// for each account and sender.
    async fn sender_figures(
        &self,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<SenderFigures>, StoreError>;
    /// The changes that follow a place in the log, at most `limit`: every one that is committed, in the order of commits.
    async fn changes_after(
        &self,
        place: ChangePlace,
        limit: NonZeroU32,
    ) -> Result<ChangePage, StoreError>;
    /// Deletes a piece of the log: entries from before a moment, at most `limit`, the newest entry never.
    async fn forget_changes(
        &self,
        before: Timestamp,
        limit: NonZeroU32,
    ) -> Result<ForgottenChanges, StoreError>;
    /// Tells this store from others.
    fn id(&self) -> StoreId;
    /// The signals of this store.
    fn changes(&self) -> &Changes;
    /// How the lanes that work on this store fare.
    fn lanes(&self) -> &Lanes;
}

/// The parts of a request that make its content: all that the caller wrote, nothing that was derived.
#[derive(Debug, Clone)]
pub struct ContentParts<'a> {
    /// Who pays.
    pub administration: &'a Dir3,
    /// Who gets it.
    pub recipient: &'a Recipient,
    /// The code.
    pub code: &'a OneTimeCode,
    /// Why it is sent.
    pub purpose: Purpose,
    /// The language as asked.
    pub language: &'a str,
    /// When the code stops being worth anything.
    pub expire_time: Timestamp,
    /// Host for the origin-bound line.
    pub origin: Option<&'a OriginHost>,
    /// The sender as asked.
    pub sender: Option<&'a Sender>,
    /// The caller's own id.
    pub reference: Option<&'a Reference>,
}
