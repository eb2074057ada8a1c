//! The log of changes: whatever moves a delivery is in it once, in order, and in the same transaction.

use std::{fs, num::NonZeroU32, time::Duration};

use clave_otp::{
    clock::{Clock as _, SystemClock},
    domain::{
        AttemptToken, BareDigits, Delivery, DeliveryId, DeliveryState, News, Reason, ReportedNumber,
    },
    store::{
        Acceptance, Change, ChangePage, ChangePlace, LeaseRequest, NewReport, Recovery,
        ReportEffect, Settlement, Store, sqlite::SqliteStore,
    },
};
use jiff::Timestamp;

use crate::store::{account, lawful, new_delivery_at, open};
use crate::store_reports::{Story, WINDOW, failed, noon, report, sent};

const MINUTE: Duration = Duration::from_secs(60);

fn now() -> Timestamp {
    SystemClock::new().now()
}

fn most(number: u32) -> NonZeroU32 {
    number.try_into().unwrap()
}

async fn accept_at(store: &SqliteStore, now: Timestamp) -> DeliveryId {
    let new = new_delivery_at(now, MINUTE * 10);
    match store.accept(new).await.unwrap() {
        Acceptance::Stored(delivery) => delivery.id,
        other => panic!("not stored: {other:?}"),
    }
}

async fn accept(store: &SqliteStore) -> DeliveryId {
    accept_at(store, now()).await
}

fn lease() -> LeaseRequest {
    let now = now();
    LeaseRequest {
        account: account(),
        limit: most(500),
        now,
        must_outlive: now,
        lawful: lawful(),
        neighbours: Vec::new(),
        report_deadline: None,
    }
}

async fn after(store: &SqliteStore, place: ChangePlace) -> Vec<Change> {
    match store.changes_after(place, most(1000)).await.unwrap() {
        ChangePage::Changes(changes) => changes,
        other => panic!("{other:?}"),
    }
}

async fn all(store: &SqliteStore) -> Vec<Change> {
    after(store, ChangePlace::default()).await
}

fn states_of(changes: &[Change], id: DeliveryId) -> Vec<DeliveryState> {
    let of_it = changes.iter().filter(|change| change.delivery.id == id);
    of_it.map(|change| change.delivery.state).collect()
}

