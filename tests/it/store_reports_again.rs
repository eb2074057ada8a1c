//! What a report may say of a delivery that was tried more than once: that it has arrived always, that it was rejected only where no
//! other message of it can be meant.

use std::{path::Path, time::Duration};

use clave_otp::{
    domain::{DeliveryState, GatewayMessageId, News, Reason},
    store::{NewReport, Recovery, ReportEffect, Settlement, Store as _},
};
use jiff::Timestamp;

use crate::store::{lease_at, open};
use crate::store_reports::{Story, WINDOW, failed, message_id, noon, report, sent, uncertain};

const FAILED: ReportEffect = ReportEffect::Settled(DeliveryState::Failed);
const DELIVERED: ReportEffect = ReportEffect::Settled(DeliveryState::Delivered);

/// When the attempt of this number begins; the first one at noon.
fn begin(attempt: u32) -> Timestamp {
    noon() + Duration::from_secs(10) * (attempt - 1)
}

/// Nothing was sent: the platform was not reached, or said that it is busy.
fn refused() -> [Settlement; 2] {
    let unreachable = Reason::known(Reason::GATEWAY_UNREACHABLE);
    [unreachable, Reason::gateway_http(503)].map(|reason| Settlement::Waiting {
        not_before: noon(),
        reason,
        code: None,
    })
}

/// Each attempt ends so, and another one begins.
async fn tried(directory: &Path, earlier: &[Settlement]) -> Story {
    let mut story = Story::begin(directory).await;
    for ending in earlier {
        assert_eq!(story.settle(ending.clone()).await, DeliveryState::Accepted);
        story.begins_again().await;
    }
    story
}

impl Story {
    async fn begins_again(&mut self) {
        let attempt = self.leased.work[0].attempt + 1;
        let mut request = lease_at(begin(attempt));
        request.report_deadline = Some(noon() + WINDOW);
        self.leased = self.store.lease(request).await.unwrap();
        assert_eq!(self.leased.work[0].attempt, attempt);
    }

    /// A report of this delivery that comes while, or after, the attempt of this number is made.
    fn during(&self, attempt: u32, id: &str, news: News) -> NewReport {
        NewReport {
            receive_time: begin(attempt) + Duration::from_secs(1),
            ..report(Some(self.id), id, news)
        }
    }

