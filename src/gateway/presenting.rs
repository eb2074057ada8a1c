//! Who may present the account's credentials: nobody, between a rejection and its record.
//!
//! Must not know: what a rejection looks like, how it is recorded.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// Counts rejections, and those of them that the store knows. Between the two only this tells a free place of the lane that
/// its password is not to be presented again (decision 0004).
#[derive(Debug, Default)]
pub(super) struct Presenting(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    rejected: u32,
    /// Of these, recorded: from then on a lease tells whether the lane is closed.
    recorded: u32,
    /// Cancelled by the next rejection.
    revoked: CancellationToken,
}

/// Given before a lease: what was leased may go out unless a rejection has come since.
#[derive(Debug, Clone)]
pub(super) struct Permit(CancellationToken);

/// A rejection that is being recorded.
#[derive(Debug)]
pub(super) struct Rejection(Arc<Presenting>);

impl Presenting {
    /// `None` while the record of a rejection is under way: the store would still call the lane open.
    pub(super) fn permit(&self) -> Option<Permit> {
        let counted = self.counted();
        (counted.recorded == counted.rejected).then(|| Permit(counted.revoked.clone()))
    }

    /// Takes every permit back.
    pub(super) fn reject(self: &Arc<Self>) -> Rejection {
        let mut counted = self.counted();
        counted.rejected += 1;
        std::mem::take(&mut counted.revoked).cancel();
        drop(counted);
        Rejection(Arc::clone(self))
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        // Nothing in here can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// Whether nothing has been rejected since.
    pub(super) fn is_valid(&self) -> bool {
        !self.0.is_cancelled()
    }

    /// Cancelled when something is.
    pub(super) fn revoked(&self) -> CancellationToken {
        self.0.clone()
    }
}

impl Rejection {
    /// It is on the disk. Where this is never said the lane sends nothing more: a rejection that nobody knows of would be
    /// forgotten.
    pub(super) fn recorded(self) {
        self.0.counted().recorded += 1;
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
}
