//! The states of a lane, on a clock that stands still until it is told to move: flowing, resting, probing; and the last look
//! at a code's time before it goes out.

use std::{
    collections::VecDeque,
    num::NonZeroU32,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use clave_otp::{
    clock::{Clock, ManualClock},
    dispatch::{Dispatcher, LaneSettings, LawfulOn, OnUncertain},
    domain::{CredentialsVersion, Delivery, DeliveryId, DeliveryState, Reason},
    gateway::{Access, AccessNow, Gateway, Message, Outcome, Start},
    store::{Acceptance, Store},
};
use jiff::Timestamp;
use tokio::sync::watch;

use crate::{
    store::{account, lawful, new_delivery_at, open},
    support::{held_store::HeldStore, soon},
};

/// A platform that answers as told, takes as long as told, and notes what it was given.
#[derive(Debug)]
struct Scripted {
    clock: ManualClock,
    took: Duration,
    failures: Mutex<VecDeque<Outcome>>,
    batches: watch::Sender<Vec<usize>>,
    /// What each message was said to be worth, and how long its connection might take.
    told: Mutex<Vec<(Duration, Duration)>>,
}

impl Scripted {
    fn new(clock: &ManualClock, took: Duration, failures: Vec<Outcome>) -> Arc<Self> {
        Arc::new(Self {
            clock: clock.clone(),
            took,
            failures: Mutex::new(failures.into()),
            batches: watch::Sender::new(Vec::new()),
            told: Mutex::default(),
        })
    }
}

#[async_trait]
impl Gateway for Scripted {
    fn batch_limit(&self) -> NonZeroU32 {
        NonZeroU32::new(500).unwrap()
    }

    async fn submit(&self, messages: &[Message], start: &Start) -> Vec<Outcome> {
        let told = messages
            .iter()
            .map(|message| (message.valid_for, start.within));
        self.told.lock().unwrap().extend(told);
        self.clock.advance(self.took);
        self.batches
            .send_modify(|batches| batches.push(messages.len()));
        let failure = self.failures.lock().unwrap().pop_front();
        let outcome = failure.unwrap_or(Outcome::Accepted(None));
        vec![outcome; messages.len()]
    }
}

fn unreachable() -> Outcome {
    Outcome::NotSent {
        reason: Reason::known(Reason::GATEWAY_UNREACHABLE),
        code: None,
    }
}

fn lane(gateway: Arc<Scripted>) -> LaneSettings {
    LaneSettings {
        account: account(),
        access: AccessNow::fixed(Access::new(
            gateway,
            CredentialsVersion::from_bytes([0; 16]),
        )),
        max_batch: NonZeroU32::new(500).unwrap(),
        on_uncertain: OnUncertain::Hold,
        report_window: None,
        failures_before_rest: NonZeroU32::new(3).unwrap(),
        max_in_flight: NonZeroU32::MIN,
        connect_timeout: Duration::from_secs(5),
        max_rest: Duration::from_secs(10),
        lawful: LawfulOn::new(|_| lawful()),
        neighbours: Vec::new(),
    }
}

fn noon() -> (ManualClock, Timestamp) {
    let noon: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
    (ManualClock::at(noon), noon)
}

async fn accept(store: &dyn Store, now: Timestamp, life: Duration) -> DeliveryId {
    match store.accept(new_delivery_at(now, life)).await.unwrap() {
        Acceptance::Stored(delivery) => delivery.id,
        other => panic!("{other:?}"),
    }
}

async fn until_state(store: &dyn Store, id: DeliveryId, state: DeliveryState) -> Delivery {
    let mut watch = store.changes().watch(id);
    soon(async {
        loop {
            let delivery = store.delivery(id).await.unwrap().unwrap();
            if delivery.state == state {
                return delivery;
            }
            watch.changed().await;
        }
    })
    .await
}

/// Moves the clock on in small steps until `is_so`; far less than any code lives.
async fn advance_until(clock: &ManualClock, store: &dyn Store, is_so: impl Fn() -> bool) {
    let mut reports = store.lanes().changes();
    let mut steps = 0;
    while !is_so() {
        steps += 1;
        assert!(steps < 1000, "it does not happen");
        clock.advance(Duration::from_secs(1));
        // The lane acts when it is woken; a step too many does no harm.
        let _ = tokio::time::timeout(Duration::from_millis(10), reports.changed()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_rests_after_three_failures_probes_with_one_and_flows_again() {
    let directory = tempfile::tempdir().unwrap();
    let (clock, noon) = noon();
    let store: Arc<dyn Store> = Arc::new(open(directory.path()));
    let gateway = Scripted::new(&clock, Duration::ZERO, vec![unreachable(); 4]);
    for _ in 0..10 {
        accept(&*store, noon, Duration::from_secs(1800)).await;
    }
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let dispatcher = Dispatcher::start(&store, &shared, vec![lane(Arc::clone(&gateway))]);
    let submitted = || gateway.batches.borrow().clone();
    let rests = || {
        let report = store.lanes().report(&account());
        report.is_some_and(|report| report.rests_until.is_some())
    };
    advance_until(&clock, &*store, rests).await;
    assert_eq!(
        submitted(),
        [10, 10, 10],
        "full batches until the third failure"
    );
    let rest = store.lanes().report(&account()).unwrap();
    assert_eq!(rest.last_failure.unwrap().as_str(), "GATEWAY_UNREACHABLE");

    advance_until(&clock, &*store, || submitted().len() == 4).await;
    assert_eq!(submitted()[3], 1, "one message at risk");
    advance_until(&clock, &*store, || submitted().len() >= 6).await;
    assert_eq!(submitted()[4], 1, "the probe failed, so one again");
    assert_eq!(submitted()[5], 9, "the gateway answered: the rest at once");
    assert!(!rests());
    dispatcher.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_answer_between_failures_keeps_a_lane_flowing() {
    let directory = tempfile::tempdir().unwrap();
    let (clock, noon) = noon();
    let store: Arc<dyn Store> = Arc::new(open(directory.path()));
    let rejected = Outcome::Rejected {
        reason: Reason::known(Reason::GATEWAY_REJECTED_NUMBER),
        code: Some(-5),
        verdict: clave_otp::gateway::Verdict::Message,
    };
    let mut script = vec![unreachable(); 2];
    script.push(rejected);
    script.extend([unreachable(), unreachable()]);
    let gateway = Scripted::new(&clock, Duration::ZERO, script);
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let dispatcher = Dispatcher::start(&store, &shared, vec![lane(Arc::clone(&gateway))]);
    let first = accept(&*store, noon, Duration::from_secs(1800)).await;
    let submitted = || gateway.batches.borrow().len();
    advance_until(&clock, &*store, || submitted() == 3).await;
    until_state(&*store, first, DeliveryState::Failed).await;
    let second = accept(&*store, clock.now(), Duration::from_secs(1800)).await;
    advance_until(&clock, &*store, || submitted() == 6).await;
    let sent = until_state(&*store, second, DeliveryState::Sent).await;
    assert_eq!(sent.attempts, 3);
    assert!(
        store
            .lanes()
            .report(&account())
            .unwrap()
            .rests_until
            .is_none()
    );
    dispatcher.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_knows_its_gateway_takes_long_refuses_what_cannot_make_it() {
    let directory = tempfile::tempdir().unwrap();
    let (clock, noon) = noon();
    let store: Arc<dyn Store> = Arc::new(open(directory.path()));
    let gateway = Scripted::new(&clock, Duration::from_secs(20), Vec::new());
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let first = accept(&*store, noon, Duration::from_secs(600)).await;
    let dispatcher = Dispatcher::start(&store, &shared, vec![lane(Arc::clone(&gateway))]);
    until_state(&*store, first, DeliveryState::Sent).await;
    // The lane reports after it has recorded.
    dispatcher.drain().await;
    let report = store.lanes().report(&account()).unwrap();
    assert_eq!(report.latency, Duration::from_secs(20));
    let now = clock.now();
    let refused = store
        .accept(new_delivery_at(now, Duration::from_secs(15)))
        .await;
    assert_eq!(refused.unwrap(), Acceptance::CannotArriveInTime);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_message_is_called_valid_for_longer_than_its_code_however_late_the_connection_stands() {
    let seconds = Duration::from_secs;
    for life in [seconds(600), seconds(20), seconds(3), seconds(1)] {
        let directory = tempfile::tempdir().unwrap();
        let (clock, noon) = noon();
        let store: Arc<dyn Store> = Arc::new(open(directory.path()));
        let gateway = Scripted::new(&clock, Duration::ZERO, Vec::new());
        let id = accept(&*store, noon, life).await;
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let dispatcher = Dispatcher::start(&store, &shared, vec![lane(Arc::clone(&gateway))]);
        until_state(&*store, id, DeliveryState::Sent).await;
        let (valid_for, start_within) = gateway.told.lock().unwrap()[0];
        assert_eq!(valid_for + start_within, life, "to the moment");
        assert!(start_within <= lane(Arc::clone(&gateway)).connect_timeout);
        assert!(
            start_within >= Duration::from_millis(250),
            "or no connection would ever stand"
        );
        assert!(valid_for * 2 >= life, "and not for much less");
        dispatcher.drain().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_whose_time_ran_out_while_its_attempt_was_recorded_is_not_submitted() {
    let directory = tempfile::tempdir().unwrap();
    let (clock, noon) = noon();
    let store: Arc<dyn Store> = Arc::new(HeldStore {
        lease_takes: Some((clock.clone(), Duration::from_secs(30))),
        ..HeldStore::new(open(directory.path()))
    });
    let gateway = Scripted::new(&clock, Duration::ZERO, Vec::new());
    let late = accept(&*store, noon, Duration::from_secs(20)).await;
    let timely = accept(&*store, noon, Duration::from_secs(600)).await;
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let dispatcher = Dispatcher::start(&store, &shared, vec![lane(Arc::clone(&gateway))]);
    let expired = until_state(&*store, late, DeliveryState::Expired).await;
    assert_eq!(expired.reason.unwrap().as_str(), "TIME_RAN_OUT");
    until_state(&*store, timely, DeliveryState::Sent).await;
    assert_eq!(
        *gateway.batches.borrow(),
        [1],
        "only the timely one was handed over"
    );
    dispatcher.drain().await;
}
