//! The ways in which a life of the service ends, dealt so that each has its share.
//!
//! Must not know: how they are brought about.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde_json::Value;

use super::{
    chance::{Chance, Purpose},
    quota::What,
};
use crate::crash_points::{CrashAt, Point};

/// Lives that one deck is dealt for.
pub(super) const DECK: u64 = 50;

/// What kind of end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Kind {
    AtSomeMoment,
    WhileStarting,
    BeforeCommit,
    AfterCommit,
    AfterAttemptRecord,
    AfterGatewayAnswer,
    DuringRequest,
    AfterStandingStill,
    AfterTimeOut,
}

/// Each but the last, and how many of one deck; together as many as there are lives for it.
const SHARES: [(Kind, u64); 8] = [
    (Kind::AtSomeMoment, 10),
    (Kind::WhileStarting, 4),
    (Kind::BeforeCommit, 7),
    (Kind::AfterCommit, 7),
    (Kind::AfterAttemptRecord, 6),
    (Kind::AfterGatewayAnswer, 6),
    (Kind::DuringRequest, 7),
    (Kind::AfterStandingStill, 3),
];

/// How a life ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    /// This long after it listens.
    AtSomeMoment(Duration),
    /// This long after its process was started, most often before it listens.
    WhileStarting(Duration),
    /// By itself, at this passage of a point.
    At(CrashAt),
    /// This long after the platform has begun to hold a request.
    DuringRequest(Duration),
    /// After the service has given up a request that the platform held.
    AfterTimeOut,
    /// As soon as what is missing has happened, or a few seconds later.
    OnceItHappened(What),
    /// It stands still for a while, goes on, and is killed soon after that.
    Frozen {
        after: Duration,
        still: Duration,
        then: Duration,
    },
}

impl Kind {
    pub(super) const ALL: [Self; 9] = [
        Self::AtSomeMoment,
        Self::WhileStarting,
        Self::BeforeCommit,
        Self::AfterCommit,
        Self::AfterAttemptRecord,
        Self::AfterGatewayAnswer,
        Self::DuringRequest,
        Self::AfterStandingStill,
        Self::AfterTimeOut,
    ];

    /// Its name in the summary.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::AtSomeMoment => "at some moment",
            Self::WhileStarting => "while starting",
            Self::BeforeCommit => Point::BeforeCommit.as_str(),
            Self::AfterCommit => Point::AfterCommit.as_str(),
            Self::AfterAttemptRecord => Point::AfterAttemptRecord.as_str(),
            Self::AfterGatewayAnswer => Point::AfterGatewayAnswer.as_str(),
            Self::DuringRequest => "during a request",
            Self::AfterStandingStill => "after standing still",
            Self::AfterTimeOut => "after a time-out",
        }
    }

    /// The kind of this life of so many.
    pub(super) fn of(seed: u64, life: u64, kills: u64) -> Self {
        // It takes seconds, so it comes once in a hundred lives.
        if life % 100 == kills.min(100) / 2 {
            return Self::AfterTimeOut;
        }
        let mut chance = Chance::of(seed, Purpose::Life, life / DECK);
        let mut deck = Vec::new();
        for (kind, share) in SHARES {
            deck.extend((0..share).map(|_| (chance.next(), kind)));
        }
        deck.sort_unstable();
        // Below the length of the deck.
        let place = usize::try_from(life % DECK).unwrap_or_default();
        deck.get(place)
            .map_or(Self::AtSomeMoment, |(_, kind)| *kind)
    }

    /// How such a life ends.
    pub(super) fn end(self, seed: u64, life: u64) -> End {
        let mut chance = Chance::of(seed, Purpose::End, life);
        let mut at = |point, most| {
            End::At(CrashAt {
                point,
                // At most ten, so it fits.
                time: u32::try_from(chance.among(1..=most)).unwrap_or(1),
            })
        };
        match self {
            Self::BeforeCommit => at(Point::BeforeCommit, 10),
            Self::AfterCommit => at(Point::AfterCommit, 10),
            Self::AfterAttemptRecord => at(Point::AfterAttemptRecord, 3),
            Self::AfterGatewayAnswer => at(Point::AfterGatewayAnswer, 3),
            Self::AtSomeMoment => End::AtSomeMoment(chance.milliseconds(0..=500)),
            Self::WhileStarting => End::WhileStarting(chance.milliseconds(0..=80)),
            Self::DuringRequest => End::DuringRequest(chance.milliseconds(0..=50)),
            Self::AfterTimeOut => End::AfterTimeOut,
            // Far shorter than the service waits for an answer: an answer that lay there meanwhile is still read.
            Self::AfterStandingStill => End::Frozen {
                after: chance.milliseconds(50..=300),
                still: chance.milliseconds(50..=1200),
                then: chance.milliseconds(0..=300),
            },
        }
    }
}

/// How many lives ended how.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally(BTreeMap<Kind, u64>);

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.0.iter();
        let words: Vec<String> = words
            .map(|(kind, count)| format!("{} {count}", kind.as_str()))
            .collect();
        formatter.write_str(&words.join(", "))
    }
}

impl Tally {
    pub(super) fn count(&mut self, kind: Kind) {
        *self.0.entry(kind).or_default() += 1;
    }

    pub(super) fn of(&self, kind: Kind) -> u64 {
        self.0.get(&kind).copied().unwrap_or_default()
    }

    /// All lives.
    pub(super) fn sum(&self) -> u64 {
        self.0.values().sum()
    }

    pub(super) fn as_json(&self) -> Value {
        let counts = self.0.iter();
        counts
            .map(|(kind, count)| (kind.as_str().to_owned(), Value::from(*count)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_has_its_share_of_each_deck_and_the_order_is_the_seeds() {
        assert_eq!(SHARES.iter().map(|(_, share)| share).sum::<u64>(), DECK);
        let row = |seed| (0..100).map(move |life| Kind::of(seed, life, 100));
        assert!(row(1).ne(row(2)) && row(1).eq(row(1)));
        for kind in Kind::ALL {
            let count = row(1).filter(|other| *other == kind).count() as u64;
            let share = SHARES.iter().find(|(other, _)| *other == kind);
            let expected = share.map_or(1, |(_, share)| share * 2);
            // The time-out takes the place of one of the others.
            assert!(count.abs_diff(expected) <= 1, "{kind:?} {count}");
        }
    }
}
