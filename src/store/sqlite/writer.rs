//! The one thread that writes, and commits in groups.
//!
//! While one group is on its way to the disk the next one gathers; one flush serves all that wait. A transaction's answer
//! leaves only when its group is on the disk. A transaction that meets an unreadable row fails alone: its group is rolled back
//! and each member is committed by itself.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    num::NonZeroUsize,
    thread,
    time::Duration,
};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::{change_log, troubles::Failure};
use crate::{
    crash_points::{self, Point},
    domain::{AccountId, DeliveryId},
    store::{Change, ChangePlace, Changes, Health, Lanes, StoreError, Trouble},
    telemetry::names,
};

/// What a transaction works with: the connection, and notes of what it changed.
pub(super) struct Unit<'a> {
    pub(super) connection: &'a Connection,
    changed: Vec<DeliveryId>,
    bells: BTreeSet<AccountId>,
    waiting: &'a HashMap<AccountId, u64>,
    /// How the lanes fare.
    pub(super) lanes: &'a Lanes,
    waiting_change: HashMap<AccountId, i64>,
    has_certified_event: bool,
}

impl Unit<'_> {
    /// Notes that a delivery changed: its watchers are woken after the commit.
    pub(super) fn note_change(&mut self, id: DeliveryId) {
        self.changed.push(id);
    }

    /// Notes that something was told of a certified message.
    pub(super) fn note_certified_event(&mut self) {
        self.has_certified_event = true;
    }

    /// Notes that a lane may have something to do.
    pub(super) fn note_bell(&mut self, account: &AccountId) {
        self.bells.insert(account.clone());
    }

    /// Notes that `by` more (or fewer) deliveries wait for an account.
    pub(super) fn note_waiting(&mut self, account: &AccountId, by: i64) {
        *self.waiting_change.entry(account.clone()).or_default() += by;
        if by > 0 {
            self.bells.insert(account.clone());
        }
    }

    /// How many deliveries wait for an account, this group's changes included.
    pub(super) fn waiting_for(&self, account: &AccountId) -> u64 {
        let before = self.waiting.get(account).copied().unwrap_or_default();
        let change = self
            .waiting_change
            .get(account)
            .copied()
            .unwrap_or_default();
        before.saturating_add_signed(change)
    }
}

/// How those of the changed deliveries have changed in this group that somebody watches. Where that cannot be read its watchers are
/// told to read: nothing fails because somebody watches.
fn told(
    changes: &Changes,
    connection: &Connection,
    touched: &[DeliveryId],
) -> BTreeMap<DeliveryId, Vec<Change>> {
    let watched = changes.watched_among(touched);
    if watched.is_empty() {
        return BTreeMap::new();
    }
    let begin = changes.log_end().place();
    let of = |id| Some((id, change_log::of_delivery(connection, id, begin).ok()?));
    watched.into_iter().filter_map(of).collect()
}

/// Whether the group is on the disk, or why not.
type Committed = Result<(), Failure>;

/// A transaction that waits for its group, with its way back to whoever asked.
trait Job: Send {
    /// Whether whoever asked has gone away; what nobody waits for any more is not done.
    fn is_abandoned(&self) -> bool;
    fn run(&mut self, unit: &mut Unit<'_>) -> rusqlite::Result<()>;
    fn answer(self: Box<Self>, committed: &Committed);
}

struct Pending<T, F> {
    transaction: F,
    value: Option<T>,
    sender: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Job for Pending<T, F>
where
    T: Send,
    F: FnMut(&mut Unit<'_>) -> rusqlite::Result<T> + Send,
{
    fn is_abandoned(&self) -> bool {
        self.sender.is_closed()
    }

    fn run(&mut self, unit: &mut Unit<'_>) -> rusqlite::Result<()> {
        // A value of an earlier run was rolled back.
        self.value = None;
        self.value = Some((self.transaction)(unit)?);
        Ok(())
    }

    fn answer(self: Box<Self>, committed: &Committed) {
        let result = match (committed, self.value) {
            (Ok(()), Some(value)) => Ok(value),
            (Err(failure), _) => Err(failure.clone().into()),
            // A group commits only when each member ran; if that were ever broken, nothing is answered OK.
            (Ok(()), None) => Err(StoreError::Unavailable(Trouble::Other)),
        };
        // Whoever asked may have gone away while the group was on its way to the disk.
        let _ = self.sender.send(result);
    }
}

/// Hands transactions to the writing thread.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Box<dyn Job>>,
    health: Health,
}

impl Writer {
    /// Starts the thread. It ends when the last handle is gone and all that was handed over is on the disk.
    pub(super) fn start(
        connection: Connection,
        waiting: HashMap<AccountId, u64>,
        (changes, lanes, health): (Changes, Lanes, Health),
        queue: NonZeroUsize,
        group: NonZeroUsize,
    ) -> std::io::Result<(Self, thread::JoinHandle<()>)> {
        let (jobs, receiver) = mpsc::channel(queue.get());
        let desk = Desk {
            connection,
            waiting,
            changes,
            lanes,
            health: health.clone(),
            group: group.get(),
        };
        let thread = thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || desk.run(receiver))?;
        Ok((Self { jobs, health }, thread))
    }

