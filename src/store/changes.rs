//! Signals from the store: "read again".
//!
//! A signal carries no data, so a lost or doubled one does no harm beyond one more read; that of the log carries how far the
//! log reaches, the latest alone.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, watch};

use super::ChangePlace;
use crate::domain::{AccountId, DeliveryId};

/// Wakes lanes when work is stored for them and watchers when a delivery changes.
#[derive(Debug, Clone, Default)]
pub struct Changes(Arc<Registry>);

#[derive(Debug, Default)]
struct Registry {
    lanes: Mutex<HashMap<AccountId, Arc<Notify>>>,
    watched: Mutex<HashMap<DeliveryId, watch::Sender<()>>>,
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
    receiver: Option<watch::Receiver<()>>,
    registry: Arc<Registry>,
}

impl DeliveryWatch {
    /// Returns when the delivery has changed since the watch began or since the last call; never, once the store has
    /// been closed.
    pub async fn changed(&mut self) {
        let outcome = match &mut self.receiver {
            Some(receiver) => receiver.changed().await,
            None => return,
        };
        if outcome.is_err() {
            std::future::pending::<()>().await;
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
            .or_insert_with(|| watch::Sender::new(()))
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

    pub(super) fn changed(&self, ids: &[DeliveryId]) {
        let watched = lock(&self.0.watched);
        if watched.is_empty() {
            return;
        }
        for id in ids {
            if let Some(sender) = watched.get(id) {
                sender.send_replace(());
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
        changes.changed(&[id]);
        watch.changed().await;
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
