//! What became of deliveries: get, list, watch.
//!
//! Must not know: how to send. The store is the truth; its signals only wake the watchers.

mod accounts;
mod alias_watch;
mod aliases;
mod feed;
mod page;
mod places;
mod retention;
mod token;
mod watching;

use std::{collections::VecDeque, num::NonZeroU32, sync::Arc, time::Duration};

use jiff::Timestamp;
use thiserror::Error;

use crate::{
    clock::Clock,
    domain::{Caller, CallerName, Delivery, DeliveryId, DeliveryState, Role, Scope},
    store::{Change, ChangePlace, DeliveryWatch, Store, StoreError},
};

pub use crate::store::{LaneClosure, LaneReport, ListFilter};
pub use accounts::{AccountProfile, AccountStatus, AccountStatuses};
pub use alias_watch::{AccountAlias, AliasWatch};
pub use feed::{Feed, FeedSettings, Tailer};
pub use page::{PageToken, PageTokenError};
pub use places::{WatchLimits, WatchPlace, WatchPlaces, Watched};
pub use retention::forget_old_changes;
pub use token::{ResumeToken, ResumeTokenError};
pub use watching::{Told, Watching};

/// Deliveries on a page when the caller does not say.
pub const DEFAULT_PAGE_SIZE: u32 = 50;
/// Most deliveries on a page.
pub const MAX_PAGE_SIZE: u32 = 1000;