async fn settle(store: &SqliteStore, token: AttemptToken, outcomes: &[(DeliveryId, Settlement)]) {
    let settled = store.settle(token, outcomes.to_vec(), None, now()).await;
    settled.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_moves_a_delivery_is_in_the_log_once_and_in_order() {
    use DeliveryState::{Accepted, Cancelled, Expired, Failed, Sending, Sent, Uncertain};
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let (sent, failed, again) = (
        accept(&store).await,
        accept(&store).await,
        accept(&store).await,
    );
    let leased = store.lease(lease()).await.unwrap();
    let reason = Reason::gateway_http(503);
    let outcomes = [
        (
            sent,
            Settlement::Sent {
                message_id: None,
                report_deadline: Some(now()),
            },
        ),
        (
            failed,
            Settlement::Failed {
                reason: reason.clone(),
                code: Some(-7),
            },
        ),
        (
            again,
            Settlement::Waiting {
                not_before: now(),
                reason,
                code: None,
            },
        ),
    ];
    settle(&store, leased.token, &outcomes).await;
    // An outcome without its token changes nothing, and is no change.
    settle(&store, AttemptToken::random(), &outcomes).await;
    store.cancel(again, now()).await.unwrap();
    let interrupted = accept(&store).await;
    store.lease(lease()).await.unwrap();
    let (one, other) = (accept(&store).await, accept(&store).await);
    // Two statements for many: what ends overdue, and what a process that is gone left behind.
    let overdue = now() + MINUTE * 11;
    assert_eq!(store.expire_overdue(overdue).await.unwrap(), 2);
    let recovery = Recovery {
        now: overdue,
        resend_once: Vec::new(),
    };
    assert_eq!(store.recover(recovery).await.unwrap().uncertain, 1);

    let log = all(&store).await;
    for (id, states) in [
        (sent, vec![Accepted, Sending, Sent]),
        (failed, vec![Accepted, Sending, Failed]),
        (again, vec![Accepted, Sending, Accepted, Cancelled]),
        (interrupted, vec![Accepted, Sending, Uncertain]),
        (one, vec![Accepted, Expired]),
        (other, vec![Accepted, Expired]),
    ] {
        assert_eq!(states_of(&log, id), states);
        let last = log.iter().rev().find(|change| change.delivery.id == id);
        let kept = store.delivery(id).await.unwrap();
        assert_eq!(last.map(|change| &change.delivery), kept.as_ref());
    }
    let numbers: Vec<i64> = log.iter().map(|change| change.place.number).collect();
    assert_eq!(numbers, (1..=17).collect::<Vec<_>>());
    assert_eq!(after(&store, log[9].place).await, log[10..]);
    assert_eq!(store.changes().log_end().place(), log[16].place);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_is_rolled_back_leaves_no_change() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let id = accept(&store).await;
    let before = all(&store).await;
    let other = rusqlite::Connection::open(directory.path().join("clave-otp.db")).unwrap();
    // The lease has moved the delivery when this fails it.
    other
        .execute_batch(
            "CREATE TRIGGER fails BEFORE INSERT ON attempts BEGIN SELECT RAISE(ABORT, 'no'); END",
        )
        .unwrap();
    store.lease(lease()).await.unwrap_err();
    assert_eq!(all(&store).await, before);
    assert_eq!(
        store.changes().log_end().place(),
        before[0].place,
        "nobody is woken for it"
    );
    other.execute_batch("DROP TRIGGER fails").unwrap();
    assert_eq!(store.lease(lease()).await.unwrap().work.len(), 1);
    let log = all(&store).await;
    assert_eq!(
        states_of(&log, id),
        [DeliveryState::Accepted, DeliveryState::Sending]
    );
    assert_eq!(log[1].place.number, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn old_changes_are_forgotten_in_pieces_and_numbers_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let (old, new) = (now() - MINUTE * 60, now());
    for _ in 0..25 {
        accept_at(&store, old).await;
    }
    accept_at(&store, new).await;
    let log = all(&store).await;
    let mut pieces = Vec::new();
    loop {
        let piece = store.forget_changes(new, most(10)).await.unwrap();
        pieces.push((piece.forgotten, piece.kept));
        if piece.forgotten == 0 {
            break;
        }
    }
    assert_eq!(pieces, [(10, 16), (10, 6), (5, 1), (0, 1)]);
    // Nothing is missing behind the last entry that is gone; behind the one before it, something is.
    assert_eq!(after(&store, log[24].place).await, log[25..]);
    for place in [ChangePlace::default(), log[23].place] {
        let page = store.changes_after(place, most(10)).await.unwrap();
        assert_eq!(page, ChangePage::Forgotten);
    }
    // The newest stays however old it is: numbers go on behind it, in a new process too.
    let all_old = store.forget_changes(new + MINUTE, most(10)).await.unwrap();
    assert_eq!((all_old.forgotten, all_old.kept), (0, 1));
    let id = store.id();
    store.close();
    let store = open(directory.path());
    assert_eq!(store.id(), id);
    assert_eq!(store.changes().log_end().place(), log[25].place);
    accept(&store).await;
    assert_eq!(after(&store, log[25].place).await[0].place.number, 27);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_from_before_a_backup_was_restored_is_unknown_also_where_the_log_has_grown_past_it()
{
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    accept(&store).await;
    store.close();
    let backup = tempfile::tempdir().unwrap();
    for file in fs::read_dir(directory.path()).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), backup.path().join(file.file_name())).unwrap();
    }
    let store = open(directory.path());
    accept(&store).await;
    let seen = all(&store).await;

    let restored = open(backup.path());
    assert_eq!(restored.id(), store.id());
    let unknown = async || {
        let page = restored.changes_after(seen[1].place, most(10)).await;
        page.unwrap() == ChangePage::Unknown
    };
    assert!(unknown().await, "it lies beyond the end");
    for _ in 0..3 {
        accept(&restored).await;
    }
    assert!(unknown().await, "another change has its number");
    assert_eq!(after(&restored, seen[0].place).await.len(), 3);
    assert_ne!(open(tempfile::tempdir().unwrap().path()).id(), store.id());
}

/// The whole log after something was done, which added so many entries.
async fn grown_by(store: &SqliteStore, before: &[Change], added: usize, what: &str) -> Vec<Change> {
    let log = all(store).await;
    assert_eq!(log[..before.len()], *before, "{what}");
    let numbers = log.iter().map(|change| change.place.number);
    assert!(numbers.eq(1..=i64::try_from(log.len()).unwrap()), "{what}");
    assert_eq!(log.len() - before.len(), added, "{what}: {log:?}");
    log
}

