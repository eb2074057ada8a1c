//! A code goes out only as it may on the day it goes out, by the configuration of that moment: what was lawful when it was taken
//! is looked at again.

use std::{num::NonZeroU32, path::Path, sync::Arc, time::Duration};

use clave_otp::{
    clock::{Clock as _, ManualClock},
    domain::{AccountId, DeliveryId, DeliveryState, Reason, Recipient, Sender},
    grpc::proto::{CreateDeliveryRequest, Delivery, DeliveryState as Told},
    simulator::{Action, Gate, Match, Script},
    store::{
        Acceptance, HandOver, Lawful, LeaseRequest, Leased, Neighbour, NewDelivery, Settlement,
        Store, Unlawful, Way, Which, sqlite::SqliteStore,
    },
};
use jiff::Timestamp;
use rusqlite::Connection;

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
    // Whoever follows the delivery may hear of its end before the lane does, which counts it.
    let counted = "clave_otp_deliveries_unlawful_total{account=\"madrid-mn\"} 1\n";
    app.until_metrics(&[counted.to_owned()]).await;
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
        lawful: only_the_number(),
        neighbours: vec![nothing],
        ..lease_at(noon())
    };
    let leased = store.lease(request).await.unwrap();
    assert_eq!(leased.work.len(), 1);
    assert_eq!(leased.work[0].id, common.id);
    assert_eq!((leased.unlawful.ended, leased.unlawful.moved), (2, 0));
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
        must_outlive: noon(),
    };
    let moved = store.hand_over(hand_over(Lawful::default())).await;
    assert_eq!(moved.unwrap(), 0);
    // There it goes out under the common number.
    let numeric = Lawful {
        senders: vec![(way(&account()).sender, Sender::Common)],
        abroad: Vec::new(),
    };
    assert_eq!(store.hand_over(hand_over(numeric)).await.unwrap(), 1);
    let delivery = store.delivery(id).await.unwrap().unwrap();
    assert_eq!(
        (delivery.account, delivery.sender.as_str()),
        (second(), "217812")
    );
}

/// As many deliveries as make several rounds, each for a citizen of its own; under an alias that no account may use any more.
async fn backlog(store: &SqliteStore, has_choice: bool) -> Vec<DeliveryId> {
    let accepting = (0..BACKLOG).map(|citizen| {
        let wide = |id: &AccountId| Way {
            queue_limit: NonZeroU32::MAX,
            ..way(id)
        };
        let new = NewDelivery {
            way: wide(&account()),
            other_ways: has_choice.then(|| wide(&second())).into_iter().collect(),
            recipient: Recipient::parse(&format!("+346000{citizen:05}")).unwrap(),
            ..new_delivery_at(noon(), Duration::from_secs(600))
        };
        async move {
            match store.accept(new).await.unwrap() {
                Acceptance::Stored(delivery) => delivery.id,
                other => panic!("{other:?}"),
            }
        }
    });
    futures_util::future::join_all(accepting).await
}

const BACKLOG: u32 = 1200;

/// No alias may be used any more.
fn only_the_number() -> Lawful {
    Lawful {
        senders: vec![(Sender::Common, Sender::Common)],
        abroad: Vec::new(),
    }
}

/// Rows of the file that a condition holds for.
fn rows_where(directory: &Path, condition: &str) -> u32 {
    let file = Connection::open(directory.join("clave-otp.db")).unwrap();
    let statement = format!("SELECT count(*) FROM deliveries WHERE {condition}");
    file.query_row(&statement, [], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_lease_sets_a_bounded_part_of_a_backlog_aside_and_the_next_goes_on_behind_it() {
    const PART: u32 = 500;
    let well = Neighbour {
        queue_limit: NonZeroU32::MAX,
        ..neighbour()
    };
    let unwell = Neighbour {
        is_well: false,
        ..well.clone()
    };
    let moved = "account = 'madrid-two'";
    for (neighbours, set_aside) in [
        (vec![unwell], "not_before > 0"),
        (vec![well], moved),
        (Vec::new(), "state = 5"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path());
        backlog(&store, !neighbours.is_empty()).await;
        let mut may_go = new_delivery_at(noon(), Duration::from_secs(600));
        may_go.way.sender = Sender::Common;
        may_go.way.queue_limit = NonZeroU32::MAX;
        let may_go_id = may_go.id;
        assert!(matches!(
            store.accept(may_go).await.unwrap(),
            Acceptance::Stored(_)
        ));
        let mut seen = 0;
        let mut rounds = 0;
        let mut told = 0;
        loop {
            let request = LeaseRequest {
                limit: NonZeroU32::MIN,
                lawful: only_the_number(),
                neighbours: neighbours.clone(),
                ..lease_at(noon())
            };
            let leased = store.lease(request).await.unwrap();
            rounds += 1;
            let Unlawful {
                renamed,
                moved,
                waiting,
                ended,
            } = leased.unlawful;
            told += renamed + moved + waiting + ended;
            let now_seen = rows_where(directory.path(), set_aside);
            assert!(
                now_seen - seen <= PART,
                "{set_aside}: {now_seen} after {seen}"
            );
            seen = now_seen;
            if let [work] = leased.work.as_slice() {
                assert_eq!(work.id, may_go_id);
                break;
            }
            assert_eq!(leased.work.len(), 0);
            assert!(leased.next_due.unwrap() <= noon(), "it comes again at once");
            assert!(rounds < 10);
        }
        assert_eq!((seen, rounds), (BACKLOG, 3), "{set_aside}");
        assert_eq!(told, u64::from(BACKLOG), "{set_aside}");
        // A second for each part that waits: asking never takes all of the lane's time.
        let soon = noon() + Duration::from_secs(3);
        let too_soon = format!(
            "state = 1 AND account = 'madrid-mn' AND not_before < {}",
            soon.as_microsecond()
        );
        assert_eq!(rows_where(directory.path(), &too_soon), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_account_is_given_nothing_however_well_its_lane_says_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let id = accept(&store, true).await;
    store.pause_lane(second(), noon()).await.unwrap();
    let hand_over = HandOver {
        from: account(),
        to: vec![neighbour()],
        which: Which::AllThatWait,
        now: noon(),
        must_outlive: noon(),
    };
    assert_eq!(store.hand_over(hand_over.clone()).await.unwrap(), 0);
    let leased = lease(&store, noon(), vec![neighbour()]).await;
    assert!(leased.work.is_empty());
    let delivery = store.delivery(id).await.unwrap().unwrap();
    assert_eq!(
        (delivery.state, delivery.account),
        (DeliveryState::Accepted, account()),
        "it waits until that one is open again"
    );
    store.resume_lane(second()).await.unwrap();
    assert_eq!(store.hand_over(hand_over).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_is_not_the_accounts_any_more_does_not_go_out() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let mut new = new_delivery_at(noon(), Duration::from_secs(600));
    new.way.sender = Sender::Common;
    let id = new.id;
    store.accept(new).await.unwrap();
    let leased = lease(&store, noon(), Vec::new()).await;
    assert!(leased.work.is_empty());
    let delivery = store.delivery(id).await.unwrap().unwrap();
    assert_eq!(delivery.state, DeliveryState::Failed);
    assert_eq!(delivery.reason.unwrap().as_str(), Reason::ALIAS_NOT_USABLE);
}
