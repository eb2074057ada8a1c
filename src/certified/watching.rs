//! What the platform tells of certified messages, in the order in which it was kept, for whoever watches; and the forgetting of
//! what is old.
//!
//! Must not know: how events come, how they are sent on.

use std::{collections::VecDeque, num::NonZeroU32, sync::Arc, time::Duration};

use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::Refusal;
use crate::{
    clock::Clock,
    domain::{Caller, Dir3, Role, Scope},
    status::{ResumeToken, StatusError},
    store::{CertifiedStore, ChangePlace, EventPage, KeptEvent},
    telemetry::names,
};

/// Most events read at a time. No key: it bounds how long a reader of the store is busy, and is seen by nobody. Never zero, as the
/// compiler sees.
const PAGE: NonZeroU32 = NonZeroU32::new(100).unwrap();
/// Reads of watchers at a time: whoever asks for one message must find a reader of the store free.
const READING_AT_A_TIME: usize = 1;
/// How often old events are forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(60);
/// Most events forgotten in one transaction. No key: it bounds how long the writing thread is busy, and is seen by nobody.
const FORGET_PIECE: NonZeroU32 = NonZeroU32::new(1000).unwrap();
/// Tells the token of this log from that of deliveries.
const TOKEN_MARK: &str = "c";

/// The events of all certified messages.
///
/// Each watcher reads the log for itself when it has grown: there are few of them, and few events, and one that does not read
/// holds up nobody.
#[derive(Debug, Clone)]
pub struct Events {
    store: Arc<dyn CertifiedStore>,
    clock: Arc<dyn Clock>,
    heartbeat: Duration,
    reading: Arc<Semaphore>,
}

/// One thing that a watcher is told.
#[derive(Debug)]
pub struct ToldEvent {
    /// What was told; `None` when nothing was and only the token is new.
    pub event: Option<KeptEvent>,
    /// Where to go on after it.
    pub token: String,
}

/// Watches the events of some administrations.
#[derive(Debug)]
pub struct EventWatch {
    events: Events,
    /// Whose; `None` for all.
    administrations: Option<Vec<Dir3>>,
    /// All up to here has been told or is none of its business.
    place: ChangePlace,
    read: VecDeque<KeptEvent>,
    grew: watch::Receiver<()>,
    has_begun: bool,
    /// Uptime when something was last told.
    last_told: Duration,
}

impl Events {
    /// The events in a store; a watch is silent no longer than `heartbeat` (`grpc.watch_heartbeat_seconds`).
    pub fn new(store: Arc<dyn CertifiedStore>, clock: Arc<dyn Clock>, heartbeat: Duration) -> Self {
        Self {
            store,
            clock,
            heartbeat,
            reading: Arc::new(Semaphore::new(READING_AT_A_TIME)),
        }
    }

    /// Begins to watch what the caller may see: what is behind the token's place, or what comes from now on.
    pub async fn watch(
        &self,
        caller: &Caller,
        administration: Option<Dir3>,
        token: Option<&str>,
    ) -> Result<EventWatch, Refusal> {
        if !caller.has(Role::Certified) {
            return Err(Refusal::NotAvailable);
        }
        let administrations = match (administration, &caller.scope) {
            (Some(asked), scope) if scope.covers(&asked) => Some(vec![asked]),
            (Some(_), _) => return Err(Refusal::NotAvailable),
            (None, Scope::All) => None,
            (None, Scope::Only(listed)) => Some(listed.clone()),
        };
        // Before the end is looked at, so that no growth falls in between.
        let grew = self.store.certified_grew();
        let place = match token {
            Some(token) => token
                .strip_prefix(TOKEN_MARK)
                .ok_or(crate::status::ResumeTokenError)
                .and_then(ResumeToken::parse)
                .and_then(|token| token.place_in(self.store.id()))
                .map_err(StatusError::from)?,
            None => self.store.certified_events_end().await?,
        };
        let mut watch = EventWatch {
            events: self.clone(),
            administrations,
            place,
            read: VecDeque::new(),
            grew,
            has_begun: false,
            last_told: self.clock.uptime(),
        };
        // A token that is of no use is refused before the stream begins.
        watch.read().await?;
        Ok(watch)
    }
}

impl EventWatch {
    /// What comes next; waits for it. First of all the token alone, and again whenever nothing was told for the heartbeat's time.
    /// May be dropped while it waits: nothing is lost.
    pub async fn next(&mut self) -> Result<ToldEvent, Refusal> {
        if !self.has_begun {
            self.has_begun = true;
            return Ok(self.tell(None));
        }
        loop {
            while let Some(event) = self.read.pop_front() {
                self.place = event.place;
                let concerns = self
                    .administrations
                    .as_ref()
                    .is_none_or(|listed| listed.contains(&event.administration));
                if concerns {
                    return Ok(self.tell(Some(event)));
                }
            }
            // Marked before the log is read: what is committed after the read marks it again.
            self.grew.borrow_and_update();
            self.read().await?;
            if !self.read.is_empty() {
                continue;
            }
            let clock = Arc::clone(&self.events.clock);
            let silent = clock.uptime().saturating_sub(self.last_told);
            let left = self.events.heartbeat.saturating_sub(silent);
            tokio::select! {
                grown = self.grew.changed() => grown.map_err(|_| Refusal::ShuttingDown)?,
                () = clock.sleep(left) => return Ok(self.tell(None)),
            }
        }
    }

    async fn read(&mut self) -> Result<(), Refusal> {
        // The semaphore is never closed.
        let _turn = self.events.reading.acquire().await;
        let store = &self.events.store;
        self.read = match store.certified_events_after(self.place, PAGE).await? {
            EventPage::Events(events) => events.into(),
            EventPage::Forgotten => return Err(StatusError::ResumeTokenExpired.into()),
            EventPage::Unknown => {
                return Err(StatusError::from(crate::status::ResumeTokenError).into());
            }
        };
        Ok(())
    }

    fn tell(&mut self, event: Option<KeptEvent>) -> ToldEvent {
        self.last_told = self.events.clock.uptime();
        let token = ResumeToken::new(self.events.store.id(), self.place);
        ToldEvent {
            event,
            token: format!("{TOKEN_MARK}{token}"),
        }
    }
}

/// Keeps the events that are younger than `kept` (`certified.events_kept_days`), until the service stops.
pub async fn forget_old_events(
    store: Arc<dyn CertifiedStore>,
    clock: Arc<dyn Clock>,
    kept: Duration,
    stop: CancellationToken,
) {
    loop {
        let before = clock
            .now()
            .checked_sub(kept)
            .unwrap_or(jiff::Timestamp::MIN);
        loop {
            match store.forget_certified_events(before, FORGET_PIECE).await {
                Ok(piece) => {
                    metrics::gauge!(names::CERTIFIED_EVENTS_KEPT)
                        .set(f64::from(u32::try_from(piece.kept).unwrap_or(u32::MAX)));
                    if piece.forgotten < u64::from(FORGET_PIECE.get()) || stop.is_cancelled() {
                        break;
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "certified: old events were not forgotten; it is tried again in a minute");
                    break;
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = clock.sleep(FORGET_EVERY) => {}
        }
    }
}