    async fn kept(&self) -> (DeliveryState, Option<Reason>, Option<GatewayMessageId>) {
        let kept = self.store.delivery(self.id).await.unwrap().unwrap();
        (kept.state, kept.reason, kept.gateway_message_id)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_settles_what_is_uncertain_whether_or_not_clear_refusals_came_before() {
    for refusals in 0..=2 {
        let directory = tempfile::tempdir().unwrap();
        let story = tried(directory.path(), &refused()[..refusals as usize]).await;
        assert_eq!(story.settle(uncertain()).await, DeliveryState::Uncertain);
        let rejected = story.during(refusals + 1, "m9", failed());
        assert_eq!(story.effect(rejected).await, FAILED, "{refusals}");
        let reason = Some(Reason::known(Reason::REPORTED_REJECTED));
        let kept = (DeliveryState::Failed, reason, Some(message_id("m9")));
        assert_eq!(story.kept().await, kept);
        let arrived = story.during(refusals + 1, "m9", News::Delivered);
        assert_eq!(story.effect(arrived).await, ReportEffect::Noted);
        assert_eq!(story.kept().await, kept, "it is never taken back");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_during_the_last_attempt_counts_for_it_unless_its_answer_tells_another_id() {
    for (ending, expected) in [
        (uncertain(), DeliveryState::Failed),
        (sent(None), DeliveryState::Failed),
        (sent(Some("m9")), DeliveryState::Failed),
        (sent(Some("m10")), DeliveryState::Sent),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let story = tried(directory.path(), &refused()).await;
        let rejected = story.during(3, "m9", failed());
        assert_eq!(story.effect(rejected).await, ReportEffect::Early);
        assert_eq!(story.settle(ending.clone()).await, expected, "{ending:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_settles_what_a_dead_process_was_trying_again() {
    for is_early in [true, false] {
        let directory = tempfile::tempdir().unwrap();
        let story = tried(directory.path(), &refused()).await;
        let rejected = story.during(3, "m9", failed());
        if is_early {
            let effect = story.effect(rejected.clone()).await;
            assert_eq!(effect, ReportEffect::Early);
        }
        story.store.close();
        let reopened = open(directory.path());
        let recovery = Recovery {
            now: begin(4),
            resend_once: Vec::new(),
        };
        let recovered = reopened.recover(recovery).await.unwrap();
        let found = (recovered.reported, recovered.uncertain);
        assert_eq!(found, (u64::from(is_early), u64::from(!is_early)));
        if !is_early {
            let applied = reopened.apply_report(rejected).await.unwrap();
            assert_eq!(applied.effect, FAILED);
        }
        let kept = reopened.delivery(story.id).await.unwrap().unwrap();
        assert_eq!(kept.state, DeliveryState::Failed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_says_nothing_where_an_earlier_attempt_may_have_been_sent() {
    let resent = Settlement::Resending {
        not_before: noon(),
        reason: Reason::known(Reason::GATEWAY_OUTCOME_UNKNOWN),
    };
    for earlier in [
        vec![resent.clone()],
        [vec![resent], refused().into()].concat(),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let story = tried(directory.path(), &earlier).await;
        let last = u32::try_from(earlier.len()).unwrap() + 1;
        assert_eq!(story.settle(uncertain()).await, DeliveryState::Uncertain);
        let rejected = story.during(last, "m9", failed());
        assert_eq!(story.effect(rejected).await, ReportEffect::Noted);
        let arrived = story.during(last, "m8", News::Delivered);
        assert_eq!(story.effect(arrived).await, DELIVERED);
    }
}

/// The platform speaks of a message of an attempt that it had refused: its refusals are not believed any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_says_nothing_where_another_message_was_told_of() {
    let last = 2;
    for ending in [uncertain(), sent(None)] {
        for (attempt, id, news) in [
            (1, "m9", failed()),
            (1, "m9", News::Waiting),
            (2, "m9", News::Waiting),
            (2, "m9", failed()),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let mut story = Story::begin(directory.path()).await;
            let state = story.settle(refused()[1].clone()).await;
            assert_eq!(state, DeliveryState::Accepted);
            let other = story.during(attempt, id, news.clone());
            if attempt == 1 {
                assert_eq!(story.effect(other).await, ReportEffect::Noted);
                story.begins_again().await;
            } else {
                story.begins_again().await;
                story.effect(other).await;
            }
            // Both are known before anything is decided.
            let rejected = story.during(last, "m10", failed());
            assert_eq!(story.effect(rejected).await, ReportEffect::Early);
            let state = story.settle(ending.clone()).await;
            let stays = [DeliveryState::Uncertain, DeliveryState::Sent];
            assert!(stays.contains(&state), "{state:?} {ending:?} {news:?}");
            let arrived = story.during(last, "m10", News::Delivered);
            assert_eq!(story.effect(arrived).await, DELIVERED);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_from_before_the_last_attempt_began_says_nothing_of_it() {
    for ending in [uncertain(), sent(None), sent(Some("m10"))] {
        let directory = tempfile::tempdir().unwrap();
        let mut story = Story::begin(directory.path()).await;
        story.settle(refused()[1].clone()).await;
        let rejected = story.during(1, "m9", failed());
        assert_eq!(story.effect(rejected).await, ReportEffect::Noted);
        story.begins_again().await;
        let state = story.settle(ending.clone()).await;
        let stays = [DeliveryState::Uncertain, DeliveryState::Sent];
        assert!(stays.contains(&state), "{state:?} {ending:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_arrived_during_another_attempt_is_delivered_however_that_one_ends() {
    let rejected = Settlement::Failed {
        reason: Reason::known(Reason::REPORTED_REJECTED),
        code: None,
    };
    let [again, _] = refused();
    for ending in [
        sent(None),
        rejected,
        again.clone(),
        Settlement::Expired,
        uncertain(),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let story = tried(directory.path(), std::slice::from_ref(&again)).await;
        let of_the_first = story.during(2, "first", News::Delivered);
        assert_eq!(story.effect(of_the_first).await, ReportEffect::Early);
        let told = format!("{ending:?}");
        let state = story.settle(ending).await;
        assert_eq!(state, DeliveryState::Delivered, "{told}");
    }
}
