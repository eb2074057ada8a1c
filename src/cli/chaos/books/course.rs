//! The way of one delivery through its states: only forward, and it ends where the store says that it ended.
//!
//! Must not know: what the platforms saw. Its table of moves is its own: a mistake in the service's must not be its mistake.

use super::{Kind, case::word, resent};
use crate::grpc::proto::{Delivery, DeliveryState};

/// What is wrong with the changes of this delivery.
pub(super) fn judge(stored: &Delivery, course: &[&Delivery]) -> Vec<(Kind, String)> {
    let mut found = Vec::new();
    let Some(last) = course.last() else {
        let what = "was never told by the log of changes".to_owned();
        return vec![(Kind::Lost, what)];
    };
    if course[0].state() != DeliveryState::Accepted {
        let what = format!("began as {}", word(course[0]));
        found.push((Kind::Back, what));
    }
    let is_resent = resent::put_backs(course).next().is_some();
    for pair in course.windows(2) {
        let (before, after) = (pair[0].state(), pair[1].state());
        // What waits for its one resend may have been sent.
        let gives_up = (before, after) == (DeliveryState::Accepted, DeliveryState::Uncertain);
        if !(may_follow(before, after) || gives_up && is_resent) {
            let what = format!("was {} and then {}", word(pair[0]), word(pair[1]));
            found.push((Kind::Back, what));
        }
    }
    if last.state != stored.state || last.reason != stored.reason {
        let what = format!(
            "was told as {} and is stored as {}",
            word(last),
            word(stored)
        );
        found.push((Kind::Back, what));
    }
    found
}

fn may_follow(before: DeliveryState, after: DeliveryState) -> bool {
    use DeliveryState::{
        Accepted, Cancelled, Delivered, Expired, Failed, Sending, Sent, Superseded, Uncertain,
    };
    // A report that decides nothing is a change too, as long as there is no end.
    match before {
        // Its account changes, or it is taken, or it ends; a report may say that an earlier attempt has arrived.
        Accepted => matches!(
            after,
            Accepted | Sending | Expired | Cancelled | Superseded | Delivered
        ),
        Sending => matches!(
            after,
            Accepted | Sending | Sent | Uncertain | Failed | Expired | Superseded
        ),
        Sent => matches!(after, Sent | Delivered | Failed),
        Uncertain => matches!(after, Uncertain | Delivered | Failed),
        _ => false,
    }
}
