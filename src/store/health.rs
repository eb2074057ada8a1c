//! Whether the store works, told to whoever watches.
//!
//! Must not know: which store it is, who asks. What is told here is one line without data, so that it may stand on a page.

use std::sync::Arc;

use thiserror::Error;
use tokio::sync::watch;

use crate::telemetry::names;

/// What keeps the store from working. The texts say what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Trouble {
    /// No room.
    #[error("the disk is full: make room on the disk of store.url")]
    Full,
    /// Nothing can be written.
    #[error("the database is read-only: look at the mount and the permissions of store.url")]
    ReadOnly,
    /// Another program holds a lock.
    #[error(
        "another program keeps the database locked: end whatever works on the file of store.url"
    )]
    Locked,
    /// What is read makes no sense. It does not heal by itself.
    #[error(
        "the database is damaged: stop the service, repair the file of store.url or restore a backup, and start again"
    )]
    Damaged,
    /// The disk does not do its work.
    #[error(
        "the disk refuses to read or write: look at the system's log, the mount and the limits on file sizes"
    )]
    Disk,
    /// No answer in time.
    #[error(
        "the disk does not answer within store.max_wait_ms: look at its load and the system's log"
    )]
    Stalled,
    /// None of the above.
    #[error("the database refuses its work: look at this service's log")]
    Other,
}

impl Trouble {
    /// The label of metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::ReadOnly => "read_only",
            Self::Locked => "locked",
            Self::Damaged => "damaged",
            Self::Disk => "disk",
            Self::Stalled => "stalled",
            Self::Other => "other",
        }
    }
}

/// The store's trouble, where it has any. Clones are the same.
#[derive(Debug, Clone)]
pub struct Health(Arc<watch::Sender<Option<Trouble>>>);

impl Health {
    /// In health, until told otherwise.
    pub fn new() -> Self {
        metrics::gauge!(names::STORE_WORKS).set(1.0);
        Self(Arc::new(watch::Sender::new(None)))
    }

    /// What keeps the store from working now.
    pub fn trouble(&self) -> Option<Trouble> {
        *self.0.borrow()
    }

    /// Tells of every change.
    pub fn watch(&self) -> watch::Receiver<Option<Trouble>> {
        self.0.subscribe()
    }

    /// Something did not work. A damaged database stays damaged, whatever else is found, and what is known of the cause is not
    /// given up for the mere absence of an answer.
    /// Answers whether that is news.
    pub(super) fn failed(&self, trouble: Trouble) -> bool {
        self.0.send_if_modified(|now| {
            let changes = match *now {
                None | Some(Trouble::Stalled) => *now != Some(trouble),
                Some(Trouble::Damaged) => false,
                Some(known) => trouble != Trouble::Stalled && trouble != known,
            };
            if changes {
                metrics::gauge!(names::STORE_WORKS).set(0.0);
                tracing::error!(reason = %trouble, "store: does not work; nothing is accepted until it does");
                *now = Some(trouble);
            }
            changes
        })
    }

    /// A commit has reached the disk.
    pub(super) fn worked(&self) {
        self.0.send_if_modified(|now| {
            let changes = now.is_some() && *now != Some(Trouble::Damaged);
            if changes {
                metrics::gauge!(names::STORE_WORKS).set(1.0);
                tracing::info!("store: works again");
                *now = None;
            }
            changes
        });
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_goes_when_a_commit_reaches_the_disk() {
        let health = Health::new();
        for trouble in [Trouble::Stalled, Trouble::Full, Trouble::Locked] {
            health.failed(trouble);
            assert_eq!(health.trouble(), Some(trouble));
        }
        health.failed(Trouble::Stalled);
        assert_eq!(
            health.trouble(),
            Some(Trouble::Locked),
            "the cause is known"
        );
        health.worked();
        assert_eq!(health.trouble(), None);
    }

    #[test]
    fn a_damaged_database_does_not_heal_by_itself() {
        let health = Health::new();
        health.failed(Trouble::Damaged);
        health.worked();
        health.failed(Trouble::Full);
        assert_eq!(health.trouble(), Some(Trouble::Damaged));
    }

    #[test]
    fn every_trouble_is_told_in_one_line() {
        for trouble in [
            Trouble::Full,
            Trouble::ReadOnly,
            Trouble::Locked,
            Trouble::Damaged,
            Trouble::Disk,
            Trouble::Stalled,
            Trouble::Other,
        ] {
            assert!(!trouble.to_string().contains('\n'), "{trouble:?}");
        }
    }
}
