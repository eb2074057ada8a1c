//! Chance that comes again: everything random of a run follows from its seed.
//!
//! Must not know: what is decided with it.

use std::{ops::RangeInclusive, time::Duration};

/// What a row of numbers is for; rows of different purposes have nothing to do with each other.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    /// In which order lives of the service end how.
    Life = 1,
    /// What one caller does.
    Caller = 2,
    /// Whether the platform is well for some requests.
    Weather = 3,
    /// What the platform does to one request.
    Fault = 4,
    /// How long a caller rests.
    Rest = 5,
    /// What the platform reports about one request.
    Report = 6,
    /// From which the faults of one platform follow.
    Platform = 7,
    /// What is wrong with the way to a platform in one life.
    Line = 8,
    /// Which account has the wrong password.
    Spell = 9,
    /// What one citizen is sent.
    Citizen = 10,
    /// The code of one delivery.
    Code = 11,
    /// In which order faults of one kind of count come.
    Deck = 12,
    /// The moment at which one life ends.
    End = 13,
}

/// A row of numbers (splitmix64; Steele, Lea, Flood 2014), the same for the same seed, purpose and index.
#[derive(Debug, Clone)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn of(seed: u64, purpose: Purpose, index: u64) -> Self {
        let mut chance = Self(seed);
        chance.0 = chance.next() ^ (purpose as u64) << 56;
        chance.0 = chance.next() ^ index;
        chance
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// One of the numbers of the range; the small bias of the remainder does not matter here.
    pub(super) fn among(&mut self, range: RangeInclusive<u64>) -> u64 {
        let (first, last) = range.into_inner();
        first + self.next() % (last - first + 1)
    }

    pub(super) fn percent(&mut self, percent: u64) -> bool {
        self.among(0..=99) < percent
    }

    pub(super) fn milliseconds(&mut self, range: RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.among(range))
    }

    /// One of these; there must be one.
    pub(super) fn pick<T: Copy>(&mut self, these: &[T]) -> T {
        // The remainder is below the length, which is a `usize`.
        let place = usize::try_from(self.next() % these.len() as u64).unwrap_or_default();
        these[place]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_row_and_every_other_another() {
        let row = |seed, purpose, index| Chance::of(seed, purpose, index).next();
        let first = row(1, Purpose::Life, 0);
        assert_eq!(first, row(1, Purpose::Life, 0));
        for other in [
            row(2, Purpose::Life, 0),
            row(1, Purpose::Caller, 0),
            row(1, Purpose::Life, 1),
        ] {
            assert_ne!(first, other);
        }
    }
}