    /// Runs a transaction for a caller: refuses at once when too many wait or the store is known not to work, and answers
    /// within `max_wait`. A transaction that has not begun by then is never run.
    pub(super) async fn try_write<T: Send + 'static>(
        &self,
        max_wait: Duration,
        transaction: impl FnMut(&mut Unit<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        if let Some(trouble) = self.health.trouble() {
            return Err(StoreError::Unavailable(trouble));
        }
        let (job, answer) = job(transaction);
        self.jobs.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Busy,
            mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
        })?;
        if let Ok(answer) = tokio::time::timeout(max_wait, answer).await {
            return answer.map_err(|_| StoreError::Closed)?;
        }
        metrics::counter!(names::STORE_TIMEOUTS).increment(1);
        self.health.failed(Trouble::Stalled);
        Err(StoreError::Unavailable(Trouble::Stalled))
    }

    /// Runs a transaction; waits for its turn however many wait. For what must not be refused.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        transaction: impl FnMut(&mut Unit<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (job, answer) = job(transaction);
        self.jobs.send(job).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

type Answer<T> = oneshot::Receiver<Result<T, StoreError>>;

fn job<T: Send + 'static>(
    transaction: impl FnMut(&mut Unit<'_>) -> rusqlite::Result<T> + Send + 'static,
) -> (Box<dyn Job>, Answer<T>) {
    let (sender, receiver) = oneshot::channel();
    let job = Box::new(Pending {
        transaction,
        value: None,
        sender,
    });
    (job, receiver)
}

/// What is told after a commit.
struct Notes {
    changed: Vec<DeliveryId>,
    /// How those of them have changed that somebody watches.
    told: BTreeMap<DeliveryId, Vec<Change>>,
    bells: BTreeSet<AccountId>,
    waiting: HashMap<AccountId, i64>,
    log_end: ChangePlace,
    has_certified_event: bool,
}

struct Desk {
    connection: Connection,
    waiting: HashMap<AccountId, u64>,
    changes: Changes,
    lanes: Lanes,
    health: Health,
    group: usize,
}

impl Desk {
    fn run(mut self, mut receiver: mpsc::Receiver<Box<dyn Job>>) {
        let mut group = Vec::with_capacity(self.group);
        while let Some(first) = receiver.blocking_recv() {
            group.push(first);
            while group.len() < self.group
                && let Ok(next) = receiver.try_recv()
            {
                group.push(next);
            }
            group.retain(|job| !job.is_abandoned());
            if !group.is_empty() {
                self.commit_all(&mut group);
            }
        }
        // The last close also folds the write-ahead log back into the database.
        if let Err((_, error)) = self.connection.close() {
            tracing::warn!(%error, "store: the database was not closed cleanly; the next start repairs it");
        }
    }

    /// Commits a group as one, or each member by itself where one of them met an unreadable row.
    fn commit_all(&mut self, group: &mut Vec<Box<dyn Job>>) {
        metrics::histogram!(names::STORE_GROUP_SIZE)
            .record(f64::from(u32::try_from(group.len()).unwrap_or(u32::MAX)));
        let committed = self.commit(group);
        if matches!(committed, Err(Failure::Row(_))) && group.len() > 1 {
            for mut job in group.drain(..) {
                let committed = self.commit(std::slice::from_mut(&mut job));
                job.answer(&committed);
            }
        }
        for job in group.drain(..) {
            job.answer(&committed);
        }
    }

    /// Runs one group in one transaction and tells whoever watches.
    fn commit(&mut self, group: &mut [Box<dyn Job>]) -> Committed {
        match self.run_group(group) {
            Ok(notes) => {
                crash_points::reach(Point::AfterCommit);
                self.publish(notes);
                Ok(())
            }
            Err(error) => Err(self.note_failure(&error, group.len())),
        }
    }

    fn note_failure(&self, error: &rusqlite::Error, transactions: usize) -> Failure {
        let failure = Failure::of(error);
        let (cause, is_news) = match &failure {
            Failure::Trouble(trouble) => (trouble.label(), self.health.failed(*trouble)),
            Failure::Row(_) => ("row", true),
        };
        metrics::counter!(names::STORE_FAILURES, "cause" => cause).increment(1);
        // What is tried again and again must not fill the log too.
        if is_news {
            tracing::error!(%error, transactions, cause, "store: not committed");
        } else {
            tracing::debug!(%error, transactions, cause, "store: not committed again");
        }
        failure
    }

    fn run_group(&mut self, group: &mut [Box<dyn Job>]) -> rusqlite::Result<Notes> {
        if !self.connection.is_autocommit() {
            // A rollback that failed with the disk: without this no group would ever begin again.
            self.connection.execute_batch("ROLLBACK")?;
        }
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut unit = Unit {
            connection: &transaction,
            changed: Vec::new(),
            bells: BTreeSet::new(),
            waiting: &self.waiting,
            lanes: &self.lanes,
            waiting_change: HashMap::new(),
            has_certified_event: false,
        };
        // Beginning may have waited for a lock of another program.
        for job in group.iter_mut().filter(|job| !job.is_abandoned()) {
            // Leaving early drops the transaction, which rolls it back.
            job.run(&mut unit)?;
        }
        let told = told(&self.changes, &transaction, &unit.changed);
        let notes = Notes {
            changed: unit.changed,
            told,
            bells: unit.bells,
            waiting: unit.waiting_change,
            log_end: change_log::CHANGES.end(&transaction)?,
            has_certified_event: unit.has_certified_event,
        };
        crash_points::reach(Point::BeforeCommit);
        transaction.commit()?;
        Ok(notes)
    }

    fn publish(&mut self, notes: Notes) {
        for (account, change) in notes.waiting {
            let waiting = self.waiting.entry(account).or_default();
            *waiting = waiting.saturating_add_signed(change);
        }
        for account in &notes.bells {
            self.changes.ring(account);
        }
        self.changes.changed(&notes.changed, notes.told);
        self.changes.log_reaches(notes.log_end);
        if notes.has_certified_event {
            self.changes.certified_grew();
        }
    }
}
