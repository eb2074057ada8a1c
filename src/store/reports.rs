//! What gateways report later, on its way into the store, and the one rule for what it may change.
//!
//! Must not know: how a report came, which protocol brought it.

use std::num::NonZeroU32;

use jiff::Timestamp;

use crate::domain::{AccountId, DeliveryId, DeliveryState, News, Report};

/// A report, with where and when it came.
#[derive(Debug, Clone)]
pub struct NewReport {
    /// The account whose gateway says it.
    pub account: AccountId,
    /// What it says.
    pub report: Report,
    /// Now.
    pub receive_time: Timestamp,
    /// Most reports of this account that may wait for their delivery to be known (`reports.early_limit`).
    pub early_limit: NonZeroU32,
    /// Most reports that are kept with one delivery (`reports.max_per_delivery`).
    pub max_per_delivery: NonZeroU32,
}

/// What a report came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportEffect {
    /// It settled its delivery, which is now in this state.
    Settled(DeliveryState),
    /// It is kept with its delivery and changed nothing: nothing is decided, or it contradicts what is final already.
    Noted,
    /// It is kept, and settles its delivery when the outcome of the submission is recorded.
    Early,
    /// The same report had come before.
    Repeated,
    /// The window for reports of this delivery is over: kept, and nothing changed.
    Late,
    /// No delivery of this account is known under its ids, and it names none that could still become known. What was
    /// [`ReportEffect::Early`] for want of a delivery comes to the same when none has become known in time.
    Unknown,
    /// It names another recipient than its delivery has: not believed.
    AnotherRecipient,
    /// No delivery is known for it yet, and too many wait like that: dropped.
    TooManyEarly,
    /// Its delivery has as many reports as are kept, and it would change nothing: dropped.
    TooMany,
}

impl ReportEffect {
    /// The name used in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Settled(_) => "settled",
            Self::Noted => "noted",
            Self::Early => "early",
            Self::Repeated => "repeated",
            Self::Late => "late",
            Self::Unknown => "unknown",
            Self::AnotherRecipient => "another_recipient",
            Self::TooManyEarly => "too_many_early",
            Self::TooMany => "too_many",
        }
    }
}

/// What a report came to, and for which delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// What it came to.
    pub effect: ReportEffect,
    /// Its delivery, where one is known.
    pub delivery: Option<DeliveryId>,
    /// When the gateway took the message, where that is known.
    pub submit_time: Option<Timestamp>,
}

/// What became of reports that no delivery was known for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForgottenReports {
    /// How many were given up, for each account that had any.
    pub forgotten: Vec<(AccountId, u64)>,
    /// How many still wait, of all accounts together.
    pub left: u64,
}

/// What of a delivery decides what a report may change.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settleable {
    pub(super) state: DeliveryState,
    /// An attempt of unknown outcome came before the last one, or was itself the last and to be resent.
    pub(super) maybe_sent: bool,
    pub(super) attempts: u32,
    pub(super) report_deadline: Option<Timestamp>,
    /// The report is about the message of the last attempt: the same account says it, and names the message that it said it
    /// took. Where no such id is known: there was no other attempt, or none that can have left a message, for all before were
    /// refused or reached no platform, and this came after the last began and nothing was ever said of another message.
    pub(super) is_of_last_attempt: bool,
}

/// What follows from a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    /// The delivery takes this final state.
    To(DeliveryState),
    /// The submission is still under way: the report waits for its outcome.
    AfterOutcome,
    /// Nothing changes.
    Stay,
    /// Nothing changes, because the window is over.
    TooLate,
}

