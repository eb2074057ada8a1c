//! Credits, to the hundredth: what an account has, and what a message costs.
//!
//! Must not know: who has them.

use serde_json::Value;

/// An amount of credits, never negative.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Credits(u64);

impl Credits {
    /// Whole credits.
    pub const fn whole(count: u32) -> Self {
        Self(count as u64 * 100)
    }

    /// Hundredths of a credit: `123_456` is 1,234.56.
    pub const fn hundredths(count: u64) -> Self {
        Self(count)
    }

    pub(super) fn times(self, count: usize) -> Self {
        Self(self.0.saturating_mul(count as u64))
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// `None` where that would be less than nothing.
    pub(super) fn minus(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// As a number of JSON: without a fraction where there is none.
    pub(super) fn json(self) -> Value {
        let (whole, part) = (self.0 / 100, self.0 % 100);
        if part == 0 {
            return whole.into();
        }
        // Digits and a point are a number.
        let number: f64 = format!("{whole}.{part:02}").parse().unwrap_or_default();
        number.into()
    }
}

/// A number as Spaniards write it: `12.345,67`.
pub(super) fn spanish(number: &str) -> String {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let mut written = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place) % 3 == 0 {
            written.push('.');
        }
        written.push(digit);
    }
    format!("{written},{part:0<2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credits_are_written_as_numbers_and_in_spanish() {
        assert_eq!(Credits::whole(1000).json(), 1000);
        assert_eq!(Credits::hundredths(123_405).json(), 1234.05);
        assert_eq!(spanish("1234.05"), "1.234,05");
        assert_eq!(spanish("1234567.5"), "1.234.567,50");
        assert_eq!(spanish("7"), "7,00");
    }
}
