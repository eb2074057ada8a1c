//! What follows from an outcome: the one place where the truth of a gateway becomes a settlement.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    gateway::{Outcome, Verdict},
    store::{Settlement, Work},
};

/// What an account does with a delivery whose submission may or may not have arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnUncertain {
    /// It stays `UNCERTAIN`: never twice.
    #[default]
    Hold,
    /// It is sent once more if its code has time left: the administration prefers a doubled code to a lost one.
    ResendOnce,
}

/// The rules of an account for what follows an attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) on_uncertain: OnUncertain,
    /// How long a report may follow; `None` where the gateway sends none.
    pub(super) report_window: Option<Duration>,
    /// Whether another account may take over what was not sent: it could send it before this one would try again.
    pub(super) has_neighbours: bool,
}

impl Rules {
    /// Until when a report may follow what is submitted at `now`.
    pub(super) fn report_deadline(self, now: Timestamp) -> Option<Timestamp> {
        self.report_window
            .and_then(|window| now.checked_add(window).ok())
    }

    /// Turns what became of one message into what is recorded. `retry_at` is when the lane would try again.
    pub(super) fn settle(
        self,
        work: &Work,
        outcome: Outcome,
        now: Timestamp,
        retry_at: Timestamp,
    ) -> Settlement {
        let report_deadline = self.report_deadline(now);
        match outcome {
            Outcome::Accepted(message_id) => Settlement::Sent {
                message_id,
                report_deadline,
            },
            Outcome::Rejected {
                reason,
                code,
                verdict: Verdict::Message,
            } => Settlement::Failed { reason, code },
            // Nothing was sent, and nothing is wrong with the delivery: it waits for credentials that are accepted, or for credit.
            Outcome::Rejected {
                reason,
                code,
                verdict: Verdict::Credentials | Verdict::Quota,
            }
            | Outcome::NotSent { reason, code } => {
                let next_chance = if self.has_neighbours { now } else { retry_at };
                if next_chance >= work.expire_time {
                    return Settlement::Expired;
                }
                Settlement::Waiting {
                    not_before: retry_at,
                    reason,
                    code,
                }
            }
            Outcome::Uncertain { reason } if self.may_resend(work, retry_at) => {
                Settlement::Resending {
                    not_before: retry_at,
                    reason,
                }
            }
            Outcome::Uncertain { reason } => Settlement::Uncertain {
                reason,
                report_deadline,
            },
        }
    }

    /// Once, and only while the code has time left.
    fn may_resend(self, work: &Work, retry_at: Timestamp) -> bool {
        self.on_uncertain == OnUncertain::ResendOnce
            && !work.maybe_sent
            && retry_at < work.expire_time
    }
}