/// The one rule: a report never takes a state back, `DELIVERED` is believed of any of the delivery's messages, and "it will not
/// arrive" only of the message of the last attempt, and when no other message of it may have arrived.
pub(super) fn decide(delivery: Settleable, news: &News, now: Timestamp) -> Move {
    let Settleable {
        state,
        maybe_sent,
        attempts,
        report_deadline,
        is_of_last_attempt,
    } = delivery;
    let is_over = report_deadline.is_some_and(|deadline| deadline <= now);
    match (state, news) {
        (DeliveryState::Sending, News::Delivered | News::Failed(_)) => Move::AfterOutcome,
        (DeliveryState::Sent | DeliveryState::Uncertain, News::Delivered | News::Failed(_))
            if is_over =>
        {
            Move::TooLate
        }
        (DeliveryState::Sent | DeliveryState::Uncertain, News::Delivered) => {
            Move::To(DeliveryState::Delivered)
        }
        // It waits for another try, and one that was taken for unsent, or for lost, has arrived.
        (DeliveryState::Accepted, News::Delivered) if attempts > 0 => {
            Move::To(DeliveryState::Delivered)
        }
        (DeliveryState::Sent | DeliveryState::Uncertain, News::Failed(_))
            // What no resend followed has no other message.
            if (!maybe_sent || attempts == 1) && is_of_last_attempt =>
        {
            Move::To(DeliveryState::Failed)
        }
        _ => Move::Stay,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::Reason;

    const NOON: Timestamp = Timestamp::UNIX_EPOCH;

    fn sent() -> Settleable {
        Settleable {
            state: DeliveryState::Sent,
            maybe_sent: false,
            attempts: 1,
            report_deadline: Some(NOON + std::time::Duration::from_secs(60)),
            is_of_last_attempt: true,
        }
    }

    fn failed() -> News {
        News::Failed(Reason::known(Reason::REPORTED_REJECTED))
    }

    #[test]
    fn a_report_settles_what_was_sent_or_is_uncertain_within_its_window() {
        for state in [DeliveryState::Sent, DeliveryState::Uncertain] {
            let delivery = Settleable { state, ..sent() };
            let to = |news: &News| decide(delivery, news, NOON);
            assert_eq!(to(&News::Delivered), Move::To(DeliveryState::Delivered));
            assert_eq!(to(&failed()), Move::To(DeliveryState::Failed));
            assert_eq!(to(&News::Waiting), Move::Stay);
            assert_eq!(to(&News::Unknown), Move::Stay);
            let later = NOON + std::time::Duration::from_secs(60);
            assert_eq!(decide(delivery, &News::Delivered, later), Move::TooLate);
        }
    }

    #[test]
    fn that_one_message_failed_is_not_said_of_a_delivery_that_may_have_had_two() {
        let resent = Settleable {
            maybe_sent: true,
            attempts: 2,
            ..sent()
        };
        assert_eq!(decide(resent, &failed(), NOON), Move::Stay);
        let other = Settleable {
            is_of_last_attempt: false,
            ..sent()
        };
        assert_eq!(decide(other, &failed(), NOON), Move::Stay);
        for delivery in [resent, other] {
            let to = decide(delivery, &News::Delivered, NOON);
            assert_eq!(to, Move::To(DeliveryState::Delivered));
        }
    }

    #[test]
    fn that_its_only_message_failed_is_believed_though_the_account_would_have_had_it_resent() {
        let superseded = Settleable {
            state: DeliveryState::Uncertain,
            maybe_sent: true,
            ..sent()
        };
        let to = decide(superseded, &failed(), NOON);
        assert_eq!(to, Move::To(DeliveryState::Failed));
    }

    #[test]
    fn what_waits_for_another_try_and_has_arrived_is_not_sent_again() {
        let waiting = Settleable {
            state: DeliveryState::Accepted,
            ..sent()
        };
        let to = decide(waiting, &News::Delivered, NOON);
        assert_eq!(to, Move::To(DeliveryState::Delivered));
        let untried = Settleable {
            attempts: 0,
            ..waiting
        };
        assert_eq!(decide(untried, &News::Delivered, NOON), Move::Stay);
    }

    proptest! {
        #[test]
        fn no_report_takes_a_state_back(
            state in prop::sample::select(&DeliveryState::ALL[..]),
            maybe_sent: bool,
            attempts in 0..3_u32,
            window in prop::option::of(-5..5_i64),
            is_of_last_attempt: bool,
            news in prop::sample::select(vec![News::Delivered, failed(), News::Waiting, News::Unknown]),
        ) {
            let delivery = Settleable {
                state,
                maybe_sent,
                attempts,
                report_deadline: window.map(|seconds| NOON + jiff::SignedDuration::from_secs(seconds)),
                is_of_last_attempt,
            };
            if let Move::To(next) = decide(delivery, &news, NOON) {
                prop_assert!(state.may_become(next), "{state:?} → {next:?}");
                prop_assert!(next.is_always_final());
            }
        }
    }
}
