//! What the store makes of reports: each is kept once, finds its delivery whether it came before or after the outcome, and never
//! takes a state back.

use std::{num::NonZeroU32, path::Path, sync::Arc, time::Duration};

use clave_otp::{
    domain::{
        AccountId, BareDigits, DeliveryId, DeliveryState, GatewayMessageId, News, Reason,
        Recipient, Report, ReportedNumber, ReportedStatus,
    },
    store::{
        Acceptance, ForgottenReports, Leased, NewDelivery, NewReport, Recovery, ReportEffect,
        Settlement, Store, sqlite::SqliteStore,
    },
};
use jiff::Timestamp;

use crate::store::{account, lease_at, new_delivery_at, open};

pub(crate) fn noon() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

pub(crate) const WINDOW: Duration = Duration::from_secs(3600);
pub(crate) const LIFE: Duration = Duration::from_secs(600);

pub(crate) fn message_id(id: &str) -> GatewayMessageId {
    GatewayMessageId::parse(id).unwrap()
}

pub(crate) fn failed() -> News {
    News::Failed(Reason::known(Reason::REPORTED_REJECTED))
}

/// A report of the account, by the gateway's id unless `delivery` says whose it is.
pub(crate) fn report(delivery: Option<DeliveryId>, id: &str, news: News) -> NewReport {
    NewReport {
        account: account(),
        report: Report {
            delivery,
            message_id: Some(message_id(id)),
            recipient: None,
            status: ReportedStatus::of(news.as_str()),
            news,
        },
        receive_time: noon(),
        early_limit: NonZeroU32::new(3).unwrap(),
        max_per_delivery: NonZeroU32::new(4).unwrap(),
    }
}

/// A store with one delivery that has been leased; its account brings reports.
pub(crate) struct Story {
    pub(crate) store: SqliteStore,
    pub(crate) id: DeliveryId,
    recipient: Recipient,
    pub(crate) leased: Leased,
}

impl Story {
    pub(crate) async fn begin(directory: &Path) -> Self {
        let store = open(directory);
        let new = new_delivery_at(noon(), LIFE);
        let recipient = new.recipient.clone();
        let (id, leased) = lease(&store, new).await;
        Self {
            store,
            id,
            recipient,
            leased,
        }
    }

    pub(crate) async fn settle(&self, settlement: Settlement) -> DeliveryState {
        let settlements = vec![(self.id, settlement)];
        let settled = self
            .store
            .settle(self.leased.token, settlements, None, noon());
        settled.await.unwrap();
        self.state().await
    }

    pub(crate) async fn state(&self) -> DeliveryState {
        self.store.delivery(self.id).await.unwrap().unwrap().state
    }

    pub(crate) async fn effect(&self, report: NewReport) -> ReportEffect {
        self.store.apply_report(report).await.unwrap().effect
    }
}

pub(crate) async fn lease(store: &SqliteStore, new: NewDelivery) -> (DeliveryId, Leased) {
    let Acceptance::Stored(delivery) = store.accept(new).await.unwrap() else {
        panic!("not stored");
    };
    let mut request = lease_at(noon());
    request.report_deadline = Some(noon() + WINDOW);
    (delivery.id, store.lease(request).await.unwrap())
}

pub(crate) fn sent(id: Option<&str>) -> Settlement {
    Settlement::Sent {
        message_id: id.map(message_id),
        report_deadline: Some(noon() + WINDOW),
    }
}

