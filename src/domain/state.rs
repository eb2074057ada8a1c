//! The states of a delivery and the moves between them.

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeliveryState {
    /// Stored; will be submitted.
    Accepted,
    /// An attempt has been recorded as started.
    Sending,
    /// The gateway took it; a report may follow.
    Sent,
    /// A report says that the handset has it.
    Delivered,
    /// It will not arrive.
    Failed,
    /// Its time ran out before a gateway took it; nothing was sent.
    Expired,
    /// A submission was started and its outcome is unknown.
    Uncertain,
    /// Withdrawn by the caller before submission.
    Cancelled,
    /// A newer code came before submission.
    Superseded,
}

impl DeliveryState {
    /// Every state, in the order of the contract.
    pub const ALL: [Self; 9] = [
        Self::Accepted,
        Self::Sending,
        Self::Sent,
        Self::Delivered,
        Self::Failed,
        Self::Expired,
        Self::Uncertain,
        Self::Cancelled,
        Self::Superseded,
    ];

    /// The name used in tables, metrics, logs and pages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "ACCEPTED",
            Self::Sending => "SENDING",
            Self::Sent => "SENT",
            Self::Delivered => "DELIVERED",
            Self::Failed => "FAILED",
            Self::Expired => "EXPIRED",
            Self::Uncertain => "UNCERTAIN",
            Self::Cancelled => "CANCELLED",
            Self::Superseded => "SUPERSEDED",
        }
    }

    /// The number kept in the store: stable for ever.
    pub const fn to_stored(self) -> u8 {
        match self {
            Self::Accepted => 1,
            Self::Sending => 2,
            Self::Sent => 3,
            Self::Delivered => 4,
            Self::Failed => 5,
            Self::Expired => 6,
            Self::Uncertain => 7,
            Self::Cancelled => 8,
            Self::Superseded => 9,
        }
    }

    /// The state of a stored number.
    pub fn from_stored(number: u8) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|state| state.to_stored() == number)
    }

    /// Whether the product may move a delivery from here to there. Moves only go forward; `SENDING` goes back to
    /// `ACCEPTED` (or is `SUPERSEDED`) only because the gateway said that nothing was sent, or because the account asks for
    /// one resend; what waits for that resend and runs out of time ends `UNCERTAIN`.
    pub const fn may_become(self, next: Self) -> bool {
        use DeliveryState::{
            Accepted, Cancelled, Delivered, Expired, Failed, Sending, Sent, Superseded, Uncertain,
        };
        match self {
            // `DELIVERED`: it waits for another try, and a report says that an earlier one has arrived.
            Accepted => matches!(
                next,
                Sending | Delivered | Failed | Expired | Uncertain | Cancelled | Superseded
            ),
            Sending => matches!(
                next,
                Accepted | Sent | Failed | Expired | Uncertain | Superseded
            ),
            Sent | Uncertain => matches!(next, Delivered | Failed),
            Delivered | Failed | Expired | Cancelled | Superseded => false,
        }
    }

    /// Whether nothing can change any more, whatever comes. `SENT` and `UNCERTAIN` become final only when the window
    /// for reports has passed, which the delivery knows ([`super::Delivery::is_final`]).
    pub const fn is_always_final(self) -> bool {
        matches!(
            self,
            Self::Delivered | Self::Failed | Self::Expired | Self::Cancelled | Self::Superseded
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A walk of allowed moves: each choice is taken modulo the ways out.
    fn walk(choices: &[usize]) -> Vec<DeliveryState> {
        let mut way = vec![DeliveryState::Accepted];
        for choice in choices {
            let here = way[way.len() - 1];
            let ways_out: Vec<DeliveryState> = DeliveryState::ALL
                .into_iter()
                .filter(|next| here.may_become(*next))
                .collect();
            if ways_out.is_empty() {
                break;
            }
            way.push(ways_out[choice % ways_out.len()]);
        }
        way
    }

    proptest! {
        #[test]
        fn only_between_waiting_and_sending_does_a_way_come_back(
            choices in prop::collection::vec(0..60_usize, 0..20),
        ) {
            use DeliveryState::{Accepted, Delivered, Failed, Sending, Sent, Uncertain};
            let way = walk(&choices);
            let begun = way.iter().take_while(|state| matches!(state, Accepted | Sending)).count();
            let rest = &way[begun..];
            // Then there is one outcome, and at most one report that settles it.
            prop_assert!(rest.len() <= 2, "{way:?}");
            if let [outcome, report] = rest {
                prop_assert!(matches!(outcome, Sent | Uncertain), "{way:?}");
                prop_assert!(matches!(report, Delivered | Failed), "{way:?}");
            }
            // What was sent was being sent just before.
            if let [Sent, ..] = rest {
                prop_assert_eq!(way[begun - 1], Sending);
            }
        }
    }

    #[test]
    fn a_final_state_has_no_way_out() {
        for state in DeliveryState::ALL {
            let has_way_out = DeliveryState::ALL
                .into_iter()
                .any(|next| state.may_become(next));
            assert_eq!(has_way_out, !state.is_always_final(), "{state:?}");
        }
    }

    #[test]
    fn nothing_that_may_have_been_sent_is_taken_for_unsent() {
        for state in [DeliveryState::Sent, DeliveryState::Uncertain] {
            for unsent in [
                DeliveryState::Accepted,
                DeliveryState::Expired,
                DeliveryState::Cancelled,
                DeliveryState::Superseded,
            ] {
                assert!(!state.may_become(unsent), "{state:?} → {unsent:?}");
            }
        }
    }

    #[test]
    fn every_stored_number_is_its_own() {
        for state in DeliveryState::ALL {
            assert_eq!(DeliveryState::from_stored(state.to_stored()), Some(state));
        }
    }
}
