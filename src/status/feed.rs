//! The feed of changes: one reader of the log for all watchers.
//!
//! Must not know: how changes come to be, how they are sent on. However many watch, each change is read once while all keep
//! up; who begins further back reads the log for itself until it has caught up.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use tokio::sync::{Semaphore, broadcast, watch};
use tokio_util::sync::CancellationToken;

use super::StatusError;
use crate::{
    clock::Clock,
    store::{Change, ChangePage, ChangePlace, LogEnd, Store, StoreError},
    telemetry::names,
};

/// Most changes read at a time. No key: it bounds how long a reader of the store is busy and what is held for one watcher, and is seen
/// by nobody; who is further behind reads again.
const PAGE: NonZeroU32 = NonZeroU32::new(200).unwrap();
/// Reads of those who catch up, at a time. No key: with one more than this, those who catch up could hold both readers of the store,
/// and whoever asks for one delivery must find one free.
const CATCHING_UP_AT_A_TIME: usize = 1;
/// Rest after a read that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// How the feed works.
#[derive(Debug, Clone, Copy)]
pub struct FeedSettings {
    /// Changes that a watcher may be behind before it is cut off (`grpc.watch_buffer`); rounded up to a power of two.
    pub buffer: usize,
    /// How long a watch may be silent (`grpc.watch_heartbeat_seconds`).
    pub heartbeat: Duration,
}

/// A change on its way to the watchers.
#[derive(Debug)]
pub(super) struct Logged {
    /// Number of the entry before it: whoever has not seen that one misses something.
    pub(super) after: i64,
    pub(super) change: Arc<Change>,
}

/// The feed of one process.
#[derive(Debug, Clone)]
pub struct Feed(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    settings: FeedSettings,
    sender: broadcast::Sender<Arc<Logged>>,
    /// Marked when changes have been told.
    told: watch::Sender<()>,
    catching_up: Semaphore,
}

/// Reads the log for the feed, as long as it runs.
#[derive(Debug)]
pub struct Tailer {
    feed: Feed,
    end: LogEnd,
    place: ChangePlace,
}

impl Feed {
    /// A feed, and what keeps it going: without its tailer, watchers see what was before and nothing new.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        settings: FeedSettings,
    ) -> (Self, Tailer) {
        let settings = FeedSettings {
            buffer: settings.buffer.next_power_of_two(),
            ..settings
        };
        let mut end = store.changes().log_end();
        let place = end.place();
        let feed = Self(Arc::new(Shared {
            store,
            clock,
            settings,
            sender: broadcast::Sender::new(settings.buffer),
            told: watch::Sender::new(()),
            catching_up: Semaphore::new(CATCHING_UP_AT_A_TIME),
        }));
        let tailer = Tailer {
            feed: feed.clone(),
            end,
            place,
        };
        (feed, tailer)
    }

    pub(super) fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    pub(super) fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }

    pub(super) fn settings(&self) -> FeedSettings {
        self.0.settings
    }

    pub(super) fn told(&self) -> watch::Receiver<()> {
        self.0.told.subscribe()
    }

    /// What follows a place, for one watcher; and, where that was all, its seat at the feed, with neither gap nor repeat
    /// between the two but what the place of a change tells.
    pub(super) async fn catch_up(
        &self,
        place: ChangePlace,
    ) -> Result<(Vec<Change>, Option<Seat>), StatusError> {
        // The semaphore is never closed.
        let _turn = self.0.catching_up.acquire().await;
        // Taken before the log is read: what is committed after the read comes by the seat. Not before its turn: waiting for
        // others must not make it late.
        let seat = self.0.sender.subscribe();
        let changes = match self.read(place, "watcher").await? {
            ChangePage::Changes(changes) => changes,
            ChangePage::Forgotten => return Err(StatusError::ResumeTokenExpired),
            ChangePage::Unknown => return Err(super::ResumeTokenError.into()),
        };
        let is_all = changes.len() < PAGE.get() as usize;
        Ok((changes, is_all.then_some(seat)))
    }

    async fn read(
        &self,
        place: ChangePlace,
        reader: &'static str,
    ) -> Result<ChangePage, StoreError> {
        metrics::counter!(names::CHANGE_PAGES_READ, "reader" => reader).increment(1);
        self.0.store.changes_after(place, PAGE).await
    }
}

/// A seat at the feed.
pub(super) type Seat = broadcast::Receiver<Arc<Logged>>;

impl Tailer {
    /// Tells the watchers of every change until the service stops.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.end.grown() => {}
            }
            while let Err(error) = self.tell().await {
                tracing::error!(%error, "status: the log of changes was not read; watchers wait, and it is tried again");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.feed.0.clock.sleep(AFTER_FAILURE) => {}
                }
            }
        }
    }

    /// Tells what the log has more than before.
    async fn tell(&mut self) -> Result<(), StoreError> {
        let shared = Arc::clone(&self.feed.0);
        // The end is looked at before the seats: whoever takes one later reads the log later, and finds in it what is passed
        // over here.
        let end = self.end.place();
        if shared.sender.receiver_count() == 0 {
            self.place = end;
            return Ok(());
        }
        while self.place.number < end.number {
            let changes = match self.feed.read(self.place, "feed").await? {
                ChangePage::Changes(changes) => changes,
                ChangePage::Forgotten | ChangePage::Unknown => Vec::new(),
            };
            if changes.is_empty() {
                tracing::error!(
                    from = self.place.number,
                    to = end.number,
                    "status: the log of changes lacks entries; watchers are cut off and begin again from the log"
                );
                self.place = end;
            }
            for change in changes {
                let after = self.place.number;
                self.place = change.place;
                let change = Arc::new(change);
                // Whoever had a seat may have left.
                let _ = shared.sender.send(Arc::new(Logged { after, change }));
            }
            shared.told.send_replace(());
        }
        Ok(())
    }
}
