//! A lane whose protocol carries one text in a request has several requests under way, on a clock that stands still until it
//! is told to move.

use std::{
    num::NonZeroU32,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use clave_otp::{
    clock::{Clock, ManualClock},
    dispatch::{Dispatcher, LaneSettings, LawfulOn, OnUncertain},
    domain::{CredentialsVersion, Delivery, DeliveryId, DeliveryState, GatewayMessageId, Reason},
    gateway::{Access, AccessNow, Gateway, Message, Outcome, Start, Verdict},
    store::{Acceptance, LaneReport, NewDelivery, Store, Way},
};
use jiff::Timestamp;
use tokio::sync::{Semaphore, watch};

use crate::{
    store::{account, lawful, new_delivery_at, open},
    support::{held_store::HeldStore, soon},
};

/// A platform that takes one message at a time in as many requests as come, holds them, and answers as told.
#[derive(Debug)]
pub struct OneByOne {
    presented: Mutex<usize>,
    pub places: Semaphore,
    /// The next request waits for this instead.
    hangs_next: AtomicBool,
    hung: Semaphore,
    under_way: watch::Sender<usize>,
    most: Mutex<usize>,
    answer: Mutex<Outcome>,
}

impl OneByOne {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            presented: Mutex::new(0),
            places: Semaphore::new(0),
            hangs_next: AtomicBool::new(false),
            hung: Semaphore::new(0),
            under_way: watch::Sender::new(0),
            most: Mutex::new(0),
            answer: Mutex::new(accepted()),
        })
    }

    pub async fn until_under_way(&self, wanted: usize) {
        let mut under_way = self.under_way.subscribe();
        soon(under_way.wait_for(|now| *now == wanted))
            .await
            .unwrap();
    }

    /// The next request hangs, whatever becomes of others, until it is let go.
    pub fn hang_next(&self) {
        self.hangs_next.store(true, Ordering::SeqCst);
    }

    pub fn let_go(&self) {
        self.hung.add_permits(1);
    }

    /// How often the credentials were presented.
    pub fn presented(&self) -> usize {
        *self.presented.lock().unwrap()
    }

    pub fn answer_with(&self, outcome: Outcome) {
        *self.answer.lock().unwrap() = outcome;
    }
}

#[async_trait]
impl Gateway for OneByOne {
    fn batch_limit(&self) -> NonZeroU32 {
        NonZeroU32::MIN
    }

    async fn submit(&self, messages: &[Message], _: &Start) -> Vec<Outcome> {
        assert_eq!(messages.len(), 1);
        // In one step: whoever sees the new count may let the others end at once.
        self.under_way.send_modify(|count| {
            *count += 1;
            *self.presented.lock().unwrap() += 1;
            let mut most = self.most.lock().unwrap();
            *most = (*most).max(*count);
        });
        let hangs = self.hangs_next.swap(false, Ordering::SeqCst);
        let place = if hangs { &self.hung } else { &self.places };
        place.acquire().await.unwrap().forget();
        self.under_way.send_modify(|count| *count -= 1);
        vec![self.answer.lock().unwrap().clone()]
    }
}

pub fn accepted() -> Outcome {
    Outcome::Accepted(GatewayMessageId::parse("m"))
}

pub fn unreachable() -> Outcome {
    Outcome::NotSent {
        reason: Reason::known(Reason::GATEWAY_UNREACHABLE),
        code: None,
    }
}

pub fn wrong_login() -> Outcome {
    Outcome::Rejected {
        reason: Reason::known(Reason::GATEWAY_CREDENTIALS_REJECTED),
        code: Some(4001),
        verdict: Verdict::Credentials,
    }
}

/// What presents the credentials of this version to a platform.
pub fn access(gateway: &Arc<OneByOne>, version: u8) -> Access {
    let gateway = Arc::clone(gateway) as Arc<dyn Gateway>;
    Access::new(gateway, CredentialsVersion::from_bytes([version; 16]))
}

pub fn lane(gateway: &Arc<OneByOne>) -> LaneSettings {
    LaneSettings {
        account: account(),
        access: AccessNow::fixed(access(gateway, 0)),
        max_batch: NonZeroU32::new(500).unwrap(),
        max_in_flight: NonZeroU32::new(4).unwrap(),
        connect_timeout: Duration::from_secs(5),
        on_uncertain: OnUncertain::Hold,
        report_window: Some(Duration::from_secs(3600)),
        failures_before_rest: NonZeroU32::new(3).unwrap(),
        max_rest: Duration::from_secs(10),
        lawful: LawfulOn::new(|_| lawful()),
        neighbours: Vec::new(),
    }
}

