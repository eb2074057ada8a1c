//! Who may present the account's credentials: nobody, between a rejection and its record.
//!
//! Must not know: what a rejection looks like, how it is recorded.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

/// Counts rejections, and those of them that the store knows. Between the two only this tells a free place of the lane that
/// its password is not to be presented again (decision 0004).
#[derive(Debug, Default)]
pub(super) struct Presenting {
    rejected: AtomicU32,
    /// Of these, recorded: from then on a lease tells whether the lane is closed.
    recorded: AtomicU32,
}

/// Given before a lease: what was leased may go out unless a rejection has come since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Permit(u32);

/// A rejection that is being recorded; dropped when that is done.
#[derive(Debug)]
pub(super) struct Rejection(Arc<Presenting>);

impl Presenting {
    /// `None` while the record of a rejection is under way: the store would still call the lane open.
    pub(super) fn permit(&self) -> Option<Permit> {
        // In this order: what has been recorded was counted before.
        let recorded = self.recorded.load(Ordering::SeqCst);
        let rejected = self.rejected.load(Ordering::SeqCst);
        (recorded == rejected).then_some(Permit(rejected))
    }

    /// Whether nothing has been rejected since.
    pub(super) fn is_valid(&self, permit: Permit) -> bool {
        self.rejected.load(Ordering::SeqCst) == permit.0
    }

    /// Takes every permit back.
    pub(super) fn reject(self: &Arc<Self>) -> Rejection {
        self.rejected.fetch_add(1, Ordering::SeqCst);
        Rejection(Arc::clone(self))
    }
}

impl Drop for Rejection {
    fn drop(&mut self) {
        self.0.recorded.fetch_add(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permit_from_before_a_rejection_is_worth_nothing_and_new_ones_come_when_all_are_recorded() {
        let presenting = Arc::new(Presenting::default());
        let early = presenting.permit().unwrap();
        assert!(presenting.is_valid(early));
        let (first, second) = (presenting.reject(), presenting.reject());
        assert!(!presenting.is_valid(early));
        assert_eq!(presenting.permit(), None);
        drop(second);
        assert_eq!(presenting.permit(), None, "the first is not recorded yet");
        drop(first);
        let late = presenting.permit().unwrap();
        assert!(presenting.is_valid(late));
        assert!(!presenting.is_valid(early), "for good");
    }
}
