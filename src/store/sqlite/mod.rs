//! The embedded store: one SQLite file in WAL mode, every commit flushed to the disk.
//!
//! One thread writes and commits in groups, a few read. Sealing and opening happen on the caller's side: the writing
//! thread is the narrow place of the whole product.

mod certified;
mod change_log;
mod log;
mod readers;
mod reads;
mod rows;
mod schema;
mod senders;
mod transactions;
mod troubles;
mod writer;

use std::{
    fmt,
    num::{NonZeroU32, NonZeroUsize},
    path::{Path, PathBuf},
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;

use super::{
    Acceptance, Applied, Cancellation, Change, ChangePage, ChangePlace, Changes, Content,
    ForgottenChanges, ForgottenReports, HandOver, Health, LaneClosing, LaneClosure, Lanes,
    LeaseRequest, Leased, ListFilter, NewDelivery, NewReport, Page, Receipt, Recovered, Recovery,
    RequestKey, SenderFigures, Sequence, Settlement, Store, StoreError, StoreId, Trouble, Work,
    sealing::{OpenError, Sealer},
    ways,
};
use crate::domain::{
    AccountId, Alias, AttemptToken, CredentialsVersion, Delivery, DeliveryId, Sender,
};
use readers::Readers;
pub use schema::OpenStoreError;
use schema::Ownership;
use transactions::{SealedDelivery, SealedReport, SealedWork};
use writer::Writer;

/// How long a caller waits unless it is said otherwise.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// How the embedded store works.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// The database file; made where there is none.
    pub path: PathBuf,
    /// Most transactions that may wait for the disk (`store.queue`).
    pub queue: NonZeroUsize,
    /// Most transactions in one commit (`store.max_group`).
    pub max_group: NonZeroUsize,
    /// Reading threads.
    pub readers: NonZeroUsize,
}

/// The embedded store.
pub struct SqliteStore {
    // Dropped in this order: the threads end when their senders are gone, then the file is given up.
    writer: Writer,
    readers: Readers,
    sealer: Arc<Sealer>,
    changes: Changes,
    lanes: Lanes,
    health: Health,
    id: StoreId,
    max_wait: Duration,
    threads: Mutex<Vec<JoinHandle<()>>>,
    _ownership: Ownership,
}

impl SqliteStore {
    /// Opens the database, brings it up to date and becomes its only owner.
    pub fn open(options: &SqliteOptions, sealer: Arc<Sealer>) -> Result<Self, OpenStoreError> {
        let path: &Path = &options.path;
        let not_writable = |reason: String| OpenStoreError::NotWritable {
            path: path.to_owned(),
            reason,
        };
        let (ownership, connection) = schema::prepare(path, &sealer)?;
        let waiting =
            reads::waiting(&connection).map_err(|error| OpenStoreError::of(path, &error))?;
        let (changes, lanes, health) = (Changes::default(), Lanes::default(), Health::new());
        let (id, end) = change_log::store_id(&connection)
            .and_then(|id| Ok((id, change_log::CHANGES.end(&connection)?)))
            .map_err(|error| OpenStoreError::of(path, &error))?;
        changes.log_reaches(end);
        let reading = (0..options.readers.get())
            .map(|_| schema::connect_reader(path))
            .collect::<rusqlite::Result<Vec<_>>>()
            .map_err(|error| OpenStoreError::of(path, &error))?;
        let (readers, mut threads) = Readers::start(reading, health.clone(), options.queue)
            .map_err(|e| not_writable(e.to_string()))?;
        let (writer, thread) = Writer::start(
            connection,
            waiting.into_iter().collect(),
            (changes.clone(), lanes.clone(), health.clone()),
            options.queue,
            options.max_group,
        )
        .map_err(|error| not_writable(error.to_string()))?;
        threads.push(thread);
        Ok(Self {
            writer,
            readers,
            sealer,
            changes,
            lanes,
            health,
            id,
            max_wait: MAX_WAIT,
            threads: Mutex::new(threads),
            _ownership: ownership,
        })
    }

    /// Makes every call of a caller end within `max_wait`, two seconds unless this is called (`store.max_wait_ms`). Lanes wait
    /// as long as it takes: what they know must reach the disk.
    #[must_use]
    pub fn answering_within(mut self, max_wait: Duration) -> Self {
        self.max_wait = max_wait;
        self
    }