pub struct Story {
    pub store: Arc<HeldStore>,
    pub clock: ManualClock,
    pub gateway: Arc<OneByOne>,
    pub dispatcher: Dispatcher,
    _directory: tempfile::TempDir,
}

impl Story {
    pub fn begin() -> Self {
        Self::begin_with(|gateway| vec![lane(gateway)])
    }

    /// With these lanes, of which the first is the one at this gateway.
    pub fn begin_with(lanes: impl FnOnce(&Arc<OneByOne>) -> Vec<LaneSettings>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = ManualClock::at("2026-11-24T12:00:00Z".parse::<Timestamp>().unwrap());
        let store = Arc::new(HeldStore::new(open(directory.path())));
        let gateway = OneByOne::new();
        let seen: Arc<dyn Store> = store.clone();
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let dispatcher = Dispatcher::start(&seen, &shared, lanes(&gateway));
        Self {
            store,
            clock,
            gateway,
            dispatcher,
            _directory: directory,
        }
    }

    pub async fn accept(&self) -> DeliveryId {
        self.accept_with(Vec::new()).await
    }

    /// A code that has gone out: the credentials are proven.
    pub async fn first_is_sent(&self) -> DeliveryId {
        self.gateway.places.add_permits(1);
        let first = self.accept().await;
        self.until_state(first, DeliveryState::Sent).await;
        first
    }

    /// One that may also go these ways.
    pub async fn accept_with(&self, other_ways: Vec<Way>) -> DeliveryId {
        let new = NewDelivery {
            other_ways,
            ..new_delivery_at(self.clock.now(), Duration::from_secs(1800))
        };
        match self.store.accept(new).await.unwrap() {
            Acceptance::Stored(delivery) => delivery.id,
            other => panic!("{other:?}"),
        }
    }

    pub async fn until_state(&self, id: DeliveryId, state: DeliveryState) {
        let mut watch = self.store.changes().watch(id);
        soon(async {
            while self.store.delivery(id).await.unwrap().unwrap().state != state {
                watch.changed().await;
            }
        })
        .await;
    }

    /// Moves the clock on in small steps until the delivery is in this state.
    pub async fn steps_until(&self, id: DeliveryId, state: DeliveryState) -> Delivery {
        let mut watch = self.store.changes().watch(id);
        for _ in 0..1000 {
            let delivery = self.store.delivery(id).await.unwrap().unwrap();
            if delivery.state == state {
                return delivery;
            }
            self.clock.advance(Duration::from_millis(100));
            // The lanes act when they are woken; a step too many does no harm.
            let _ = tokio::time::timeout(Duration::from_millis(10), watch.changed()).await;
        }
        panic!("it does not happen");
    }

    /// Moves the clock on in small steps until the lane says so; far less than any code lives.
    pub async fn advance_until(&self, is_so: impl Fn(&LaneReport) -> bool) -> LaneReport {
        let mut changes = self.store.lanes().changes();
        for _ in 0..1000 {
            let report = self.report();
            if is_so(&report) {
                return report;
            }
            self.clock.advance(Duration::from_millis(100));
            // The lane acts when it is woken; a step too many does no harm.
            let _ = tokio::time::timeout(Duration::from_millis(10), changes.changed()).await;
        }
        panic!("it does not happen");
    }

    pub fn report(&self) -> LaneReport {
        self.store.lanes().report(&account()).unwrap()
    }

