//! A lane whose account gets other credentials while it works: what has begun ends with the old ones, what begins has the new ones,
//! and what is said of the one says nothing of the other.

use std::sync::Arc;

use clave_otp::{
    dispatch::LaneSettings,
    domain::{DeliveryId, DeliveryState},
    gateway::{AccessKeeper, AccessNow},
    store::{LaneClosure, Store as _},
};

use crate::lane_places::{OneByOne, Story, access, lane, wrong_login};

/// A lane with credentials that can be replaced, and the platform as the new ones meet it.
struct Renewal {
    story: Story,
    keeper: AccessKeeper,
    next: Arc<OneByOne>,
}

fn begin() -> Renewal {
    let mut kept = None;
    let story = Story::begin_with(|gateway| {
        let (keeper, now) = AccessNow::kept(access(gateway, 0));
        kept = Some(keeper);
        let lane = LaneSettings {
            access: now,
            ..lane(gateway)
        };
        vec![lane]
    });
    Renewal {
        story,
        keeper: kept.unwrap(),
        next: OneByOne::new(),
    }
}

impl Renewal {
    /// A request with the old credentials hangs, and the new ones have come; its delivery.
    async fn renewed_while_one_hangs(&self) -> DeliveryId {
        let story = &self.story;
        story.first_is_sent().await;
        story.gateway.hang_next();
        let begun = story.accept().await;
        story.gateway.until_under_way(1).await;
        self.renew();
        begun
    }

    fn renew(&self) {
        self.keeper.replace(access(&self.next, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_begun_ends_with_the_old_credentials_and_what_begins_presents_the_new() {
    let renewal = begin();
    let story = &renewal.story;
    let begun = renewal.renewed_while_one_hangs().await;
    // The lane hears of it though nothing comes: nobody knows the new ones, so one request tries them beside the one that hangs.
    let after = story.accept().await;
    renewal.next.places.add_permits(1);
    story.gateway.let_go();
    story.until_state(begun, DeliveryState::Sent).await;
    story.until_state(after, DeliveryState::Sent).await;
    assert_eq!(
        (story.gateway.presented(), renewal.next.presented()),
        (2, 1)
    );
    story.dispatcher.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_credentials_open_the_account_that_the_old_ones_have_closed() {
    let renewal = begin();
    let story = &renewal.story;
    story.gateway.answer_with(wrong_login());
    story.gateway.places.add_permits(10);
    let waiting = story.accept().await;
    let closed = |closed| move |report: &clave_otp::store::LaneReport| report.closed == closed;
    story
        .until_report(closed(Some(LaneClosure::CredentialsRejected)))
        .await;
    renewal.next.places.add_permits(1);
    renewal.renew();
    story.steps_until(waiting, DeliveryState::Sent).await;
    story.until_report(closed(None)).await;
    assert_eq!(
        (story.gateway.presented(), renewal.next.presented()),
        (1, 1)
    );
    story.dispatcher.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_of_the_old_credentials_that_comes_late_does_not_close_the_account_for_the_new()
{
    let renewal = begin();
    let story = &renewal.story;
    let begun = renewal.renewed_while_one_hangs().await;
    story.gateway.answer_with(wrong_login());
    renewal.next.places.add_permits(2);
    story.gateway.let_go();
    // It was not sent, and goes out with the new ones when it is due again.
    story.steps_until(begun, DeliveryState::Sent).await;
    let after = story.accept().await;
    story.until_state(after, DeliveryState::Sent).await;
    assert_eq!(story.report().closed, None);
    assert_eq!(
        (story.gateway.presented(), renewal.next.presented()),
        (2, 2)
    );
    story.dispatcher.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_credentials_that_are_rejected_close_the_account_and_the_old_are_not_presented_again() {
    let renewal = begin();
    let story = &renewal.story;
    story.gateway.places.add_permits(10);
    let first = story.accept().await;
    story.until_state(first, DeliveryState::Sent).await;
    renewal.next.answer_with(wrong_login());
    renewal.next.places.add_permits(10);
    renewal.renew();
    let waiting = story.accept().await;
    story
        .until_report(|report| report.closed == Some(LaneClosure::CredentialsRejected))
        .await;
    let kept = story.store.delivery(waiting).await.unwrap().unwrap();
    assert_eq!(kept.state, DeliveryState::Accepted);
    assert_eq!(
        (story.gateway.presented(), renewal.next.presented()),
        (1, 1)
    );
    story.dispatcher.drain().await;
}