pub(crate) fn uncertain() -> Settlement {
    Settlement::Uncertain {
        reason: Reason::known(Reason::GATEWAY_OUTCOME_UNKNOWN),
        report_deadline: Some(noon() + WINDOW),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_by_the_gateways_id_settles_what_was_sent() {
    for (news, expected) in [
        (News::Delivered, DeliveryState::Delivered),
        (failed(), DeliveryState::Failed),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let story = Story::begin(directory.path()).await;
        assert_eq!(story.settle(sent(Some("m1"))).await, DeliveryState::Sent);
        let effect = story.effect(report(None, "m1", news.clone())).await;
        assert_eq!(effect, ReportEffect::Settled(expected));
        assert_eq!(story.state().await, expected);
        let delivery = story.store.delivery(story.id).await.unwrap().unwrap();
        assert_eq!(delivery.report_time, Some(noon()));
        let effect = story.effect(report(None, "m1", news)).await;
        assert_eq!(effect, ReportEffect::Repeated);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_settles_an_uncertain_delivery_by_our_own_reference() {
    let directory = tempfile::tempdir().unwrap();
    let story = Story::begin(directory.path()).await;
    assert_eq!(story.settle(uncertain()).await, DeliveryState::Uncertain);
    // The gateway's id is news to us: its answer was lost.
    let effect = story
        .effect(report(Some(story.id), "m9", News::Delivered))
        .await;
    assert_eq!(effect, ReportEffect::Settled(DeliveryState::Delivered));
    let delivery = story.store.delivery(story.id).await.unwrap().unwrap();
    assert_eq!(delivery.gateway_message_id, Some(message_id("m9")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_came_before_the_outcome_settles_the_delivery_when_that_is_recorded() {
    for (by_reference, outcome, expected) in [
        (true, sent(Some("m1")), DeliveryState::Delivered),
        (false, sent(Some("m1")), DeliveryState::Delivered),
        (true, uncertain(), DeliveryState::Delivered),
        // The gateway said "not taken" and then that it has arrived: it is not sent again.
        (
            true,
            Settlement::Waiting {
                not_before: noon(),
                reason: Reason::gateway_http(503),
                code: None,
            },
            DeliveryState::Delivered,
        ),
        // An id that nobody told us belongs to nothing.
        (false, sent(Some("m2")), DeliveryState::Sent),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let story = Story::begin(directory.path()).await;
        let delivery = by_reference.then_some(story.id);
        let effect = story.effect(report(delivery, "m1", News::Delivered)).await;
        assert_eq!(effect, ReportEffect::Early);
        assert_eq!(story.state().await, DeliveryState::Sending);
        assert_eq!(story.settle(outcome.clone()).await, expected, "{outcome:?}");
        assert_eq!(story.store.waiting().await.unwrap(), [], "nothing waits");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_came_before_the_process_died_settles_the_delivery_at_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let story = Story::begin(directory.path()).await;
    let other = lease(&story.store, new_delivery_at(noon(), LIFE)).await.0;
    story
        .effect(report(Some(story.id), "m1", News::Delivered))
        .await;
    let id = story.id;
    story.store.close();
    let reopened = open(directory.path());
    let recovery = Recovery {
        now: noon(),
        // A resend would be a second SMS: it has arrived.
        resend_once: vec![account()],
    };
    let recovered = reopened.recover(recovery).await.unwrap();
    assert_eq!((recovered.reported, recovered.waiting), (1, 1));
    let state_of = async |id| reopened.delivery(id).await.unwrap().unwrap().state;
    assert_eq!(state_of(id).await, DeliveryState::Delivered);
    assert_eq!(state_of(other).await, DeliveryState::Accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_came_in_time_counts_however_late_the_next_start_is() {
    let directory = tempfile::tempdir().unwrap();
    let story = Story::begin(directory.path()).await;
    let came = noon() + WINDOW - Duration::from_secs(1);
    let report = NewReport {
        receive_time: came,
        ..report(Some(story.id), "m1", News::Delivered)
    };
    assert_eq!(story.effect(report).await, ReportEffect::Early);
    let id = story.id;
    story.store.close();
    let reopened = open(directory.path());
    let later = noon() + WINDOW * 2;
    let recovery = Recovery {
        now: later,
        resend_once: Vec::new(),
    };
    assert_eq!(reopened.recover(recovery).await.unwrap().reported, 1);
    let delivery = reopened.delivery(id).await.unwrap().unwrap();
    assert_eq!(delivery.state, DeliveryState::Delivered);
    assert_eq!(delivery.report_time, Some(came), "when it came");
    assert_eq!(delivery.update_time, later, "when that settled it");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_process_left_uncertain_can_still_be_settled_by_a_report() {
    let directory = tempfile::tempdir().unwrap();
    let story = Story::begin(directory.path()).await;
    let id = story.id;
    story.store.close();
    let reopened = open(directory.path());
    let recovery = Recovery {
        now: noon(),
        resend_once: Vec::new(),
    };
    assert_eq!(reopened.recover(recovery).await.unwrap().uncertain, 1);
    let uncertain = reopened.delivery(id).await.unwrap().unwrap();
    assert_eq!(uncertain.report_deadline, Some(noon() + WINDOW));
    let applied = reopened
        .apply_report(report(Some(id), "m1", failed()))
        .await
        .unwrap();
    assert_eq!(applied.effect, ReportEffect::Settled(DeliveryState::Failed));
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_in_any_order_take_no_state_back() {
    let directory = tempfile::tempdir().unwrap();
    let story = Story::begin(directory.path()).await;
    story.settle(sent(Some("m1"))).await;
    for (news, effect, state) in [
        (News::Waiting, ReportEffect::Noted, DeliveryState::Sent),
        (News::Unknown, ReportEffect::Noted, DeliveryState::Sent),
        (
            News::Delivered,
            ReportEffect::Settled(DeliveryState::Delivered),
            DeliveryState::Delivered,
        ),
        (failed(), ReportEffect::Noted, DeliveryState::Delivered),
        (
            News::Waiting,
            ReportEffect::Repeated,
            DeliveryState::Delivered,
        ),
    ] {
        assert_eq!(story.effect(report(None, "m1", news)).await, effect);
        assert_eq!(story.state().await, state);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_its_window_a_report_is_kept_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let story = Story::begin(directory.path()).await;
    story.settle(sent(Some("m1"))).await;
    let late = NewReport {
        receive_time: noon() + WINDOW,
        ..report(None, "m1", News::Delivered)
    };
    assert_eq!(story.effect(late).await, ReportEffect::Late);
    assert_eq!(story.state().await, DeliveryState::Sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_copies_of_a_report_at_once_settle_once() {
    let directory = tempfile::tempdir().unwrap();
    let story = Arc::new(Story::begin(directory.path()).await);
    story.settle(sent(Some("m1"))).await;
    let copies = (0..64).map(|_| {
        let story = Arc::clone(&story);
        tokio::spawn(async move { story.effect(report(None, "m1", News::Delivered)).await })
    });
    let mut settled = 0;
    for copy in copies.collect::<Vec<_>>() {
        match copy.await.unwrap() {
            ReportEffect::Settled(DeliveryState::Delivered) => settled += 1,
            ReportEffect::Repeated => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(settled, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_believed_only_of_its_own_account_and_citizen() {
    let directory = tempfile::tempdir().unwrap();
    let story = Story::begin(directory.path()).await;
    story.settle(sent(Some("m1"))).await;
    let stranger = AccountId::parse("vigo-mn").unwrap();
    let of_stranger = NewReport {
        account: stranger,
        ..report(Some(story.id), "m1", failed())
    };
    assert_eq!(story.effect(of_stranger).await, ReportEffect::Unknown);
    // It names a delivery that is not here, as after a backup was restored, and nobody: the id alone proves nothing.
    let of_nobody = report(Some(DeliveryId::new(noon())), "m1", failed());
    assert_eq!(story.effect(of_nobody).await, ReportEffect::Unknown);
    let naming = |number: &str| {
        let mut named = report(Some(story.id), "m1", News::Delivered);
        named.report.recipient = ReportedNumber::parse(number, BareDigits::National);
        named
    };
    let effect = story.effect(naming("+34699999999")).await;
    assert_eq!(effect, ReportEffect::AnotherRecipient);
    assert_eq!(story.state().await, DeliveryState::Sent);
    // In whatever form the gateway writes the right one.
    let national = story.recipient.expose_national_digits().unwrap();
    let effect = story.effect(naming(&format!("0034{national}"))).await;
    assert_eq!(effect, ReportEffect::Settled(DeliveryState::Delivered));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_those_who_share_an_id_a_report_means_the_newest_to_its_own_citizen() {
    let directory = tempfile::tempdir().unwrap();
    let mut story = Story::begin(directory.path()).await;
    let (first, recipient) = (story.id, story.recipient.clone());
    story.settle(sent(Some("7"))).await;
    // The gateway begins anew with its ids: another citizen's, the first one's again, and another's again.
    let mut ids = Vec::new();
    for again in [None, Some(recipient.clone()), None] {
        let new = new_delivery_at(noon(), LIFE);
        let recipient = again.unwrap_or_else(|| new.recipient.clone());
        let new = NewDelivery { recipient, ..new };
        (story.id, story.leased) = lease(&story.store, new).await;
        story.settle(sent(Some("7"))).await;
        ids.push(story.id);
    }
    let mut named = report(None, "7", News::Delivered);
    named.report.recipient = ReportedNumber::parse(recipient.expose_e164(), BareDigits::National);
    let settled = ReportEffect::Settled(DeliveryState::Delivered);
    assert_eq!(story.effect(named).await, settled);
    let nameless = report(None, "7", News::Delivered);
    assert_eq!(story.effect(nameless).await, settled);
    let mut states = Vec::new();
    for id in [first, ids[0], ids[1], ids[2]] {
        states.push(story.store.delivery(id).await.unwrap().unwrap().state);
    }
    let (sent, delivered) = (DeliveryState::Sent, DeliveryState::Delivered);
    assert_eq!(states, [sent, sent, delivered, delivered]);
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_that_belong_to_nothing_are_bounded_and_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let effect = async |id: &str| {
        let applied = store.apply_report(report(None, id, News::Delivered));
        applied.await.unwrap().effect
    };
    for id in ["a", "b", "c"] {
        assert_eq!(effect(id).await, ReportEffect::Early);
    }
    assert_eq!(effect("a").await, ReportEffect::Repeated);
    assert_eq!(effect("d").await, ReportEffect::TooManyEarly);
    let of_another = NewReport {
        account: AccountId::parse("vigo-mn").unwrap(),
        receive_time: noon() + Duration::from_secs(1),
        ..report(None, "a", News::Delivered)
    };
    let applied = store.apply_report(of_another).await.unwrap();
    assert_eq!(applied.effect, ReportEffect::Early);
    let forget = async |seconds| {
        let before = noon() + Duration::from_secs(seconds);
        let ForgottenReports { forgotten, left } =
            store.forget_early_reports(before).await.unwrap();
        let forgotten = forgotten.into_iter();
        let told: Vec<_> = forgotten
            .map(|(of, count)| (of.to_string(), count))
            .collect();
        (told, left)
    };
    assert_eq!(forget(0).await, (vec![], 4));
    assert_eq!(forget(1).await, (vec![("madrid-mn".into(), 3)], 1));
    assert_eq!(forget(2).await, (vec![("vigo-mn".into(), 1)], 0));
    assert_eq!(forget(3).await, (vec![], 0), "each is told once");
    assert_eq!(effect("d").await, ReportEffect::Early);
    // A reference that names nothing here could never become known.
    let unknown = DeliveryId::new(noon());
    let applied = store.apply_report(report(Some(unknown), "e", News::Delivered));
    assert_eq!(applied.await.unwrap().effect, ReportEffect::Unknown);
}