/// Answers what became of deliveries, within what each caller may see.
#[derive(Debug, Clone)]
pub struct Status {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum StatusError {
    /// Nothing of that name for this caller.
    #[error("nothing of that name for this caller")]
    NotFound,
    /// The caller may not see this administration, or has not the role.
    #[error("the administration is not available to this caller")]
    NotAvailable,
    /// The page token belongs to another list.
    #[error("{0}")]
    PageToken(#[from] PageTokenError),
    /// The resume token is none of this store.
    #[error("{0}")]
    ResumeToken(#[from] ResumeTokenError),
    /// What followed the resume token is not kept any more.
    #[error("the changes behind this resume token are not kept any more")]
    ResumeTokenExpired,
    /// The client of a watch does not read.
    #[error("the watcher did not read what it was told")]
    WatcherTooSlow,
    /// All places for watches of this kind are taken.
    #[error("all places for such watches are taken")]
    TooManyWatchers(Watched),
    /// The caller has taken all places that one caller may.
    #[error("the caller has as many such watches as one caller may")]
    CallerWatches {
        /// What it watches.
        watched: Watched,
        /// Which caller.
        caller: CallerName,
    },
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A page of deliveries, newest first.
#[derive(Debug)]
pub struct ListedPage {
    /// The deliveries.
    pub deliveries: Vec<Delivery>,
    /// The token of the next page, if there is one.
    pub next: Option<PageToken>,
}

impl Status {
    /// Reads from this store.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// One delivery. What the caller may not see is not found.
    pub async fn get(&self, caller: &Caller, id: DeliveryId) -> Result<Delivery, StatusError> {
        let delivery = self.store.delivery(id).await?;
        delivery
            .filter(|delivery| caller.may(Role::Sender, &delivery.administration))
            .ok_or(StatusError::NotFound)
    }

    /// A page of the deliveries that the caller may see. `page_size` 0 means [`DEFAULT_PAGE_SIZE`]; more than
    /// [`MAX_PAGE_SIZE`] is cut to it.
    pub async fn list(
        &self,
        caller: &Caller,
        filter: ListFilter,
        page_size: u32,
        token: Option<&str>,
    ) -> Result<ListedPage, StatusError> {
        let filter = within_scope(caller, filter)?;
        let before = token
            .map(|token| PageToken::parse(token)?.place_in(&filter))
            .transpose()?;
        let wanted = match page_size {
            0 => DEFAULT_PAGE_SIZE,
            size => size.min(MAX_PAGE_SIZE),
        };
        let limit = NonZeroU32::new(wanted).unwrap_or(NonZeroU32::MIN);
        let page = self.store.list(filter.clone(), before, limit).await?;
        Ok(ListedPage {
            deliveries: page.deliveries,
            next: page.next.map(|place| PageToken::new(place, &filter)),
        })
    }

    /// Begins to follow one delivery.
    pub async fn watch(&self, caller: &Caller, id: DeliveryId) -> Result<Following, StatusError> {
        // Watch before reading: a change in between is then seen.
        let watch = self.store.changes().watch(id);
        let first = self.store.delivery_now(id).await?;
        let first = first
            .filter(|now| caller.may(Role::Sender, &now.delivery.administration))
            .ok_or(StatusError::NotFound)?;
        Ok(Following {
            status: self.clone(),
            watch,
            seen: first.place,
            last: None,
            next: Some(first.delivery),
            left: VecDeque::new(),
        })
    }
}

fn within_scope(caller: &Caller, mut filter: ListFilter) -> Result<ListFilter, StatusError> {
    if !caller.has(Role::Sender) {
        return Err(StatusError::NotAvailable);
    }
    match (&filter.administrations, &caller.scope) {
        (Some(asked), scope) if !asked.iter().all(|dir3| scope.covers(dir3)) => {
            return Err(StatusError::NotAvailable);
        }
        (None, Scope::Only(listed)) => filter.administrations = Some(listed.clone()),
        _ => {}
    }
    Ok(filter)
}

/// Follows one delivery: what it is now, then each change until it is final.
#[derive(Debug)]
pub struct Following {
    status: Status,
    watch: DeliveryWatch,
    /// The last place in the log that is told, or in what was read.
    seen: ChangePlace,
    last: Option<Delivery>,
    next: Option<Delivery>,
    /// Read again, and not told yet.
    left: VecDeque<Change>,
}

/// What a watcher hears of its delivery.
enum Heard {
    Change(Arc<Change>),
    /// There may be changes that were not told.
    ReadAgain,
    /// Nothing by the end of the time for reports.
    TimeIsOver,
}

impl Following {
    /// The next state; `None` when the last one was final.
    pub async fn next(&mut self) -> Option<Result<Delivery, StatusError>> {
        if let Some(first) = self.next.take() {
            self.last = Some(first.clone());
            return Some(Ok(first));
        }
        loop {
            let last = self.last.as_ref()?;
            let deadline = deadline_of(last);
            if deadline.is_none() && last.is_final(self.status.clock.now()) {
                return None;
            }
            let change = match self.left.pop_front() {
                Some(change) => change,
                None => match self.hear(deadline).await {
                    Heard::Change(change) => Change::clone(&change),
                    heard => match self.read_again().await {
                        Ok(()) if self.left.is_empty() && matches!(heard, Heard::TimeIsOver) => {
                            return None;
                        }
                        Ok(()) => continue,
                        Err(error) => {
                            self.last = None;
                            return Some(Err(error));
                        }
                    },
                },
            };
            // An entry that was there already when the delivery was read says what it was before.
            if change.place.number <= self.seen.number {
                continue;
            }
            self.seen = change.place;
            if self.last.as_ref() != Some(&change.delivery) {
                self.last = Some(change.delivery.clone());
                return Some(Ok(change.delivery));
            }
        }
    }

    /// What has come goes before the end of the time for reports, behind which the state is final as it is.
    async fn hear(&mut self, deadline: Option<Timestamp>) -> Heard {
        let clock = &self.status.clock;
        let over = async {
            match deadline {
                Some(deadline) => {
                    let left = deadline.duration_since(clock.now());
                    clock
                        .sleep(Duration::try_from(left).unwrap_or_default())
                        .await;
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            change = self.watch.changed() => change.map_or(Heard::ReadAgain, Heard::Change),
            () = over => Heard::TimeIsOver,
        }
    }

    /// Reads from the log what has followed.
    async fn read_again(&mut self) -> Result<(), StatusError> {
        let Some(last) = &self.last else {
            return Ok(());
        };
        let store = &self.status.store;
        self.left
            .extend(store.changes_of(last.id, self.seen).await?);
        if self.left.is_empty() {
            // Long after, the log may have forgotten it.
            let now = store.delivery_now(last.id).await?;
            self.left
                .extend(now.filter(|now| now.delivery.state != last.state));
        }
        Ok(())
    }
}

/// Until when a report may follow, where one may.
fn deadline_of(delivery: &Delivery) -> Option<Timestamp> {
    let waits_for_a_report = matches!(
        delivery.state,
        DeliveryState::Sent | DeliveryState::Uncertain
    );
    delivery.report_deadline.filter(|_| waits_for_a_report)
}
