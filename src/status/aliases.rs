//! Whether what goes out under an alias still arrives: a pure judgement over the figures of the last hours.
//!
//! Must not know: clocks, the store, accounts. Operators block an alias without a word (facts of the registry, rule 1.5), so
//! the only sign is that its messages stop arriving while those of other senders at the same gateway go on.

use std::collections::BTreeMap;

use crate::domain::{EffectiveSender, GatewayName};

/// Fewer messages than this say nothing about a sender.
pub const FEWEST_MESSAGES: u64 = 20;

/// Where the other senders' share of delivered messages is below this, the gateway or its reports are sick, and nothing can be
/// said about one alias.
pub const WELL: f64 = 0.7;

/// An alias whose share is below this part of the others' has collapsed.
pub const COLLAPSED: f64 = 0.3;

/// One whose share is again above this part of the others' arrives. In between nothing changes, so that nothing flaps.
pub const RECOVERED: f64 = 0.6;

/// What became of the messages of one sender at one gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// How many the gateway took.
    pub sent: u64,
    /// How many of these a report says the handset has.
    pub delivered: u64,
}

/// What the figures say of an alias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// Its messages no longer arrive while those of others do.
    ProbablyBlocked,
    /// Its messages arrive.
    Arrives,
    /// The figures say nothing: too few messages, or the others do not fare well either.
    Unknown,
}

/// The tallies of all senders, by gateway.
#[derive(Debug, Clone, Default)]
pub struct Tallies(BTreeMap<GatewayName, BTreeMap<Box<str>, Tally>>);

impl Tallies {
    /// Adds the figures of one account's sender.
    pub fn add(&mut self, gateway: GatewayName, sender: &EffectiveSender, more: Tally) {
        let senders = self.0.entry(gateway).or_default();
        let tally = senders.entry(sender.as_str().into()).or_default();
        tally.sent += more.sent;
        tally.delivered += more.delivered;
    }

    /// Judges one sender by the others of its gateway.
    pub fn judge(&self, gateway: GatewayName, sender: &str) -> Arrival {
        let Some(senders) = self.0.get(&gateway) else {
            return Arrival::Unknown;
        };
        let own = senders.get(sender).and_then(|tally| tally.share());
        let others = senders.iter().filter(|(other, _)| &***other != sender);
        let others = median(others.filter_map(|(_, tally)| tally.share()).collect());
        match (own, others) {
            (Some(own), Some(others)) if others >= WELL => {
                if own < COLLAPSED * others {
                    Arrival::ProbablyBlocked
                } else if own >= RECOVERED * others {
                    Arrival::Arrives
                } else {
                    Arrival::Unknown
                }
            }
            _ => Arrival::Unknown,
        }
    }
}

impl Tally {
    /// The share that is known to have arrived; `None` where there are too few.
    #[allow(clippy::cast_precision_loss)] // messages of some hours are far below 2^52
    fn share(self) -> Option<f64> {
        (self.sent >= FEWEST_MESSAGES).then(|| self.delivered as f64 / self.sent as f64)
    }
}

/// The middle of the shares, the upper one of two: one other sender that is blocked too hides nothing.
fn median(mut shares: Vec<f64>) -> Option<f64> {
    shares.sort_by(f64::total_cmp);
    shares.get(shares.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GATEWAY: GatewayName = GatewayName::MensajeriaNegocios;

    fn tallies(senders: &[(&str, u64, u64)]) -> Tallies {
        let mut tallies = Tallies::default();
        for (sender, sent, delivered) in senders {
            let tally = Tally {
                sent: *sent,
                delivered: *delivered,
            };
            tallies.add(GATEWAY, &EffectiveSender::from_stored(sender), tally);
        }
        tallies
    }

    fn judged(senders: &[(&str, u64, u64)]) -> Arrival {
        tallies(senders).judge(GATEWAY, "Clave")
    }

    #[test]
    fn an_alias_that_alone_stops_arriving_is_probably_blocked() {
        for delivered in [0, 5] {
            let found = judged(&[("Clave", 20, delivered), ("217812", 20, 19)]);
            assert_eq!(found, Arrival::ProbablyBlocked, "{delivered}");
        }
        assert_eq!(
            judged(&[("Clave", 20, 6), ("217812", 20, 19)]),
            Arrival::Unknown
        );
        assert_eq!(
            judged(&[("Clave", 20, 12), ("217812", 20, 19)]),
            Arrival::Arrives
        );
    }

    #[test]
    fn nothing_is_said_of_few_messages_or_of_a_sick_gateway() {
        for senders in [
            &[("Clave", 19, 0), ("217812", 20, 20)][..],
            &[("Clave", 20, 0), ("217812", 19, 19)],
            &[("Clave", 20, 0)],
            &[("217812", 20, 20)],
            &[("Clave", 20, 0), ("217812", 20, 13)],
            &[],
        ] {
            assert_eq!(judged(senders), Arrival::Unknown, "{senders:?}");
        }
        let elsewhere = tallies(&[("Clave", 20, 0), ("217812", 20, 20)]);
        assert_eq!(
            elsewhere.judge(GatewayName::Mensatek, "Clave"),
            Arrival::Unknown
        );
    }

    #[test]
    fn another_blocked_alias_hides_nothing() {
        let found = judged(&[("Clave", 50, 0), ("Otro", 5000, 0), ("217812", 20, 20)]);
        assert_eq!(found, Arrival::ProbablyBlocked);
    }

    #[test]
    fn the_accounts_of_one_alias_are_judged_together() {
        let found = judged(&[("Clave", 10, 0), ("Clave", 10, 1), ("217812", 30, 30)]);
        assert_eq!(found, Arrival::ProbablyBlocked);
    }

    proptest! {
        #[test]
        fn an_alias_that_fares_no_worse_than_the_worst_other_is_never_called_blocked(
            own in (0..100_u64, 0..100_u64),
            others in prop::collection::vec((0..100_u64, 0..100_u64), 0..6),
        ) {
            let tally = |(sent, delivered): (u64, u64)| (sent, delivered.min(sent));
            let names = ["A12", "B12", "C12", "D12", "E12", "F12"];
            let mut senders: Vec<(&str, u64, u64)> = names
                .into_iter()
                .zip(others)
                .map(|(name, other)| (name, tally(other).0, tally(other).1))
                .collect();
            let (sent, delivered) = tally(own);
            let worse = |(_, other_sent, other_delivered): &(&str, u64, u64)| {
                *other_sent >= FEWEST_MESSAGES && delivered * other_sent < other_delivered * sent
            };
            let is_worse_than_some = senders.iter().any(worse);
            senders.push(("Clave", sent, delivered));
            if judged(&senders) == Arrival::ProbablyBlocked {
                prop_assert!(is_worse_than_some && sent >= FEWEST_MESSAGES);
            }
        }
    }
}
