//! Signals from the store.
//!
//! Most say "read again" and carry no data, so a lost or doubled one does no harm beyond one more read; that of the log carries how
//! far the log reaches, the latest alone. Who watches one delivery is told each of its changes, and to read again where some were
//! lost.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, broadcast, watch};

use super::{Change, ChangePlace};
use crate::domain::{AccountId, DeliveryId};

/// Wakes lanes when work is stored for them and watchers when a delivery changes.
#[derive(Debug, Clone, Default)]
pub struct Changes(Arc<Registry>);

/// A change of a watched delivery; `None`: read it again.
type Told = Option<Arc<Change>>;

/// Changes of a delivery that a watcher may be behind; a delivery has few.
const BEHIND: usize = 16;

#[derive(Debug, Default)]
struct Registry {
    lanes: Mutex<HashMap<AccountId, Arc<Notify>>>,
    watched: Mutex<HashMap<DeliveryId, broadcast::Sender<Told>>>,
    log: watch::Sender<ChangePlace>,
    certified: watch::Sender<()>,
}

/// Tells how far the log of changes reaches, and when it reaches further.
#[derive(Debug, Clone)]
pub struct LogEnd(watch::Receiver<ChangePlace>);

impl LogEnd {
    /// The last place: whatever was answered before this call is not behind it.
    pub fn place(&mut self) -> ChangePlace {
        *self.0.borrow_and_update()
    }

    /// Returns when the log has grown since [`Self::place`] was last asked, or since this was made; never, once the store
    /// has been closed.
    pub async fn grown(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Rings when there may be work for one lane.
#[derive(Debug, Clone)]
pub struct LaneBell(Arc<Notify>);

impl LaneBell {
    /// Returns when the bell has rung since the last call; a ring before the call is not lost.
    pub async fn rung(&self) {
        self.0.notified().await;
    }
}

/// Tells when one delivery has changed. The registry forgets the delivery when the last of its watches is dropped.
#[derive(Debug)]
pub struct DeliveryWatch {
    id: DeliveryId,
    receiver: Option<broadcast::Receiver<Told>>,
    registry: Arc<Registry>,
}

impl DeliveryWatch {
    /// The next change of the delivery since the watch began, in the order of the log; `None` where the delivery is to be read
    /// again, as when this was not called for long. Returns never, once the store has been closed.
    pub async fn changed(&mut self) -> Option<Arc<Change>> {
        match self.receiver.as_mut()?.recv().await {
            Ok(told) => told,
            Err(broadcast::error::RecvError::Lagged(_)) => None,
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

impl Drop for DeliveryWatch {
    fn drop(&mut self) {
        let mut watched = lock(&self.registry.watched);
        drop(self.receiver.take());
        if watched
            .get(&self.id)
            .is_some_and(|sender| sender.receiver_count() == 0)
        {
            watched.remove(&self.id);
        }
    }
}

impl Changes {
    /// The bell of an account's lane.
    pub fn lane(&self, account: &AccountId) -> LaneBell {
        LaneBell(Arc::clone(
            lock(&self.0.lanes).entry(account.clone()).or_default(),
        ))
    }

    /// Begins to watch a delivery; read it after this call, so that no change falls in between.
    pub fn watch(&self, id: DeliveryId) -> DeliveryWatch {
        let receiver = lock(&self.0.watched)
            .entry(id)
            .or_insert_with(|| broadcast::Sender::new(BEHIND))
            .subscribe();
        DeliveryWatch {
            id,
            receiver: Some(receiver),
            registry: Arc::clone(&self.0),
        }
    }

    /// The end of the log of changes.
    pub fn log_end(&self) -> LogEnd {
        LogEnd(self.0.log.subscribe())
    }

    pub(super) fn log_reaches(&self, place: ChangePlace) {
        self.0.log.send_if_modified(|end| {
            let has_grown = *end != place;
            *end = place;
            has_grown
        });
    }

    /// Is marked when something was told of a certified message.
    pub fn certified(&self) -> watch::Receiver<()> {
        self.0.certified.subscribe()
    }

    pub(super) fn certified_grew(&self) {
        self.0.certified.send_replace(());
    }

    pub(super) fn ring(&self, account: &AccountId) {
        if let Some(bell) = lock(&self.0.lanes).get(account) {
            bell.notify_one();
        }
    }

    /// Those of them that somebody watches.
    pub(super) fn watched_among(&self, ids: &[DeliveryId]) -> BTreeSet<DeliveryId> {
        let watched = lock(&self.0.watched);
        if watched.is_empty() {
            return BTreeSet::new();
        }
        let ids = ids.iter().filter(|id| watched.contains_key(id));
        ids.copied().collect()
    }

    /// What has changed, and how, of those that were watched at the time. Whoever has begun to watch since is to read again: what
    /// they have read may be from before.
    pub(super) fn changed(&self, ids: &[DeliveryId], told: BTreeMap<DeliveryId, Vec<Change>>) {
        let watched = lock(&self.0.watched);
        if watched.is_empty() {
            return;
        }
        // Nobody listens where the last watch has just ended.
        for id in ids.iter().filter(|id| !told.contains_key(id)) {
            if let Some(sender) = watched.get(id) {
                let _ = sender.send(None);
            }
        }
        for (id, changes) in told {
            if let Some(sender) = watched.get(&id) {
                for change in changes {
                    let _ = sender.send(Some(Arc::new(change)));
                }
            }
        }
    }
}

/// A panic while the lock was held cannot leave the maps half-changed, so its mark is passed over.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_watch_sees_a_change_made_before_it_waits() {
        let changes = Changes::default();
        let id = DeliveryId::new(jiff::Timestamp::UNIX_EPOCH);
        let mut watch = changes.watch(id);
        changes.changed(&[id], BTreeMap::new());
        assert!(watch.changed().await.is_none(), "it is to be read");
    }

    #[test]
    fn a_delivery_nobody_watches_is_forgotten() {
        let changes = Changes::default();
        let id = DeliveryId::new(jiff::Timestamp::UNIX_EPOCH);
        let first = changes.watch(id);
        let second = changes.watch(id);
        drop(first);
        assert_eq!(lock(&changes.0.watched).len(), 1);
        drop(second);
        assert!(lock(&changes.0.watched).is_empty());
    }

    #[tokio::test]
    async fn a_growth_of_the_log_is_told_once_and_the_same_end_is_none() {
        let changes = Changes::default();
        let mut end = changes.log_end();
        let place = ChangePlace { number: 3, mark: 1 };
        changes.log_reaches(place);
        end.grown().await;
        assert_eq!(end.place(), place);
        changes.log_reaches(place);
        let again = std::pin::pin!(end.grown());
        assert!(futures_util::FutureExt::now_or_never(again).is_none());
    }

    #[tokio::test]
    async fn a_bell_rung_before_the_lane_listens_is_heard() {
        let changes = Changes::default();
        let account = AccountId::parse("madrid-mn").unwrap();
        let bell = changes.lane(&account);
        changes.ring(&account);
        bell.rung().await;
    }
}
