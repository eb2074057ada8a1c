//! A code goes out only as it may on the day it goes out, by the configuration of that moment: what was lawful when it was taken
//! is looked at again.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use clave_otp::{
    clock::{Clock as _, ManualClock},
    domain::{AccountId, DeliveryId, DeliveryState, Reason, Sender},
    grpc::proto::{CreateDeliveryRequest, Delivery, DeliveryState as Told},
    simulator::{Action, Gate, Match, Script},
    store::{
        Acceptance, HandOver, Lawful, LeaseRequest, Leased, Neighbour, NewDelivery, Settlement,
        Store, Which, sqlite::SqliteStore,
    },
};
use jiff::Timestamp;

use crate::{
    store::{account, lawful, lease_at, new_delivery_at, open, way},
    support::{Files, TestApp, request_at, soon},
};

const MADRID_FILE: &str = "administrations/madrid.toml";

/// Half a minute before midnight in Spain; the alias's pre-inscription lapses with the day.
const BEFORE_MIDNIGHT: &str = "2026-11-24T22:59:30Z";

fn lapses_tonight(files: &Files) {
    let lapsing = "status = \"preinscribed\"\nlapses_on = 2026-11-24";
    files.change(
        MADRID_FILE,
        "status = \"inscribed\"\ninscribed_on = 2026-08-03",
        lapsing,
    );
}

fn to(citizen: u32, now: Timestamp) -> CreateDeliveryRequest {
    CreateDeliveryRequest {
        recipient: format!("+34600000{citizen:03}"),
        ..request_at(now)
    }
}

