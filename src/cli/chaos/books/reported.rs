//! What a platform's reports oblige the service to say.
//!
//! Must not know: how they were sent.

use super::{case::update_time, resent};
use crate::{
    cli::chaos::received::{Heard, Said},
    grpc::proto::{Delivery, DeliveryState},
};

/// What a delivery may be by its reports.
#[derive(Debug, Default)]
pub(super) struct Reported {
    may_be: Vec<DeliveryState>,
    /// It is one of these, and nothing else.
    pub(super) is_certain: bool,
}

impl Reported {
    /// The first report that decides is the last that counts, if it was heard for sure. Those that were heard before the outcome
    /// of the submission was known wait for it, and then the one counts that says that it has arrived.
    pub(super) fn of(said: &[Said], course: &[&Delivery]) -> Self {
        let outcome = course.iter().find(|change| {
            matches!(
                change.state(),
                DeliveryState::Sent | DeliveryState::Uncertain
            )
        });
        // Of a message that may not be the last one's it is not believed that it failed. Where there were several attempts and no
        // answer told the id, that hangs on how the others ended, and on what else was reported: both are right here.
        let knows_its_message = outcome
            .is_none_or(|change| change.attempts == 1 || !change.gateway_message_id.is_empty());
        // Of one that was put back another message may have arrived.
        let was_put_back = resent::put_backs(course).next().is_some();
        let attempts = course.last().map_or(0, |change| change.attempts);
        let outcome = outcome.map(|change| update_time(change));
        let came_early = |said: &Said| match (said.time, outcome) {
            (Some(time), Some(outcome)) => time <= outcome,
            _ => true,
        };
        let mut reported = Self::default();
        for said in said.iter().filter(|said| said.is_of_this_phone) {
            let (state, decides) = match &*said.status {
                "Delivered" => (DeliveryState::Delivered, true),
                _ if was_put_back && attempts > 1 => continue,
                "Rejected" | "Expired" => {
                    // What comes while it waits for its resend is not believed.
                    let decides = knows_its_message && !was_put_back;
                    (DeliveryState::Failed, decides)
                }
                _ => continue,
            };
            if said.heard == Heard::Never {
                continue;
            }
            if reported.is_certain && !came_early(said) {
                break;
            }
            reported.may_be.push(state);
            if said.heard == Heard::Surely && decides {
                reported.is_certain = true;
                if state == DeliveryState::Delivered || !came_early(said) {
                    break;
                }
            }
        }
        reported
    }

    /// What is reported of another message of the same delivery counts as well.
    pub(super) fn or(&mut self, other: &Self) {
        self.may_be.extend(&other.may_be);
        self.is_certain |= other.is_certain;
    }

    pub(super) fn may_be(&self, state: DeliveryState) -> bool {
        self.may_be.contains(&state)
    }
}
