//! What a run must have been through at least: each kind of kill and each kind of fault, so often for so many kills.
//!
//! Must not know: how a life is lived, the books.

use std::{collections::BTreeMap, fmt};

use super::{
    ends::{DECK, Kind, Tally},
    line::Line,
    platforms::FaultsMet,
    samples::Wire,
};

/// Kills of each kind that must have been, for each deck of lives; a share is three at least.
const KILLS: u64 = 2;
/// How often each platform must have met each of its faults, for each deck of lives.
const FAULTS: u64 = 1;

/// What has really happened.
#[derive(Debug, Default)]
pub(super) struct Happened {
    pub(super) kills: Tally,
    /// How many requests met which fault of their platform's.
    pub(super) faults: FaultsMet,
    /// How often the service told that it met what was wrong with the way to a platform.
    pub(super) lines: BTreeMap<(Wire, Line), usize>,
    /// How many spells of wrong credentials closed an account at a platform.
    pub(super) closures: BTreeMap<Wire, usize>,
}

/// Something that has not happened often enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) what: What,
    is: u64,
    least: u64,
}

/// What it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Kill(Kind),
    Fault(Wire, &'static str),
    Line(Wire, Line),
    Credentials(Wire),
}

impl fmt::Display for Missing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.what {
            What::Kill(kind) => write!(formatter, "kill {}", kind.as_str()),
            What::Fault(wire, name) => write!(formatter, "fault {name} over {}", wire.as_str()),
            What::Line(wire, line) => {
                write!(formatter, "{} over {}", line.as_str(), wire.as_str())
            }
            What::Credentials(wire) => {
                write!(formatter, "wrong credentials over {}", wire.as_str())
            }
        }?;
        write!(formatter, " ({} of at least {})", self.is, self.least)
    }
}

impl Happened {
    /// What falls short of a run with so many kills. One with fewer than a deck owes nothing.
    pub(super) fn missing(&self, kills: u64) -> Vec<Missing> {
        let decks = kills / DECK;
        let kinds = Kind::ALL.into_iter().map(|kind| {
            let least = match kind {
                Kind::AfterTimeOut => decks.div_ceil(2),
                _ => decks * KILLS,
            };
            (What::Kill(kind), self.kills.of(kind), least)
        });
        let least = decks * FAULTS;
        let faults = Wire::BOTH.into_iter().flat_map(|wire| {
            wire.faults().iter().map(move |fault| {
                let met = self.faults.get(&wire);
                let met = met.and_then(|met| met.get(fault.as_str())).copied();
                (What::Fault(wire, fault.as_str()), count(met), least)
            })
        });
        let lines = Wire::BOTH.into_iter().flat_map(|wire| {
            Line::of(wire).iter().map(move |line| {
                let met = self.lines.get(&(wire, *line)).copied();
                (What::Line(wire, *line), count(met), least)
            })
        });
        let credentials = Wire::BOTH.map(|wire| {
            let closures = self.closures.get(&wire).copied();
            (What::Credentials(wire), count(closures), least)
        });
        kinds
            .chain(faults)
            .chain(lines)
            .chain(credentials)
            .filter(|(_, is, least)| is < least)
            .map(|(what, is, least)| Missing { what, is, least })
            .collect()
    }
}

fn count(met: Option<usize>) -> u64 {
    met.unwrap_or_default() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run that was through all of it, so often.
    fn full(times: usize) -> Happened {
        let mut happened = Happened::default();
        for kind in Kind::ALL {
            (0..times * 2).for_each(|_| happened.kills.count(kind));
        }
        for wire in Wire::BOTH {
            let faults = wire.faults().iter();
            let faults = faults.map(|fault| (fault.as_str(), times)).collect();
            happened.faults.insert(wire, faults);
            happened.closures.insert(wire, times);
            for line in Line::of(wire) {
                happened.lines.insert((wire, *line), times);
            }
        }
        happened
    }

    #[test]
    fn what_has_not_happened_often_enough_is_named() {
        assert_eq!(full(1).missing(55), []);
        assert_eq!(full(2).missing(100), []);
        assert_eq!(full(0).missing(49), [], "too short to owe anything");
        let of_nothing = full(0).missing(50).len();
        let of_half = full(1).missing(100).len();
        // One time-out is enough for a hundred.
        assert_eq!(of_nothing, Kind::ALL.len() + 17 + 15 + 7 + 2);
        assert_eq!(of_half, of_nothing - 1);
        let only = |happened: Happened, expected: &str| {
            let missing = happened.missing(55);
            let [missing] = &missing[..] else {
                panic!("{missing:?}");
            };
            assert_eq!(missing.to_string(), expected);
        };
        let mut happened = full(1);
        happened.lines.remove(&(Wire::Soap, Line::NoName));
        only(happened, "unknown host name over soap (0 of at least 1)");
        let mut happened = full(1);
        happened
            .faults
            .get_mut(&Wire::XmlRpc)
            .unwrap()
            .remove("flood");
        only(happened, "fault flood over xml-rpc (0 of at least 1)");
        let mut happened = full(1);
        happened.closures.remove(&Wire::XmlRpc);
        only(happened, "wrong credentials over xml-rpc (0 of at least 1)");
        let mut happened = full(1);
        happened.kills = Tally::default();
        let kills = happened.missing(55);
        assert_eq!(kills.len(), Kind::ALL.len());
        assert_eq!(kills[2].to_string(), "kill before-commit (0 of at least 2)");
    }
}
