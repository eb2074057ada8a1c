//! A lane whose protocol carries one text in a request has several requests under way; and what a lane is offered while it is
//! sick and afterwards, on a clock that stands still until it is told to move.

use std::{
    num::NonZeroU32,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use clave_otp::{
    clock::{Clock, ManualClock},
    dispatch::{Dispatcher, LaneSettings, OnUncertain},
    domain::{CredentialsVersion, DeliveryId, DeliveryState, GatewayMessageId, Reason},
    gateway::{Gateway, Message, Outcome, Verdict},
    store::{Acceptance, LaneReport, Store},
};
use jiff::Timestamp;
use tokio::sync::{Semaphore, watch};

use crate::{
    store::{account, new_delivery_at, open},
    support::soon,
};

/// A platform that takes one message at a time in as many requests as come, holds them, and answers as told.
#[derive(Debug)]
struct OneByOne {
    places: Semaphore,
    under_way: watch::Sender<usize>,
    most: Mutex<usize>,
    answer: Mutex<Outcome>,
}

impl OneByOne {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            places: Semaphore::new(0),
            under_way: watch::Sender::new(0),
            most: Mutex::new(0),
            answer: Mutex::new(accepted()),
        })
    }

    async fn until_under_way(&self, wanted: usize) {
        let mut under_way = self.under_way.subscribe();
        soon(under_way.wait_for(|now| *now == wanted))
            .await
            .unwrap();
    }

    fn answer_with(&self, outcome: Outcome) {
        *self.answer.lock().unwrap() = outcome;
    }
}

#[async_trait]
impl Gateway for OneByOne {
    fn batch_limit(&self) -> NonZeroU32 {
        NonZeroU32::MIN
    }

    async fn submit(&self, messages: &[Message], _: Duration) -> Vec<Outcome> {
        assert_eq!(messages.len(), 1);
        // In one step: whoever sees the new count may let the others end at once.
        self.under_way.send_modify(|count| {
            *count += 1;
            let mut most = self.most.lock().unwrap();
            *most = (*most).max(*count);
        });
        self.places.acquire().await.unwrap().forget();
        self.under_way.send_modify(|count| *count -= 1);
        vec![self.answer.lock().unwrap().clone()]
    }
}

fn accepted() -> Outcome {
    Outcome::Accepted(GatewayMessageId::parse("m"))
}

fn unreachable() -> Outcome {
    Outcome::NotSent {
        reason: Reason::known(Reason::GATEWAY_UNREACHABLE),
        code: None,
    }
}

fn wrong_login() -> Outcome {
    Outcome::Rejected {
        reason: Reason::known(Reason::GATEWAY_CREDENTIALS_REJECTED),
        code: Some(4001),
        verdict: Verdict::Credentials,
    }
}

fn lane(gateway: &Arc<OneByOne>) -> LaneSettings {
    LaneSettings {
        account: account(),
        gateway: Arc::clone(gateway) as Arc<dyn Gateway>,
        max_batch: NonZeroU32::new(500).unwrap(),
        max_in_flight: NonZeroU32::new(4).unwrap(),
        on_uncertain: OnUncertain::Hold,
        report_window: Some(Duration::from_secs(3600)),
        credentials: CredentialsVersion::from_bytes([0; 16]),
        failures_before_rest: NonZeroU32::new(3).unwrap(),
        max_rest: Duration::from_secs(10),
        neighbours: Vec::new(),
    }
}

struct Story {
    store: Arc<dyn Store>,
    clock: ManualClock,
    gateway: Arc<OneByOne>,
    dispatcher: Dispatcher,
    _directory: tempfile::TempDir,
}

impl Story {
    fn begin() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = ManualClock::at("2026-11-24T12:00:00Z".parse::<Timestamp>().unwrap());
        let store: Arc<dyn Store> = Arc::new(open(directory.path()));
        let gateway = OneByOne::new();
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let dispatcher = Dispatcher::start(&store, &shared, vec![lane(&gateway)]);
        Self {
            store,
            clock,
            gateway,
            dispatcher,
            _directory: directory,
        }
    }

    async fn accept(&self) -> DeliveryId {
        let new = new_delivery_at(self.clock.now(), Duration::from_secs(1800));
        match self.store.accept(new).await.unwrap() {
            Acceptance::Stored(delivery) => delivery.id,
            other => panic!("{other:?}"),
        }
    }

    async fn until_state(&self, id: DeliveryId, state: DeliveryState) {
        let mut watch = self.store.changes().watch(id);
        soon(async {
            while self.store.delivery(id).await.unwrap().unwrap().state != state {
                watch.changed().await;
            }
        })
        .await;
    }

    /// Moves the clock on in small steps until the lane says so; far less than any code lives.
    async fn advance_until(&self, is_so: impl Fn(&LaneReport) -> bool) -> LaneReport {
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

    fn report(&self) -> LaneReport {
        self.store.lanes().report(&account()).unwrap()
    }

    async fn until_report(&self, is_so: impl Fn(&LaneReport) -> bool) -> LaneReport {
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

#[tokio::test(flavor = "multi_thread")]
async fn a_sick_lane_is_offered_nothing_then_one_code_then_more_and_more() {
    let story = Story::begin();
    let share = |report: &LaneReport| report.share_at(story.clock.now());
    assert_eq!(share(&story.until_report(|_| true).await), 100);
    story.gateway.answer_with(unreachable());
    let waiting = story.accept().await;
    // Each failure costs half of what is left; the third one makes it rest.
    for expected in [50, 25] {
        story.gateway.places.add_permits(1);
        // Step by step: the lane may not yet have begun to wait for its next try when the failure is reported.
        story
            .advance_until(|report| share(report) == expected)
            .await;
    }
    story.gateway.places.add_permits(1);
    let resting = story
        .advance_until(|report| report.rests_until.is_some())
        .await;
    assert_eq!(share(&resting), 0);
    assert!(!resting.may_take_over());

    // The rest is over: one message is tried, and the platform takes it.
    story.gateway.answer_with(accepted());
    story.advance_until(|report| report.in_flight == 1).await;
    assert!(!story.report().may_take_over(), "nothing is known yet");
    story.gateway.places.add_permits(1);
    story.until_state(waiting, DeliveryState::Sent).await;
    let back = story.until_report(LaneReport::may_take_over).await;
    assert_eq!(share(&back), 10);
    for (seconds, expected) in [(5, 20), (5, 30), (30, 90), (5, 100), (600, 100)] {
        story.clock.advance(Duration::from_secs(seconds));
        assert_eq!(share(&story.report()), expected);
    }
    story.dispatcher.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rested_lane_without_work_asks_for_one_code_to_try_its_gateway_with() {
    let story = Story::begin();
    story.gateway.answer_with(unreachable());
    story.gateway.places.add_permits(3);
    let cancelled = story.accept().await;
    story
        .advance_until(|report| report.rests_until.is_some())
        .await;
    let now = story.clock.now();
    story.store.cancel(cancelled, now).await.unwrap();
    let probing = story.advance_until(|report| report.probing).await;
    assert_eq!(probing.share_at(story.clock.now()), 100, "the next code");
    assert!(!probing.may_take_over(), "but no queue of others");
    story.gateway.answer_with(accepted());
    let next = story.accept().await;
    story.gateway.places.add_permits(1);
    story.until_state(next, DeliveryState::Sent).await;
    story.dispatcher.drain().await;
}