/// A report by the id of the message that comes so many seconds after noon.
fn report_at(seconds: u64, news: News) -> NewReport {
    NewReport {
        receive_time: noon() + Duration::from_secs(seconds),
        ..report(None, "m1", news)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_by_a_report_is_in_the_log_once_and_what_a_report_leaves_alone_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let story = Story::begin(directory.path()).await;
    story.settle(sent(Some("m1"))).await;
    let mut log = grown_by(&story.store, &[], 3, "Accepted, Sending, Sent").await;
    let of_another = {
        let mut said = report_at(3, News::Delivered);
        said.report.recipient = ReportedNumber::parse("+34699999999", BareDigits::National);
        said
    };
    let of_nothing = report(None, "m2", News::Delivered);
    let late = WINDOW.as_secs();
    for (said, effect, added) in [
        (report_at(1, News::Waiting), ReportEffect::Noted, 1),
        (report_at(2, News::Waiting), ReportEffect::Repeated, 0),
        (of_another, ReportEffect::AnotherRecipient, 0),
        (of_nothing, ReportEffect::Early, 0),
        (report_at(late, News::Delivered), ReportEffect::Late, 0),
        (
            report_at(5, failed()),
            ReportEffect::Settled(DeliveryState::Failed),
            1,
        ),
        (report_at(6, failed()), ReportEffect::Repeated, 0),
        (report_at(7, News::Unknown), ReportEffect::Noted, 0),
    ] {
        let told = format!("{said:?}");
        assert_eq!(story.effect(said).await, effect, "{told}");
        log = grown_by(&story.store, &log, added, &told).await;
    }
    let told = |place: usize| {
        let Delivery {
            state,
            reason,
            report_time,
            ..
        } = log[place].delivery.clone();
        (state, reason, report_time)
    };
    let after = |seconds| Some(noon() + Duration::from_secs(seconds));
    assert_eq!(told(2), (DeliveryState::Sent, None, None));
    assert_eq!(told(3), (DeliveryState::Sent, None, after(1)));
    let reason = Some(Reason::known(Reason::REPORTED_REJECTED));
    assert_eq!(told(4), (DeliveryState::Failed, reason, after(5)));
    let kept = story.store.delivery(story.id).await.unwrap();
    assert_eq!(Some(&log[4].delivery), kept.as_ref());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_waited_for_the_outcome_is_logged_behind_it_in_the_same_or_the_next_process()
{
    use DeliveryState::{Accepted, Delivered, Sending, Sent, Uncertain};
    for dies in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let begun = Story::begin(directory.path()).await;
        let id = begun.id;
        let log = grown_by(&begun.store, &[], 2, "Accepted, Sending").await;
        let early = report(Some(id), "m1", News::Delivered);
        assert_eq!(begun.effect(early).await, ReportEffect::Early);
        grown_by(&begun.store, &log, 0, "it waits").await;
        let (store, outcome) = if dies {
            begun.store.close();
            let store = open(directory.path());
            let recovery = Recovery {
                now: noon() + MINUTE,
                resend_once: Vec::new(),
            };
            assert_eq!(store.recover(recovery).await.unwrap().reported, 1);
            (store, Uncertain)
        } else {
            begun.settle(sent(Some("m1"))).await;
            (begun.store, Sent)
        };
        let log = grown_by(&store, &log, 2, "the outcome, and what is told of it").await;
        let states = states_of(&log, id);
        assert_eq!(states, [Accepted, Sending, outcome, Delivered]);
        let kept = store.delivery(id).await.unwrap();
        assert_eq!(Some(&log[3].delivery), kept.as_ref());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_is_rolled_back_leaves_no_change_and_counts_when_it_comes_again() {
    let directory = tempfile::tempdir().unwrap();
    let story = Story::begin(directory.path()).await;
    story.settle(sent(Some("m1"))).await;
    let log = all(&story.store).await;
    let other = rusqlite::Connection::open(directory.path().join("clave-otp.db")).unwrap();
    // The report is kept and its delivery moved when this fails it.
    other
        .execute_batch(
            "CREATE TRIGGER fails AFTER UPDATE OF state ON deliveries WHEN new.state = 4 \
             BEGIN SELECT RAISE(ABORT, 'no'); END",
        )
        .unwrap();
    let delivered = report_at(1, News::Delivered);
    story
        .store
        .apply_report(delivered.clone())
        .await
        .unwrap_err();
    grown_by(&story.store, &log, 0, "rolled back").await;
    other.execute_batch("DROP TRIGGER fails").unwrap();
    // While the store is known to be in trouble reports are refused at once.
    story.store.probe().await;
    let settled = ReportEffect::Settled(DeliveryState::Delivered);
    assert_eq!(story.effect(delivered).await, settled, "it is no repeat");
    grown_by(&story.store, &log, 1, "Delivered").await;
}