    /// Whether it works.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Tries whether a commit reaches the disk, and lets [`Self::health`] know. Returns when that is known, which takes as
    /// long as the disk takes; it is called stalled when that is longer than callers wait.
    pub async fn probe(&self) {
        let mut probe = pin!(self.writer.write(transactions::touch));
        let in_time = tokio::time::timeout(self.max_wait, &mut probe).await;
        let outcome = if let Ok(outcome) = in_time {
            outcome
        } else {
            self.health.failed(Trouble::Stalled);
            probe.await
        };
        // The writer has told of a failure.
        if outcome.is_ok() {
            self.health.worked();
        }
    }

    /// Ends the threads when all that was handed over is on the disk. Blocks: not for the reactor.
    pub fn close(self) {
        let Self {
            writer,
            readers,
            threads,
            ..
        } = self;
        let mut threads = threads.into_inner().unwrap_or_else(PoisonError::into_inner);
        // The one that writes comes last: only it can fold the log back into the database, and only as the last that is open.
        let writing = threads.pop();
        drop(readers);
        for thread in threads {
            // A thread that panicked has said so already.
            let _ = thread.join();
        }
        drop(writer);
        if let Some(thread) = writing {
            let _ = thread.join();
        }
    }

    fn open_work(&self, sealed: &SealedWork) -> Result<Work, (DeliveryId, OpenError)> {
        let failed = |error| (sealed.id, error);
        Ok(Work {
            id: sealed.id,
            recipient: self
                .sealer
                .open_recipient(sealed.id, &sealed.sealed_recipient)
                .map_err(failed)?,
            text: self
                .sealer
                .open_text(sealed.id, &sealed.sealed_text)
                .map_err(failed)?,
            sender: Sender::from_stored(&sealed.sender).map_err(|_| failed(OpenError))?,
            expire_time: sealed.expire_time,
            create_time: sealed.create_time,
            segments: sealed.segments,
            attempt: sealed.attempt,
            maybe_sent: sealed.maybe_sent,
        })
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SqliteStore")
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn accept(&self, new: NewDelivery) -> Result<Acceptance, StoreError> {
        let sealed = SealedDelivery {
            masked_recipient: new.recipient.masked().into_boxed_str(),
            fingerprint: self.sealer.fingerprint(&new.content),
            recipient_hash: self.sealer.recipient_hash(&new.recipient),
            sealed_recipient: self.sealer.seal_recipient(new.id, &new.recipient),
            sealed_text: self.sealer.seal_text(new.id, &new.text),
            ways: ways::to_stored(&new.way, &new.other_ways),
            new,
        };
        self.writer
            .try_write(self.max_wait, move |unit| {
                transactions::accept(unit, &sealed)
            })
            .await
    }

    async fn receipt_of(
        &self,
        key: &RequestKey,
        content: &Content,
    ) -> Result<Option<Receipt>, StoreError> {
        let key = key.clone();
        let fingerprint = self.sealer.fingerprint(content);
        self.readers
            .read(self.max_wait, move |connection| {
                reads::receipt_of(connection, &key, &fingerprint)
            })
            .await
    }

    async fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, StoreError> {
        self.readers
            .read(self.max_wait, move |connection| {
                reads::delivery(connection, id)
            })
            .await
    }

    async fn delivery_now(&self, id: DeliveryId) -> Result<Option<Change>, StoreError> {
        self.readers
            .read(self.max_wait, move |connection| {
                change_log::delivery_now(connection, id)
            })
            .await
    }

    async fn changes_of(
        &self,
        id: DeliveryId,
        place: ChangePlace,
    ) -> Result<Vec<Change>, StoreError> {
        self.readers
            .read(self.max_wait, move |connection| {
                change_log::of_delivery(connection, id, place)
            })
            .await
    }

    async fn list(
        &self,
        filter: ListFilter,
        before: Option<Sequence>,
        limit: NonZeroU32,
    ) -> Result<Page, StoreError> {
        self.readers
            .read(self.max_wait, move |connection| {
                reads::list(connection, &filter, before, limit)
            })
            .await
    }

    async fn cancel(&self, id: DeliveryId, now: Timestamp) -> Result<Cancellation, StoreError> {
        self.writer
            .try_write(self.max_wait, move |unit| {
                transactions::cancel(unit, id, now)
            })
            .await
    }

    async fn lease(&self, request: LeaseRequest) -> Result<Leased, StoreError> {
        // What a damaged database says may be wrong, and a code that is sent cannot be taken back.
        if self.health.trouble() == Some(Trouble::Damaged) {
            return Err(StoreError::Unavailable(Trouble::Damaged));
        }
        let token = AttemptToken::random();
        let found = self
            .writer
            .write(move |unit| transactions::lease(unit, &request, token))
            .await?;
        let mut leased = Leased {
            token,
            work: Vec::with_capacity(found.work.len()),
            unreadable: Vec::new(),
            closed: found.closed,
            next_due: found.next_due,
            unlawful: found.unlawful,
        };
        for sealed in found.work {
            match self.open_work(&sealed) {
                Ok(work) => leased.work.push(work),
                Err((id, error)) => {
                    tracing::error!(delivery = %id, %error, "store: a delivery cannot be opened and will not be sent");
                    leased.unreadable.push(id);
                }
            }
        }
        Ok(leased)
    }

    async fn settle(
        &self,
        token: AttemptToken,
        settlements: Vec<(DeliveryId, Settlement)>,
        closing: Option<LaneClosing>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.writer
            .write(move |unit| {
                for (id, settlement) in &settlements {
                    transactions::settle(unit, token, *id, settlement, now)?;
                }
                match &closing {
                    Some(closing) => transactions::close_lane(unit, closing, now),
                    None => Ok(()),
                }
            })
            .await
    }

    async fn hand_over(&self, request: HandOver) -> Result<u64, StoreError> {
        let mut moved = 0;
        let mut after = Some(0);
        // A backlog is looked at in parts, between which the others' transactions come to their turn.
        while let Some(last) = after {
            let request = request.clone();
            let part = self
                .writer
                .write(move |unit| transactions::hand_over(unit, &request, last))
                .await?;
            moved += part.moved;
            after = part.go_on_after;
        }
        Ok(moved)
    }

    async fn apply_report(&self, report: NewReport) -> Result<Applied, StoreError> {
        let recipient = report.report.recipient.as_ref();
        let sealed = SealedReport {
            recipient_hash: recipient.map(|number| self.sealer.reported_hash(number)),
            new: report,
        };
        self.writer
            .try_write(self.max_wait, move |unit| {
                transactions::apply_report(unit, &sealed)
            })
            .await
    }

    async fn forget_early_reports(
        &self,
        before: Timestamp,
    ) -> Result<ForgottenReports, StoreError> {
        self.writer
            .write(move |unit| transactions::forget_early_reports(unit, before))
            .await
    }

    async fn open_lane(
        &self,
        account: AccountId,
        credentials: CredentialsVersion,
    ) -> Result<bool, StoreError> {
        self.writer
            .write(move |unit| transactions::open_lane(unit, &account, credentials))
            .await
    }

    async fn expire_overdue(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.writer
            .write(move |unit| transactions::expire_overdue(unit, now))
            .await
    }

    async fn pause_lane(&self, account: AccountId, now: Timestamp) -> Result<(), StoreError> {
        self.writer
            .write(move |unit| transactions::pause_lane(unit, &account, now))
            .await
    }

    async fn resume_lane(&self, account: AccountId) -> Result<(), StoreError> {
        self.writer
            .write(move |unit| transactions::resume_lane(unit, &account))
            .await
    }

    async fn closure_of(&self, account: AccountId) -> Result<Option<LaneClosure>, StoreError> {
        self.readers
            .read(self.max_wait, move |connection| {
                transactions::closure_of(connection, &account)
            })
            .await
    }

    async fn recover(&self, recovery: Recovery) -> Result<Recovered, StoreError> {
        self.writer
            .write(move |unit| transactions::recover(unit, &recovery))
            .await
    }

    async fn waiting(&self) -> Result<Vec<(AccountId, u64)>, StoreError> {
        self.readers.read(self.max_wait, reads::waiting).await
    }

    async fn last_uses(
        &self,
        aliases: Vec<(AccountId, Alias)>,
    ) -> Result<Vec<Option<Timestamp>>, StoreError> {
        self.readers
            .read(self.max_wait, move |connection| {
                senders::last_uses(connection, &aliases)
            })
            .await
    }

    async fn changes_after(
        &self,
        place: ChangePlace,
        limit: NonZeroU32,
    ) -> Result<ChangePage, StoreError> {
        self.readers
            .read(self.max_wait, move |connection| {
                change_log::after(connection, place, limit)
            })
            .await
    }

    async fn sender_figures(
        &self,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<SenderFigures>, StoreError> {
        self.readers
            .read(self.max_wait, move |connection| {
                senders::figures(connection, from, until)
            })
            .await
    }

    async fn forget_changes(
        &self,
        before: Timestamp,
        limit: NonZeroU32,
    ) -> Result<ForgottenChanges, StoreError> {
        self.writer
            .write(move |unit| change_log::CHANGES.forget(unit, before, limit))
            .await
    }

    fn id(&self) -> StoreId {
        self.id
    }

    fn changes(&self) -> &Changes {
        &self.changes
    }

    fn lanes(&self) -> &Lanes {
        &self.lanes
    }
}

/// Counts of rows are far below 2^63.
fn to_signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
