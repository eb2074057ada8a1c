//! What one account cannot send goes to another one only while there is time for it there, and as long as there is: on a clock that
//! stands still until it is told to move.

use std::{sync::Arc, time::Duration};

use clave_otp::{
    clock::Clock,
    dispatch::{LaneSettings, LawfulOn, Neighbour},
    domain::{AccountId, DeliveryId, DeliveryState},
    store::{Acceptance, LaneReport, NewDelivery, Store},
};

use crate::{
    lane_places::{OneByOne, Story, lane, unreachable},
    store::{account, lawful, new_delivery_at, way},
    support::soon,
};

fn second() -> AccountId {
    AccountId::parse("madrid-two").unwrap()
}

/// Two accounts, of which the second may take over from the first; and the second's gateway.
fn two_accounts() -> (Story, Arc<OneByOne>) {
    let other = OneByOne::new();
    let story = Story::begin_with(|first| {
        let neighbours = vec![Neighbour {
            account: second(),
            queue_limit: way(&second()).queue_limit,
            lawful: LawfulOn::new(|_| lawful()),
        }];
        let first = LaneSettings {
            neighbours,
            ..lane(first)
        };
        let second = LaneSettings {
            account: second(),
            ..lane(&other)
        };
        vec![first, second]
    });
    (story, other)
}

impl Story {
    async fn taken(&self, new: NewDelivery) -> DeliveryId {
        match self.store.accept(new).await.unwrap() {
            Acceptance::Stored(delivery) => delivery.id,
            other => panic!("{other:?}"),
        }
    }

    /// A code for the first account, which the second may carry too, with so many seconds left.
    async fn code_of(&self, seconds: u64) -> DeliveryId {
        let new = NewDelivery {
            other_ways: vec![way(&second())],
            ..new_delivery_at(self.clock.now(), Duration::from_secs(seconds))
        };
        self.taken(new).await
    }

    async fn until_tried_in_vain(&self, id: DeliveryId) {
        let mut watch = self.store.changes().watch(id);
        soon(async {
            loop {
                let delivery = self.store.delivery(id).await.unwrap().unwrap();
                if (delivery.state, delivery.attempts) == (DeliveryState::Accepted, 1) {
                    return;
                }
                watch.changed().await;
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_the_other_account_cannot_send_in_time_is_not_handed_over_and_expires_unsent() {
    let (story, other) = two_accounts();
    // The second account's gateway takes five seconds for a request.
    let slow = NewDelivery {
        way: way(&second()),
        ..new_delivery_at(story.clock.now(), Duration::from_secs(600))
    };
    let slow = story.taken(slow).await;
    other.until_under_way(1).await;
    story.clock.advance(Duration::from_secs(5));
    other.places.add_permits(1);
    story.until_state(slow, DeliveryState::Sent).await;
    let measured = async {
        let mut changes = story.store.lanes().changes();
        let takes_long = |report: LaneReport| report.latency == Duration::from_secs(5);
        while !story
            .store
            .lanes()
            .report(&second())
            .is_some_and(takes_long)
        {
            changes.changed().await.unwrap();
        }
    };
    soon(measured).await;

    // The first account's gateway can be reached no more.
    story.gateway.answer_with(unreachable());
    other.places.add_permits(1000);
    let short = story.code_of(3).await;
    story.gateway.places.add_permits(1000);
    // It is known to be unsent, and to have three seconds left: the clock has not moved.
    story.until_tried_in_vain(short).await;
    let long = story.code_of(600).await;
    let sent = story.steps_until(long, DeliveryState::Sent).await;
    assert_eq!(sent.account, second());
    let expired = story.steps_until(short, DeliveryState::Expired).await;
    assert_eq!(expired.account, account(), "it was never handed over");
    assert_eq!(expired.reason.unwrap().as_str(), "TIME_RAN_OUT");
    assert_eq!(other.presented(), 2, "what there was time for, no more");
    story.dispatcher.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_its_account_would_try_again_too_late_goes_to_the_other_one_in_time() {
    let (story, other) = two_accounts();
    other.places.add_permits(1000);
    story.gateway.answer_with(unreachable());
    story.gateway.places.add_permits(1000);
    // The first account has failed so often that it rests for longer than the code will live.
    let bound = new_delivery_at(story.clock.now(), Duration::from_secs(1800));
    let bound = story.taken(bound).await;
    let now = || story.clock.now();
    let long_rest = |report: &LaneReport| {
        let end = report.rests_until;
        end.is_some_and(|end| end.duration_since(now()).as_secs() >= 6)
    };
    story.advance_until(long_rest).await;
    story.store.cancel(bound, now()).await.unwrap();
    story.advance_until(LaneReport::wants_a_probe).await;
    let tried_before = story.gateway.presented();
    let code = story.code_of(5).await;
    // At once: the clock does not move.
    story.until_state(code, DeliveryState::Sent).await;
    let sent = story.store.delivery(code).await.unwrap().unwrap();
    assert_eq!(sent.account, second());
    assert_eq!(sent.attempts, 2, "one as the trial of its own account");
    assert_eq!(story.gateway.presented(), tried_before + 1);
    story.dispatcher.drain().await;
}
