//! How many reports are kept of one delivery: so many, and beyond that only what changes it.

use std::time::Duration;

use clave_otp::{
    domain::{DeliveryState, News, ReportedStatus},
    store::{NewReport, ReportEffect, Store as _},
};

use crate::store_reports::{Story, failed, noon, report, sent, uncertain};

/// A report in the platform's own word, of which there may be any number.
fn saying(id: &str, news: News, word: &str) -> NewReport {
    let mut said = report(None, id, news);
    said.report.status = ReportedStatus::of(word);
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_keeps_so_many_reports_and_beyond_that_what_changes_it() {
    let directory = tempfile::tempdir().unwrap();
    let story = Story::begin(directory.path()).await;
    story.settle(sent(Some("m1"))).await;
    for word in ["one", "two", "three", "four"] {
        let effect = story.effect(saying("m1", News::Unknown, word)).await;
        assert_eq!(effect, ReportEffect::Noted);
    }
    let noted = story.store.delivery(story.id).await.unwrap().unwrap();
    let later = NewReport {
        receive_time: noon() + Duration::from_secs(1),
        ..saying("m1", News::Waiting, "five")
    };
    assert_eq!(story.effect(later).await, ReportEffect::TooMany);
    let after = story.store.delivery(story.id).await.unwrap().unwrap();
    assert_eq!(after.report_time, noted.report_time, "nothing has changed");
    // What was said before is still known.
    let again = story.effect(saying("m1", News::Unknown, "four")).await;
    assert_eq!(again, ReportEffect::Repeated);
    // Of another message than ours: it would change nothing.
    let effect = story.effect(report(Some(story.id), "m2", failed())).await;
    assert_eq!(effect, ReportEffect::TooMany);
    let effect = story.effect(report(None, "m1", News::Delivered)).await;
    assert_eq!(effect, ReportEffect::Settled(DeliveryState::Delivered));
    let effect = story.effect(report(None, "m1", News::Delivered)).await;
    assert_eq!(effect, ReportEffect::Repeated, "it is kept");
    let effect = story.effect(saying("m1", failed(), "six")).await;
    assert_eq!(effect, ReportEffect::TooMany);
    assert_eq!(story.state().await, DeliveryState::Delivered);
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_limit_what_comes_before_the_outcome_still_settles_it() {
    for (news, outcome, expected) in [
        (News::Delivered, uncertain(), DeliveryState::Delivered),
        (failed(), sent(Some("m1")), DeliveryState::Failed),
        (failed(), uncertain(), DeliveryState::Failed),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let story = Story::begin(directory.path()).await;
        let of_ours = |id: &str, news, word: &str| {
            let mut said = saying(id, news, word);
            said.report.delivery = Some(story.id);
            said
        };
        for word in ["one", "two", "three", "four"] {
            let effect = story.effect(of_ours("m1", News::Waiting, word)).await;
            assert_eq!(effect, ReportEffect::Noted);
        }
        let effect = story.effect(of_ours("m1", news.clone(), "five")).await;
        assert_eq!(effect, ReportEffect::Early, "{news:?}");
        let effect = story.effect(of_ours("m1", news.clone(), "six")).await;
        assert_eq!(effect, ReportEffect::TooMany, "{news:?}");
        // Of ever other messages there are at most as many again.
        for id in ["a", "b", "c", "d"] {
            story.effect(of_ours(id, failed(), "seven")).await;
        }
        let effect = story.effect(of_ours("e", failed(), "seven")).await;
        assert_eq!(effect, ReportEffect::TooMany, "{news:?}");
        assert_eq!(story.settle(outcome.clone()).await, expected, "{outcome:?}");
    }
}