    pub async fn until_report(&self, is_so: impl Fn(&LaneReport) -> bool) -> LaneReport {
        let mut changes = self.store.lanes().changes();
        soon(async {
            loop {
                let report = self.store.lanes().report(&account());
                if let Some(report) = report.filter(&is_so) {
                    return report;
                }
                changes.changed().await.unwrap();
            }
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_tries_the_credentials_and_then_as_many_as_allowed_are_under_way() {
    let story = Story::begin();
    let mut ids = Vec::new();
    for _ in 0..7 {
        ids.push(story.accept().await);
    }
    story.gateway.until_under_way(1).await;
    story.gateway.places.add_permits(1);
    story.gateway.until_under_way(4).await;
    // All places are taken.
    story
        .until_report(|report| report.in_flight == 4 && report.busy_since.is_some())
        .await;
    story.gateway.places.add_permits(6);
    for id in ids {
        story.until_state(id, DeliveryState::Sent).await;
    }
    assert_eq!(*story.gateway.most.lock().unwrap(), 4);
    let idle = story.until_report(|report| report.in_flight == 0).await;
    assert_eq!(idle.busy_since, None);
    story.dispatcher.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_free_place_takes_a_code_that_comes_while_others_are_under_way() {
    let story = Story::begin();
    let first = story.accept().await;
    story.gateway.places.add_permits(1);
    story.until_state(first, DeliveryState::Sent).await;
    for under_way in 1..=4 {
        story.accept().await;
        // Nobody was answered in between.
        story.gateway.until_under_way(under_way).await;
    }
    story.gateway.places.add_permits(4);
    story.dispatcher.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_are_presented_once_however_many_places_there_are() {
    let story = Story::begin();
    story.gateway.answer_with(wrong_login());
    let mut ids = Vec::new();
    for _ in 0..8 {
        ids.push(story.accept().await);
    }
    story.gateway.until_under_way(1).await;
    story.gateway.places.add_permits(100);
    story.until_report(|report| report.closed.is_some()).await;
    assert_eq!(story.gateway.places.available_permits(), 99, "one request");
    // After a resume again one alone, until the platform has taken them.
    story.gateway.answer_with(accepted());
    story.gateway.places.forget_permits(99);
    story.store.resume_lane(account()).await.unwrap();
    story.gateway.until_under_way(1).await;
    story.gateway.places.add_permits(1);
    story.gateway.until_under_way(4).await;
    story.gateway.places.add_permits(100);
    // What was refused with the wrong ones waits a little.
    story.clock.advance(Duration::from_secs(10));
    for id in ids {
        story.until_state(id, DeliveryState::Sent).await;
    }
    story.dispatcher.drain().await;
}

impl Story {
    /// The platform has taken the credentials, and then two requests are under way.
    async fn two_under_way() -> Self {
        let story = Self::begin();
        let first = story.accept().await;
        story.gateway.places.add_permits(1);
        story.until_state(first, DeliveryState::Sent).await;
        for under_way in 1..=2 {
            story.accept().await;
            story.gateway.until_under_way(under_way).await;
        }
        story
    }

    /// The platform answers the older of them that the password has been revoked.
    fn revoke(&self) {
        self.gateway.answer_with(wrong_login());
        self.gateway.places.add_permits(1);
    }

    /// The rejection is on the disk, and the lane has seen it.
    async fn until_closed(&self) {
        self.store.closing.open();
        self.until_report(|report| report.closed.is_some()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_frees_while_a_rejection_is_being_recorded_presents_nothing() {
    let story = Story::two_under_way().await;
    story.store.closing.shut();
    story.revoke();
    story.store.closing.until_waiting(1).await;
    // The store still calls the lane open, two places are free, and here is work.
    let next = story.accept().await;
    story.gateway.answer_with(accepted());
    story.gateway.places.add_permits(100);
    story.until_report(|report| report.in_flight == 1).await;
    story.until_closed().await;
    assert_eq!(story.gateway.presented(), 3);
    story.until_state(next, DeliveryState::Accepted).await;
    story.dispatcher.drain().await;
    assert_eq!(story.gateway.presented(), 3, "what was under way, no more");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_leased_before_a_rejection_is_not_presented_after_it() {
    let story = Story::two_under_way().await;
    story.store.leased.shut();
    let leased = story.accept().await;
    story.store.leased.until_waiting(1).await;
    story.revoke();
    let closed = async {
        let closure = || story.store.closure_of(account());
        while closure().await.unwrap().is_none() {
            tokio::task::yield_now().await;
        }
    };
    soon(closed).await;
    // Only now the lane is told that the work is its own.
    story.gateway.answer_with(accepted());
    story.gateway.places.add_permits(100);
    story.store.leased.open();
    story.until_state(leased, DeliveryState::Accepted).await;
    assert_eq!(story.gateway.presented(), 3, "what was under way, no more");
    story.until_closed().await;
    // It goes out when somebody has opened the lane.
    story.store.resume_lane(account()).await.unwrap();
    story.clock.advance(Duration::from_secs(10));
    story.until_state(leased, DeliveryState::Sent).await;
    story.dispatcher.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_every_request_that_is_under_way() {
    let story = Story::begin();
    let first = story.accept().await;
    story.gateway.places.add_permits(1);
    story.until_state(first, DeliveryState::Sent).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(story.accept().await);
    }
    story.gateway.until_under_way(3).await;
    let Story {
        store,
        gateway,
        dispatcher,
        ..
    } = story;
    let drained = tokio::spawn(async move { dispatcher.drain().await });
    gateway.places.add_permits(3);
    soon(drained).await.unwrap();
    for id in ids {
        let state = store.delivery(id).await.unwrap().unwrap().state;
        assert_eq!(state, DeliveryState::Sent, "recorded before the end");
    }
}
