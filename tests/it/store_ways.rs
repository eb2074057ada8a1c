//! What the store makes of several accounts: a delivery goes to the first of its ways that takes it, and moves to another one
//! only while nothing of it may have been sent.

use std::{num::NonZeroU32, time::Duration};

use clave_otp::{
    domain::{AccountId, CredentialsVersion, DeliveryId, DeliveryState, Reason, Recipient},
    store::{
        Acceptance, ClosingCause, HandOver, LaneClosing, LaneReport, Lawful, LeaseRequest,
        Neighbour, NewDelivery, Settlement, Store, Way, Which, sqlite::SqliteStore,
    },
};
use jiff::Timestamp;

use crate::store::{account, lawful, lease_at, new_delivery_at, open, way};

const LIFE: Duration = Duration::from_secs(600);

fn noon() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn second() -> AccountId {
    AccountId::parse("madrid-two").unwrap()
}

/// A delivery that both accounts may carry.
fn new_delivery() -> NewDelivery {
    NewDelivery {
        other_ways: vec![way(&second())],
        ..new_delivery_at(noon(), LIFE)
    }
}

async fn accept(store: &SqliteStore, new: NewDelivery) -> (DeliveryId, AccountId) {
    match store.accept(new).await.unwrap() {
        Acceptance::Stored(delivery) => (delivery.id, delivery.account),
        other => panic!("{other:?}"),
    }
}

fn all_that_wait() -> HandOver {
    HandOver {
        from: account(),
        to: vec![Neighbour {
            account: second(),
            queue_limit: NonZeroU32::new(2).unwrap(),
            lawful: lawful(),
            is_well: true,
        }],
        which: Which::AllThatWait,
        now: noon(),
        must_outlive: noon(),
    }
}

async fn account_of(store: &SqliteStore, id: DeliveryId) -> AccountId {
    store.delivery(id).await.unwrap().unwrap().account
}

/// Leases everything of the first account and records the same of all.
async fn attempt(store: &SqliteStore, settlement: Settlement) -> usize {
    let leased = store.lease(lease_at(noon())).await.unwrap();
    let settlements: Vec<_> = leased
        .work
        .iter()
        .map(|work| (work.id, settlement.clone()))
        .collect();
    let count = settlements.len();
    let settled = store.settle(leased.token, settlements, None, noon());
    settled.await.unwrap();
    count
}

