//! Who may present an account's credentials: one request while nobody knows whether the platform takes them, and none between a
//! rejection and its record.
//!
//! Must not know: what a rejection looks like, how it is recorded.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Shared by all that speak to an account's platform, its lane and what asks about certified messages alike: the password is the
/// same (decision 0004).
#[derive(Debug)]
pub struct Presenting {
    known: Mutex<Known>,
    /// One place: whoever has it tries what nobody has proven.
    trial: Arc<Semaphore>,
    /// Rings for the lane when a trial has ended that kept it waiting.
    trial_ended: Notify,
}

/// Counts rejections, and those of them that the store knows. Between the two only this tells a free place that the password is
/// not to be presented again.
#[derive(Debug, Default)]
struct Known {
    rejected: u32,
    /// Of these, recorded: from then on the store tells whether the account is closed.
    recorded: u32,
    /// Cancelled by the next rejection.
    revoked: CancellationToken,
    /// The platform has answered these credentials with anything but a rejection of them.
    is_proven: bool,
    /// Others are presented instead.
    is_retired: bool,
    lane_waits: bool,
}

/// What is begun with it may go out unless a rejection has come since.
#[derive(Debug, Clone)]
pub struct Permit(CancellationToken);

/// A rejection that is being recorded.
#[derive(Debug)]
pub struct Rejection(Arc<Presenting>);

/// The one request that tries credentials of which nothing is known. Ends when dropped.
#[derive(Debug)]
pub struct Trial {
    presenting: Arc<Presenting>,
    /// There until the end.
    place: Option<OwnedSemaphorePermit>,
}

impl Default for Presenting {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
            trial: Arc::new(Semaphore::new(1)),
            trial_ended: Notify::new(),
        }
    }
}

impl Presenting {
    /// Taken before it is looked whether the account is closed. `None` while the record of a rejection is under way: the store
    /// would still call it open.
    pub fn permit(&self) -> Option<Permit> {
        let known = self.known();
        (known.recorded == known.rejected).then(|| Permit(known.revoked.clone()))
    }

    /// Takes every permit back, and what was proven.
    pub fn reject(self: &Arc<Self>) -> Rejection {
        let mut known = self.known();
        known.rejected += 1;
        known.is_proven = false;
        std::mem::take(&mut known.revoked).cancel();
        drop(known);
        Rejection(Arc::clone(self))
    }

    /// The platform has taken the credentials. What was begun before a rejection proves nothing about them after it.
    pub fn prove(&self, permit: &Permit) {
        let mut known = self.known();
        known.is_proven |= permit.is_valid();
    }

    /// Nothing is known of them any more: they may be others behind the same name.
    pub fn doubt(&self) {
        self.known().is_proven = false;
    }

    /// Others are presented from now on: what is said of these concerns what has begun with them alone.
    pub(super) fn retire(&self) {
        self.known().is_retired = true;
    }

    /// Whether others are presented instead.
    pub fn is_retired(&self) -> bool {
        self.known().is_retired
    }

    /// Whether they have ever been rejected.
    pub fn was_rejected(&self) -> bool {
        self.known().rejected > 0
    }

    /// Whether several requests may present them at a time.
    pub fn is_proven(&self) -> bool {
        self.known().is_proven
    }

    /// The trial, for the account's lane; `None` while another holds it, whose end [`Self::trial_ended`] tells.
    pub fn try_trial(self: &Arc<Self>) -> Option<Trial> {
        let mut known = self.known();
        let place = Arc::clone(&self.trial).try_acquire_owned().ok();
        known.lane_waits = place.is_none();
        drop(known);
        place.map(|place| self.trial_at(place))
    }

    /// Returns when a trial that kept the lane waiting has ended, be it before this call.
    pub async fn trial_ended(&self) {
        self.trial_ended.notified().await;
    }

    /// For whoever can wait: the trial, or `None` as soon as the credentials are proven.
    pub async fn trial_unless_proven(self: &Arc<Self>) -> Option<Trial> {
        if self.is_proven() {
            return None;
        }
        // It is never closed.
        let place = Arc::clone(&self.trial).acquire_owned().await.ok()?;
        let trial = self.trial_at(place);
        (!self.is_proven()).then_some(trial)
    }

    fn trial_at(self: &Arc<Self>, place: OwnedSemaphorePermit) -> Trial {
        Trial {
            presenting: Arc::clone(self),
            place: Some(place),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Nothing in here can panic half-way.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        let mut known = self.presenting.known();
        // First: who wakes finds it free.
        self.place = None;
        if std::mem::take(&mut known.lane_waits) {
            self.presenting.trial_ended.notify_one();
        }
    }
}

impl Permit {
    /// Whether nothing has been rejected since.
    pub fn is_valid(&self) -> bool {
        !self.0.is_cancelled()
    }

    /// Cancelled when something is.
    pub fn revoked(&self) -> CancellationToken {
        self.0.clone()
    }
}

impl Rejection {
    /// It is on the disk. Where this is never said nothing more is sent: a rejection that nobody knows of would be forgotten.
    pub fn recorded(self) {
        self.0.known().recorded += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permit_from_before_a_rejection_is_worth_nothing_and_new_ones_come_when_all_are_recorded() {
        let presenting = Arc::new(Presenting::default());
        let early = presenting.permit().unwrap();
        assert!(early.is_valid());
        let (first, second) = (presenting.reject(), presenting.reject());
        assert!(!early.is_valid());
        assert!(early.revoked().is_cancelled());
        assert!(presenting.permit().is_none());
        second.recorded();
        assert!(presenting.permit().is_none(), "the first is not yet");
        first.recorded();
        let late = presenting.permit().unwrap();
        assert!(late.is_valid());
        assert!(!early.is_valid(), "for good");
    }

    #[test]
    fn a_rejection_whose_record_failed_keeps_the_lane_shut() {
        let presenting = Arc::new(Presenting::default());
        drop(presenting.reject());
        assert!(presenting.permit().is_none());
    }

    #[test]
    fn a_late_answer_to_what_was_begun_before_a_rejection_proves_nothing() {
        let presenting = Arc::new(Presenting::default());
        let early = presenting.permit().unwrap();
        presenting.prove(&early);
        assert!(presenting.is_proven());
        presenting.reject().recorded();
        assert!(!presenting.is_proven());
        presenting.prove(&early);
        assert!(!presenting.is_proven());
        presenting.prove(&presenting.permit().unwrap());
        assert!(presenting.is_proven());
        presenting.doubt();
        assert!(!presenting.is_proven());
    }

    #[tokio::test]
    async fn one_tries_at_a_time_and_the_others_learn_when_that_is_over() {
        let presenting = Arc::new(Presenting::default());
        let trial = presenting.trial_unless_proven().await.unwrap();
        assert!(presenting.try_trial().is_none());
        let waiting = tokio::spawn({
            let presenting = Arc::clone(&presenting);
            async move { presenting.trial_unless_proven().await.is_some() }
        });
        tokio::task::yield_now().await;
        presenting.prove(&presenting.permit().unwrap());
        drop(trial);
        assert!(!waiting.await.unwrap(), "nothing is left to be tried");
        presenting.trial_ended().await;
        assert!(presenting.try_trial().is_some());
    }
}
