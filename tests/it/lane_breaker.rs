//! What a lane is offered while it is sick and afterwards, and where its codes go meanwhile, on a clock that stands still until
//! it is told to move.

use std::time::Duration;

use clave_otp::{
    clock::Clock,
    dispatch::{LaneSettings, LawfulOn, Neighbour},
    domain::{AccountId, DeliveryId, DeliveryState},
    store::{LaneClosure, LaneReport, Store},
};

use crate::{
    lane_places::{OneByOne, Story, accepted, lane, unreachable, wrong_login},
    store::{account, lawful, way},
};

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
    for _ in 0..2 {
        // The second time because what was promised did not come: its request may have been refused.
        let probing = story.advance_until(LaneReport::wants_a_probe).await;
        assert_eq!(probing.share_at(story.clock.now()), 0, "one, and no more");
        assert!(!probing.may_take_over(), "nor a queue of others");
        assert!(story.store.lanes().takes_a_probe(&account()));
    }
    story.gateway.answer_with(accepted());
    let next = story.accept().await;
    story.gateway.places.add_permits(1);
    story.until_state(next, DeliveryState::Sent).await;
    story.dispatcher.drain().await;
}

fn second() -> AccountId {
    AccountId::parse("madrid-two").unwrap()
}

/// The first account is known to its platform; the second one, which takes everything, may take over from it.
async fn with_a_well_neighbour() -> Story {
    let well = OneByOne::new();
    well.places.add_permits(1000);
    let story = Story::begin_with(|sick| {
        let neighbours = vec![Neighbour {
            account: second(),
            queue_limit: way(&second()).queue_limit,
            lawful: LawfulOn::new(|_| lawful()),
        }];
        let first = LaneSettings {
            neighbours,
            ..lane(sick)
        };
        let second = LaneSettings {
            account: second(),
            ..lane(&well)
        };
        vec![first, second]
    });
    story.gateway.places.add_permits(1);
    let first = story.accept().await;
    story.until_state(first, DeliveryState::Sent).await;
    story
}

impl Story {
    /// Moves the clock on in small steps until it is so: a lane that sends nothing looks once a second.
    async fn until_sent_by_second(&self, id: DeliveryId) {
        let mut changes = self.store.changes().watch(id);
        for _ in 0..1000 {
            let delivery = self.store.delivery(id).await.unwrap().unwrap();
            if delivery.state == DeliveryState::Sent {
                break;
            }
            self.clock.advance(Duration::from_millis(100));
            // The lane acts when it is woken; a step too many does no harm.
            let _ = tokio::time::timeout(Duration::from_millis(10), changes.changed()).await;
        }
        self.until_state(id, DeliveryState::Sent).await;
        let delivery = self.store.delivery(id).await.unwrap().unwrap();
        assert_eq!(delivery.account, second());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_request_delays_neither_the_rest_nor_the_codes_that_wait_behind_it() {
    let story = with_a_well_neighbour().await;
    // The platform refuses what comes, but one request hangs.
    story.gateway.hang_next();
    let hangs = story.accept().await;
    story.gateway.until_under_way(1).await;
    story.gateway.answer_with(unreachable());
    story.gateway.places.add_permits(100);
    let failing = story.accept().await;
    story
        .advance_until(|report| report.rests_until.is_some())
        .await;
    // What failed and what comes now may both go elsewhere, although a request is still under way.
    let report = story.report();
    assert_eq!(report.in_flight, 1);
    assert_eq!(report.share_at(story.clock.now()), 0);
    let behind = story.accept_with(vec![way(&second())]).await;
    story.until_sent_by_second(behind).await;
    story.until_state(failing, DeliveryState::Accepted).await;
    // And no other request tries the platform before that one has ended, long after the rest.
    let presented = story.gateway.presented();
    story.clock.advance(Duration::from_secs(60));
    let another = story.accept_with(vec![way(&second())]).await;
    story.until_sent_by_second(another).await;
    assert_eq!(story.gateway.presented(), presented);
    story.gateway.answer_with(accepted());
    story.gateway.let_go();
    story.until_state(hangs, DeliveryState::Sent).await;
    story.advance_until(LaneReport::may_take_over).await;
    story.dispatcher.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_behind_a_hanging_request_is_handed_over_when_another_one_closes_the_account() {
    let story = with_a_well_neighbour().await;
    story.gateway.hang_next();
    let hangs = story.accept().await;
    story.gateway.until_under_way(1).await;
    for under_way in 2..=4 {
        story.accept().await;
        story.gateway.until_under_way(under_way).await;
    }
    // All places are taken: these wait, and were never tried.
    let waiting = [
        story.accept_with(vec![way(&second())]).await,
        story.accept_with(vec![way(&second())]).await,
    ];
    story.gateway.answer_with(wrong_login());
    story.gateway.places.add_permits(3);
    for id in waiting {
        story.until_sent_by_second(id).await;
    }
    // One still hangs.
    let report = story.until_report(|report| report.in_flight == 1).await;
    assert_eq!(report.closed, Some(LaneClosure::CredentialsRejected));
    assert_eq!(story.gateway.presented(), 5);
    // An answer to what was begun before proves nothing: after a resume one request goes alone.
    story.gateway.answer_with(accepted());
    story.gateway.let_go();
    story.until_state(hangs, DeliveryState::Sent).await;
    story.until_report(|report| report.in_flight == 0).await;
    story.store.resume_lane(account()).await.unwrap();
    story.clock.advance(Duration::from_secs(10));
    story.gateway.until_under_way(1).await;
    let alone = story.until_report(|report| report.in_flight > 0).await;
    assert_eq!(alone.in_flight, 1);
    story.gateway.places.add_permits(100);
    story.dispatcher.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_is_seen_although_every_request_hangs() {
    let story = with_a_well_neighbour().await;
    for under_way in 1..=4 {
        story.accept().await;
        story.gateway.until_under_way(under_way).await;
    }
    let waiting = story.accept_with(vec![way(&second())]).await;
    let now = story.clock.now();
    story.store.pause_lane(account(), now).await.unwrap();
    story
        .advance_until(|report| report.closed == Some(LaneClosure::Paused))
        .await;
    story.until_sent_by_second(waiting).await;
    story.gateway.places.add_permits(4);
    story.dispatcher.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_that_come_while_the_probe_hangs_go_out_on_the_other_account() {
    let story = with_a_well_neighbour().await;
    story.gateway.answer_with(unreachable());
    story.gateway.places.add_permits(3);
    let probe = story.accept().await;
    story
        .advance_until(|report| report.rests_until.is_some())
        .await;
    story.advance_until(|report| report.in_flight == 1).await;
    let report = story.report();
    assert!(!report.wants_a_probe(), "it has one");
    for _ in 0..3 {
        let behind = story.accept_with(vec![way(&second())]).await;
        story.until_sent_by_second(behind).await;
    }
    assert_eq!(story.report().in_flight, 1, "the probe still hangs");
    story.gateway.answer_with(accepted());
    story.gateway.places.add_permits(1);
    story.until_state(probe, DeliveryState::Sent).await;
    story.dispatcher.drain().await;
}
