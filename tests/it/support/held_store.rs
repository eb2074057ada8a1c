//! The real store behind turnstiles: what a lane is told, and what it tells, can be held.

use std::{num::NonZeroU32, time::Duration};

use async_trait::async_trait;
use clave_otp::{
    clock::ManualClock,
    domain::{AccountId, Alias, AttemptToken, CredentialsVersion, Delivery, DeliveryId},
    store::{
        Acceptance, Applied, Cancellation, Change, ChangePage, ChangePlace, Changes, Content,
        ForgottenChanges, ForgottenReports, HandOver, LaneClosing, LaneClosure, Lanes,
        LeaseRequest, Leased, ListFilter, NewDelivery, NewReport, Page, Receipt, Recovered,
        Recovery, RequestKey, SenderFigures, Sequence, Settlement, Store, StoreError, StoreId,
        sqlite::SqliteStore,
    },
};
use jiff::Timestamp;
use tokio::sync::watch;

use super::soon;

/// Where whoever passes can be made to wait.
#[derive(Debug)]
pub struct Turnstile {
    is_open: watch::Sender<bool>,
    waiting: watch::Sender<usize>,
}

impl Turnstile {
    fn open_one() -> Self {
        Self {
            is_open: watch::Sender::new(true),
            waiting: watch::Sender::new(0),
        }
    }

    pub fn shut(&self) {
        self.is_open.send_replace(false);
    }

    pub fn open(&self) {
        self.is_open.send_replace(true);
    }

    pub async fn until_waiting(&self, wanted: usize) {
        let mut waiting = self.waiting.subscribe();
        soon(waiting.wait_for(|now| *now == wanted)).await.unwrap();
    }

    async fn pass(&self) {
        let mut is_open = self.is_open.subscribe();
        self.waiting.send_modify(|count| *count += 1);
        is_open.wait_for(|is_open| *is_open).await.unwrap();
        self.waiting.send_modify(|count| *count -= 1);
    }
}

/// The real store; a lane's way to it leads through turnstiles.
#[derive(Debug)]
pub struct HeldStore {
    pub store: SqliteStore,
    /// A disk on which taking work takes so long.
    pub lease_takes: Option<(ManualClock, Duration)>,
    /// Behind a lease that found work, before the lane is told.
    pub leased: Turnstile,
    /// Before the record of an outcome that closes the lane.
    pub closing: Turnstile,
}

impl HeldStore {
    pub fn new(store: SqliteStore) -> Self {
        Self {
            store,
            lease_takes: None,
            leased: Turnstile::open_one(),
            closing: Turnstile::open_one(),
        }
    }
}

#[async_trait]
impl Store for HeldStore {
    async fn lease(&self, request: LeaseRequest) -> Result<Leased, StoreError> {
        let leased = self.store.lease(request).await?;
        if !leased.work.is_empty() {
            if let Some((clock, time)) = &self.lease_takes {
                clock.advance(*time);
            }
            self.leased.pass().await;
        }
        Ok(leased)
    }

    async fn accept(&self, new: NewDelivery) -> Result<Acceptance, StoreError> {
        self.store.accept(new).await
    }

    async fn receipt_of(
        &self,
        key: &RequestKey,
        content: &Content,
    ) -> Result<Option<Receipt>, StoreError> {
        self.store.receipt_of(key, content).await
    }

    async fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, StoreError> {
        self.store.delivery(id).await
    }

    async fn delivery_now(&self, id: DeliveryId) -> Result<Option<Change>, StoreError> {
        self.store.delivery_now(id).await
    }

    async fn changes_of(
        &self,
        id: DeliveryId,
        place: ChangePlace,
    ) -> Result<Vec<Change>, StoreError> {
        self.store.changes_of(id, place).await
    }

    async fn list(
        &self,
        filter: ListFilter,
        before: Option<Sequence>,
        limit: NonZeroU32,
    ) -> Result<Page, StoreError> {
        self.store.list(filter, before, limit).await
    }

    async fn cancel(&self, id: DeliveryId, now: Timestamp) -> Result<Cancellation, StoreError> {
        self.store.cancel(id, now).await
    }

    async fn settle(
        &self,
        token: AttemptToken,
        settlements: Vec<(DeliveryId, Settlement)>,
        closing: Option<LaneClosing>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if closing.is_some() {
            self.closing.pass().await;
        }
        self.store.settle(token, settlements, closing, now).await
    }

    async fn hand_over(&self, request: HandOver) -> Result<u64, StoreError> {
        self.store.hand_over(request).await
    }

    async fn apply_report(&self, report: NewReport) -> Result<Applied, StoreError> {
        self.store.apply_report(report).await
    }

    async fn forget_early_reports(
        &self,
        before: Timestamp,
    ) -> Result<ForgottenReports, StoreError> {
        self.store.forget_early_reports(before).await
    }

    async fn open_lane(
        &self,
        account: AccountId,
        credentials: CredentialsVersion,
    ) -> Result<bool, StoreError> {
        self.store.open_lane(account, credentials).await
    }

    async fn pause_lane(&self, account: AccountId, now: Timestamp) -> Result<(), StoreError> {
        self.store.pause_lane(account, now).await
    }

    async fn resume_lane(&self, account: AccountId) -> Result<(), StoreError> {
        self.store.resume_lane(account).await
    }

    async fn closure_of(&self, account: AccountId) -> Result<Option<LaneClosure>, StoreError> {
        self.store.closure_of(account).await
    }

    async fn expire_overdue(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.store.expire_overdue(now).await
    }

    async fn recover(&self, recovery: Recovery) -> Result<Recovered, StoreError> {
        self.store.recover(recovery).await
    }

    async fn waiting(&self) -> Result<Vec<(AccountId, u64)>, StoreError> {
        self.store.waiting().await
    }

    async fn last_uses(
        &self,
        aliases: Vec<(AccountId, Alias)>,
    ) -> Result<Vec<Option<Timestamp>>, StoreError> {
        self.store.last_uses(aliases).await
    }

    async fn sender_figures(
        &self,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<SenderFigures>, StoreError> {
        self.store.sender_figures(from, until).await
    }

    async fn changes_after(
        &self,
        place: ChangePlace,
        limit: NonZeroU32,
    ) -> Result<ChangePage, StoreError> {
        self.store.changes_after(place, limit).await
    }

    async fn forget_changes(
        &self,
        before: Timestamp,
        limit: NonZeroU32,
    ) -> Result<ForgottenChanges, StoreError> {
        self.store.forget_changes(before, limit).await
    }

    fn id(&self) -> StoreId {
        self.store.id()
    }

    fn changes(&self) -> &Changes {
        self.store.changes()
    }

    fn lanes(&self) -> &Lanes {
        self.store.lanes()
    }
}