fn not_sent() -> Settlement {
    Settlement::Waiting {
        not_before: noon(),
        reason: Reason::known(Reason::GATEWAY_UNREACHABLE),
        code: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_goes_to_the_first_of_its_ways_that_takes_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    assert_eq!(accept(&store, new_delivery()).await.1, account());
    // The first account has one place, and it is taken.
    let full = || NewDelivery {
        way: Way {
            queue_limit: NonZeroU32::MIN,
            ..way(&account())
        },
        ..new_delivery()
    };
    assert_eq!(accept(&store, full()).await.1, second());
    store.pause_lane(account(), noon()).await.unwrap();
    assert_eq!(accept(&store, new_delivery()).await.1, second());
    // Where no way takes it, the first one's reason is told.
    store.pause_lane(second(), noon()).await.unwrap();
    let refused = store.accept(full()).await.unwrap();
    assert_eq!(refused, Acceptance::QueueFull);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_moves_with_its_own_sender_as_far_as_there_are_places() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(accept(&store, new_delivery()).await.0);
    }
    let bound = accept(&store, new_delivery_at(noon(), LIFE)).await.0;
    assert_eq!(store.hand_over(all_that_wait()).await.unwrap(), 2);
    let mut accounts = Vec::new();
    for id in &ids {
        accounts.push(account_of(&store, *id).await);
    }
    assert_eq!(accounts, [second(), second(), account()]);
    assert_eq!(
        account_of(&store, bound).await,
        account(),
        "the other account is no way of this one"
    );
    let mut waiting = store.waiting().await.unwrap();
    waiting.sort();
    assert_eq!(waiting, [(account(), 2), (second(), 2)]);
    // The other account takes it at once, however long it was to wait here.
    let mut request = lease_at(noon());
    request.account = second();
    let leased = store.lease(request).await.unwrap();
    assert_eq!(leased.work.len(), 2);
    assert_eq!(leased.work[0].sender, way(&second()).sender);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_was_tried_moves_when_one_request_failed() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let tried = accept(&store, new_delivery()).await.0;
    assert_eq!(attempt(&store, not_sent()).await, 1);
    let fresh = accept(&store, new_delivery()).await.0;
    let which = Which::WhatWasTried;
    let request = HandOver {
        which,
        ..all_that_wait()
    };
    assert_eq!(store.hand_over(request).await.unwrap(), 1);
    assert_eq!(account_of(&store, tried).await, second());
    assert_eq!(account_of(&store, fresh).await, account());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_been_sent_never_moves() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let resending = accept(&store, new_delivery()).await.0;
    let reason = Reason::known(Reason::GATEWAY_OUTCOME_UNKNOWN);
    let settlement = Settlement::Resending {
        not_before: noon(),
        reason: reason.clone(),
    };
    assert_eq!(attempt(&store, settlement).await, 1);
    assert_eq!(store.hand_over(all_that_wait()).await.unwrap(), 0);
    assert_eq!(account_of(&store, resending).await, account());
    let settlement = Settlement::Uncertain {
        reason,
        report_deadline: None,
    };
    assert_eq!(attempt(&store, settlement).await, 1);
    // Under way.
    let under_way = accept(&store, new_delivery()).await.0;
    let leased = store.lease(lease_at(noon())).await.unwrap();
    assert_eq!(leased.work.len(), 1);
    assert_eq!(store.hand_over(all_that_wait()).await.unwrap(), 0);
    for id in [resending, under_way] {
        assert_eq!(account_of(&store, id).await, account());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_does_not_move_and_what_a_closed_lane_holds_does() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let short = NewDelivery {
        expire_time: noon() + Duration::from_secs(1),
        ..new_delivery()
    };
    let (over, _) = accept(&store, short).await;
    let (waits, _) = accept(&store, new_delivery()).await;
    // Its credentials are rejected: what was tried waits.
    let leased = store.lease(lease_at(noon())).await.unwrap();
    let settlements = leased
        .work
        .iter()
        .map(|work| (work.id, not_sent()))
        .collect();
    let closing = LaneClosing {
        account: account(),
        cause: ClosingCause::Credentials(CredentialsVersion::from_bytes([1; 16])),
    };
    let settled = store.settle(leased.token, settlements, Some(closing), noon());
    settled.await.unwrap();
    let later = HandOver {
        now: noon() + Duration::from_secs(2),
        must_outlive: noon() + Duration::from_secs(2),
        ..all_that_wait()
    };
    assert_eq!(store.hand_over(later).await.unwrap(), 1);
    assert_eq!(account_of(&store, waits).await, second());
    assert_eq!(account_of(&store, over).await, account());
    let state = store.delivery(over).await.unwrap().unwrap().state;
    assert_eq!(state, DeliveryState::Accepted, "the sweep ends it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_moves_whole_however_much_of_it_must_stay() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let wide = |new: NewDelivery| NewDelivery {
        way: Way {
            queue_limit: NonZeroU32::new(5000).unwrap(),
            ..way(&account())
        },
        ..new
    };
    // What has no other way waits in front.
    let bound = (0..600).map(|_| wide(new_delivery_at(noon(), LIFE)));
    let free = (0..600).map(|_| wide(new_delivery()));
    // Each for a citizen of its own, or one would supersede another.
    for (citizen, new) in bound.chain(free).enumerate() {
        let recipient = Recipient::parse(&format!("+346000{citizen:05}")).unwrap();
        let new = NewDelivery { recipient, ..new };
        assert_eq!(accept(&store, new).await.1, account());
    }
    let mut request = all_that_wait();
    request.to[0].queue_limit = NonZeroU32::new(5000).unwrap();
    assert_eq!(store.hand_over(request).await.unwrap(), 600);
}

fn third() -> AccountId {
    AccountId::parse("madrid-three").unwrap()
}

/// The account's lane says that its gateway takes so long for a request, which carries one message.
fn takes(store: &SqliteStore, account: &AccountId, latency: Duration) {
    let report = LaneReport {
        latency,
        measured_at: Some(noon()),
        ..LaneReport::new(NonZeroU32::MIN)
    };
    store.lanes().publish(account, report);
}

/// A code that all three accounts may carry, with so little time left.
fn with_left(milliseconds: u64) -> NewDelivery {
    NewDelivery {
        other_ways: vec![way(&second()), way(&third())],
        ..new_delivery_at(noon(), Duration::from_millis(milliseconds))
    }
}

fn wide(of: AccountId) -> Neighbour {
    Neighbour {
        account: of,
        queue_limit: NonZeroU32::new(100).unwrap(),
        lawful: lawful(),
        is_well: true,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_moves_only_where_it_is_expected_in_time_behind_all_that_waits_there() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    takes(&store, &second(), Duration::from_secs(1));
    let mut ids = Vec::new();
    for left in [900, 1100, 1900, 2100, 2900, 3100] {
        ids.push(accept(&store, with_left(left)).await.0);
    }
    let request = HandOver {
        to: vec![wide(second())],
        ..all_that_wait()
    };
    assert_eq!(store.hand_over(request.clone()).await.unwrap(), 3);
    let mut at = Vec::new();
    for id in &ids {
        at.push(account_of(&store, *id).await);
    }
    // The first request there, the second and the third.
    let (stays, moves) = (account, second);
    let expected = [stays(), moves(), stays(), moves(), stays(), moves()];
    assert_eq!(at, expected);
    // The next account in order takes what it can: it is slower, but nothing waits there.
    takes(&store, &third(), Duration::from_secs(2));
    let request = HandOver {
        to: vec![wide(second()), wide(third())],
        ..request
    };
    assert_eq!(store.hand_over(request).await.unwrap(), 1);
    assert_eq!(account_of(&store, ids[4]).await, third());
    for id in [ids[0], ids[2]] {
        assert_eq!(account_of(&store, id).await, account());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_less_left_than_any_gateway_takes_stays_and_expires_unsent() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let short = accept(&store, with_left(500)).await.0;
    let longer = accept(&store, with_left(501)).await.0;
    let request = HandOver {
        must_outlive: noon() + Duration::from_millis(500),
        ..all_that_wait()
    };
    assert_eq!(store.hand_over(request).await.unwrap(), 1);
    assert_eq!(account_of(&store, longer).await, second());
    let end = noon() + Duration::from_millis(500);
    assert_eq!(store.expire_overdue(end).await.unwrap(), 1);
    let delivery = store.delivery(short).await.unwrap().unwrap();
    assert_eq!(delivery.account, account());
    assert_eq!(
        (delivery.state, delivery.attempts),
        (DeliveryState::Expired, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_go_out_here_waits_rather_than_move_where_it_would_come_too_late() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let id = accept(&store, with_left(3000)).await.0;
    takes(&store, &second(), Duration::from_secs(3));
    let request = || LeaseRequest {
        lawful: Lawful::default(),
        neighbours: vec![wide(second())],
        ..lease_at(noon())
    };
    let leased = store.lease(request()).await.unwrap();
    assert_eq!((leased.unlawful.moved, leased.unlawful.waiting), (0, 1));
    assert_eq!(account_of(&store, id).await, account());
    // It has become faster.
    takes(&store, &second(), Duration::from_millis(1900));
    let later = noon() + Duration::from_secs(1);
    let request = LeaseRequest {
        now: later,
        must_outlive: later,
        ..request()
    };
    let leased = store.lease(request).await.unwrap();
    assert_eq!((leased.unlawful.moved, leased.unlawful.waiting), (1, 0));
    assert_eq!(account_of(&store, id).await, second());
}

fn tried(from: AccountId, to: AccountId) -> HandOver {
    let mut request = all_that_wait();
    request.to[0].account = to;
    HandOver {
        from,
        which: Which::WhatWasTried,
        ..request
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_tried_elsewhere_does_not_go_back_when_something_else_fails_here() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let id = accept(&store, new_delivery()).await.0;
    assert_eq!(attempt(&store, not_sent()).await, 1);
    let there = || tried(account(), second());
    let back = || tried(second(), account());
    assert_eq!(store.hand_over(there()).await.unwrap(), 1);
    // Another code fails on the second account, which has not tried this one.
    assert_eq!(store.hand_over(back()).await.unwrap(), 0);
    assert_eq!(account_of(&store, id).await, second());
    let mut request = lease_at(noon());
    request.account = second();
    let leased = store.lease(request).await.unwrap();
    let settled = store.settle(leased.token, vec![(id, not_sent())], None, noon());
    settled.await.unwrap();
    assert_eq!(store.hand_over(back()).await.unwrap(), 1);
    // Nor has the first tried it since it came back.
    assert_eq!(store.hand_over(there()).await.unwrap(), 0);
    assert_eq!(account_of(&store, id).await, account());
}
