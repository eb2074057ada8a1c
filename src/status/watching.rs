//! One watcher of all changes: from where it was, without gap or repeat, for as long as it keeps up.
//!
//! Must not know: how changes are sent on.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::{
    Feed, ListFilter, ResumeToken, StatusError,
    feed::{Logged, Seat},
    within_scope,
};
use crate::{
    domain::{Caller, Delivery, Dir3},
    store::{Change, ChangePlace, StoreError},
    telemetry::names,
};

/// One thing that a watcher is told.
#[derive(Debug)]
pub struct Told {
    change: Option<Arc<Change>>,
    /// Where to go on after it.
    pub token: ResumeToken,
}

impl Told {
    /// The delivery as the change left it; `None` when nothing changed and only the token is new.
    pub fn delivery(&self) -> Option<&Delivery> {
        self.change.as_ref().map(|change| &change.delivery)
    }
}

/// Watches every change of some administrations.
#[derive(Debug)]
pub struct Watching {
    feed: Feed,
    /// Whose changes; `None` for all.
    administrations: Option<Vec<Dir3>>,
    /// All up to here has been told or is none of its business.
    place: ChangePlace,
    /// Read from the log and not yet told.
    read: VecDeque<Change>,
    seat: Option<Seat>,
    has_begun: bool,
    /// Uptime when something was last told.
    last_told: Duration,
}

impl Feed {
    /// Begins to watch what the caller may see: the changes behind the token's place, or those from now on.
    pub async fn watch(
        &self,
        caller: &Caller,
        administration: Option<Dir3>,
        token: Option<&str>,
    ) -> Result<Watching, StatusError> {
        let filter = ListFilter {
            administrations: administration.map(|dir3| vec![dir3]),
            ..ListFilter::default()
        };
        let administrations = within_scope(caller, filter)?.administrations;
        let place = match token {
            Some(token) => ResumeToken::parse(token)?.place_in(self.store().id())?,
            None => self.store().changes().log_end().place(),
        };
        let mut watching = Watching {
            feed: self.clone(),
            administrations,
            place,
            read: VecDeque::new(),
            seat: None,
            has_begun: false,
            last_told: self.clock().uptime(),
        };
        // A token that is of no use is refused before the stream begins.
        watching.catch_up().await?;
        Ok(watching)
    }
}

impl Watching {
    /// What comes next; waits for it. First of all the token alone, and again whenever nothing else was told for the
    /// heartbeat's time. May be dropped while it waits: nothing is lost.
    pub async fn next(&mut self) -> Result<Told, StatusError> {
        if !self.has_begun {
            self.has_begun = true;
            return Ok(self.tell(None));
        }
        loop {
            let silent = self.feed.clock().uptime().saturating_sub(self.last_told);
            let left = self.feed.settings().heartbeat.saturating_sub(silent);
            if left.is_zero() {
                return Ok(self.tell(None));
            }
            if let Some(change) = self.read.pop_front() {
                if let Some(told) = self.pass(&Arc::new(change)) {
                    return Ok(told);
                }
            } else if self.seat.is_some() {
                if let Some(logged) = self.take_seated(left).await?
                    && let Some(told) = self.take(&logged)?
                {
                    return Ok(told);
                }
            } else {
                self.catch_up().await?;
            }
        }
    }

    /// Returns when the watcher is so far behind that it must be cut off, because what it was told is not taken; never while
    /// it catches up from the log.
    pub async fn until_overrun(&self) -> StatusError {
        let mut told = self.feed.told();
        loop {
            told.borrow_and_update();
            let behind = self.seat.as_ref().map_or(0, Seat::len);
            if behind > self.feed.settings().buffer {
                return too_slow();
            }
            // The feed, and the sender in it, lives as long as this.
            let _ = told.changed().await;
        }
    }

    async fn catch_up(&mut self) -> Result<(), StatusError> {
        let (changes, seat) = self.feed.catch_up(self.place).await?;
        (self.read, self.seat) = (changes.into(), seat);
        Ok(())
    }

    /// The next change at the seat; `None` when `left` is over before one comes.
    async fn take_seated(&mut self, left: Duration) -> Result<Option<Arc<Logged>>, StatusError> {
        let Some(seat) = &mut self.seat else {
            return Ok(None);
        };
        let received = match seat.try_recv() {
            Ok(logged) => Ok(logged),
            Err(TryRecvError::Lagged(missed)) => Err(RecvError::Lagged(missed)),
            Err(TryRecvError::Closed) => Err(RecvError::Closed),
            Err(TryRecvError::Empty) => tokio::select! {
                received = seat.recv() => received,
                () = self.feed.clock().sleep(left) => return Ok(None),
            },
        };
        match received {
            Ok(logged) => Ok(Some(logged)),
            Err(RecvError::Lagged(_)) => Err(too_slow()),
            Err(RecvError::Closed) => Err(StoreError::Closed.into()),
        }
    }

    fn take(&mut self, logged: &Logged) -> Result<Option<Told>, StatusError> {
        let (here, number) = (self.place.number, logged.change.place.number);
        if number <= here {
            // Read from the log already.
            return Ok(None);
        }
        if logged.after > here {
            return Err(too_slow());
        }
        Ok(self.pass(&logged.change))
    }

    /// Goes past a change, and tells of it if it is the watcher's business.
    fn pass(&mut self, change: &Arc<Change>) -> Option<Told> {
        self.place = change.place;
        let administration = &change.delivery.administration;
        let concerns = self
            .administrations
            .as_ref()
            .is_none_or(|listed| listed.contains(administration));
        concerns.then(|| self.tell(Some(Arc::clone(change))))
    }

    fn tell(&mut self, change: Option<Arc<Change>>) -> Told {
        self.last_told = self.feed.clock().uptime();
        Told {
            change,
            token: ResumeToken::new(self.feed.store().id(), self.place),
        }
    }
}

/// What is missed is in the log: the watcher may begin again from its last token.
fn too_slow() -> StatusError {
    metrics::counter!(names::WATCHERS_CUT_OFF).increment(1);
    StatusError::WatcherTooSlow
}