/// One code is on its way and another one waits behind it when midnight comes; what became of the other.
async fn over_midnight(change: impl FnOnce(&Files)) -> (TestApp, Delivery) {
    let clock = ManualClock::at(BEFORE_MIDNIGHT.parse().unwrap());
    let gate = Gate::new();
    let script = Script::new().on(Match::phone("600000001"), Action::Hold(gate.clone()));
    let mut app = TestApp::start_with(script, Arc::new(clock.clone()), |files| {
        lapses_tonight(files);
        change(files);
    })
    .await;
    let on_its_way = app.accepted(to(1, clock.now())).await;
    soon(app.simulator.ledger().until_held(1)).await;
    let waiting = app.accepted(to(2, clock.now())).await;
    assert_eq!(waiting.sender, "ClaveMadrid");
    clock.advance(Duration::from_secs(60));
    gate.open();
    let first = app.follow(&on_its_way.name).await.1;
    assert_eq!(
        (first.state(), first.sender.as_str()),
        (Told::Sent, "ClaveMadrid")
    );
    let second = app.follow(&waiting.name).await.1;
    (app, second)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_waits_over_midnight_is_not_sent_under_an_alias_that_lapsed_with_the_day() {
    let (app, delivery) = over_midnight(|_| ()).await;
    let expected = (Told::Failed, "ALIAS_NOT_USABLE");
    assert_eq!((delivery.state(), delivery.reason.as_str()), expected);
    assert_eq!(delivery.attempts, 0);
    assert_eq!(app.simulator.ledger().message_count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_administration_says_so_it_goes_out_under_the_common_number_instead() {
    let (app, delivery) = over_midnight(|files| {
        let language = "default_language = \"es\"";
        let numeric = "default_language = \"es\"\nalias_policy = \"numeric\"";
        files.change(MADRID_FILE, language, numeric);
    })
    .await;
    assert_eq!(
        (delivery.state(), delivery.sender.as_str()),
        (Told::Sent, "217812")
    );
    let ledger = app.simulator.ledger();
    assert_eq!(ledger.message_count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_while_the_configuration_was_changed_goes_by_the_new_one() {
    let clock = ManualClock::at(BEFORE_MIDNIGHT.parse().unwrap());
    let shared = Arc::new(clock.clone());
    let mut endpoint = String::new();
    let nowhere = "endpoint = \"http://127.0.0.1:9/SrvConexion\"";
    let mut app = TestApp::start_with(Script::new(), shared.clone(), |files| {
        let text = std::fs::read_to_string(files.path(MADRID_FILE)).unwrap();
        let line = text.lines().find(|line| line.starts_with("endpoint = "));
        line.unwrap().clone_into(&mut endpoint);
        files.change(MADRID_FILE, &endpoint, nowhere);
    })
    .await;
    let waiting = app.accepted(to(1, clock.now())).await;
    let (files, simulator) = app.stop().await;
    files.change(MADRID_FILE, nowhere, &endpoint);
    files.change(MADRID_FILE, "\"inscribed\"", "\"suspended\"");
    let mut app = TestApp::start_on(files, simulator, shared).await;
    // What could not be sent waits a little before it is tried again.
    clock.advance(Duration::from_secs(10));
    let delivery = app.follow(&waiting.name).await.1;
    let expected = (Told::Failed, "ALIAS_NOT_USABLE");
    assert_eq!((delivery.state(), delivery.reason.as_str()), expected);
    assert_eq!(app.simulator.ledger().message_count(), 0);
}

fn noon() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn second() -> AccountId {
    AccountId::parse("madrid-two").unwrap()
}

/// Another account that may send under everything, and can.
fn neighbour() -> Neighbour {
    Neighbour {
        account: second(),
        queue_limit: NonZeroU32::new(10).unwrap(),
        lawful: lawful(),
        is_well: true,
    }
}

async fn accept(store: &SqliteStore, has_choice: bool) -> DeliveryId {
    let new = NewDelivery {
        other_ways: has_choice.then(|| way(&second())).into_iter().collect(),
        ..new_delivery_at(noon(), Duration::from_secs(600))
    };
    match store.accept(new).await.unwrap() {
        Acceptance::Stored(delivery) => delivery.id,
        other => panic!("{other:?}"),
    }
}

/// The first account may use no alias any more.
async fn lease(store: &SqliteStore, now: Timestamp, neighbours: Vec<Neighbour>) -> Leased {
    let request = LeaseRequest {
        lawful: Lawful::default(),
        neighbours,
        ..lease_at(now)
    };
    store.lease(request).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_go_out_here_moves_to_an_account_where_it_may_or_waits_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let ids = [
        accept(&store, true).await,
        accept(&store, true).await,
        accept(&store, true).await,
    ];
    let states = async || {
        let mut states = Vec::new();
        for id in ids {
            let delivery = store.delivery(id).await.unwrap().unwrap();
            states.push((delivery.state, delivery.account));
        }
        states
    };
    let unwell = Neighbour {
        is_well: false,
        ..neighbour()
    };
    let leased = lease(&store, noon(), vec![unwell]).await;
    assert!(leased.work.is_empty());
    let all_wait = vec![(DeliveryState::Accepted, account()); 3];
    assert_eq!(states().await, all_wait);
    let later = leased.next_due.expect("it is asked again");
    assert!(later > noon() && later <= noon() + Duration::from_secs(1));
    // There are two places.
    let narrow = Neighbour {
        queue_limit: NonZeroU32::new(2).unwrap(),
        ..neighbour()
    };
    let leased = lease(&store, later, vec![narrow]).await;
    assert!(leased.work.is_empty());
    let mut moved = all_wait;
    moved[..2].fill((DeliveryState::Accepted, second()));
    assert_eq!(states().await, moved);
    let mut waiting = store.waiting().await.unwrap();
    waiting.sort();
    assert_eq!(waiting, [(account(), 1), (second(), 2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_go_out_nowhere_ends_and_makes_room_for_what_may() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let bound = accept(&store, false).await;
    let unlawful_there = accept(&store, true).await;
    let common = NewDelivery {
        way: clave_otp::store::Way {
            sender: Sender::Common,
            ..way(&account())
        },
        ..new_delivery_at(noon(), Duration::from_secs(600))
    };
    let Acceptance::Stored(common) = store.accept(common).await.unwrap() else {
        panic!("not stored");
    };
    let nothing = Neighbour {
        lawful: Lawful::default(),
        ..neighbour()
    };
    let request = LeaseRequest {
        limit: NonZeroU32::MIN,
        lawful: Lawful::default(),
        neighbours: vec![nothing],
        ..lease_at(noon())
    };
    let leased = store.lease(request).await.unwrap();
    assert_eq!(leased.work.len(), 1, "numbers need no inscription");
    assert_eq!(leased.work[0].id, common.id);
    for id in [bound, unlawful_there] {
        let delivery = store.delivery(id).await.unwrap().unwrap();
        assert_eq!(delivery.state, DeliveryState::Failed);
        assert_eq!(delivery.reason.unwrap().as_str(), Reason::ALIAS_NOT_USABLE);
    }
    assert_eq!(store.waiting().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_been_sent_neither_moves_nor_is_called_failed() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let id = accept(&store, true).await;
    let leased = store.lease(lease_at(noon())).await.unwrap();
    let resending = Settlement::Resending {
        not_before: noon(),
        reason: Reason::known(Reason::GATEWAY_OUTCOME_UNKNOWN),
    };
    let settled = store.settle(leased.token, vec![(id, resending)], None, noon());
    settled.await.unwrap();
    let leased = lease(&store, noon(), vec![neighbour()]).await;
    assert!(leased.work.is_empty());
    let delivery = store.delivery(id).await.unwrap().unwrap();
    assert_eq!(delivery.state, DeliveryState::Uncertain);
    assert_eq!(delivery.account, account());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_handed_over_to_an_account_where_its_alias_may_not_be_used_any_more() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let id = accept(&store, true).await;
    let hand_over = |lawful: Lawful| HandOver {
        from: account(),
        to: vec![Neighbour {
            lawful,
            ..neighbour()
        }],
        which: Which::AllThatWait,
        now: noon(),
    };
    let moved = store.hand_over(hand_over(Lawful::default())).await;
    assert_eq!(moved.unwrap(), 0);
    // There it goes out under the common number.
    let numeric = Lawful {
        aliases: vec![(lawful().aliases[0].0.clone(), Sender::Common)],
        abroad: false,
    };
    assert_eq!(store.hand_over(hand_over(numeric)).await.unwrap(), 1);
    let delivery = store.delivery(id).await.unwrap().unwrap();
    assert_eq!(
        (delivery.account, delivery.sender.as_str()),
        (second(), "217812")
    );
}
