//! Whether a ratio is below the bound for sure: the median of many rounds with its interval, which asks nothing of how the noise
//! of the machine is distributed.
//!
//! Must not know: what was measured.

use crate::harness::Figures;

/// What is promised: a change of less than ten per cent.
const BOUND: f64 = 1.10;

/// How often the true median may lie outside the interval.
const DOUBT: f64 = 0.05;

/// The median of ratios, and between what the true one lies.
#[derive(Debug, Clone, Copy)]
pub struct Verdict {
    pub ratio: f64,
    pub least: f64,
    pub most: f64,
}

impl Verdict {
    /// The interval of the sign test: of the ratios in order, as many are left out at either end as chance would put on one side
    /// of the true median in fewer than one of twenty runs.
    pub fn of(ratios: &Figures) -> Self {
        let sorted = ratios.sorted();
        let rank = outer_rank(sorted.len());
        let at = |index: Option<usize>| index.and_then(|index| sorted.get(index)).copied();
        Self {
            ratio: ratios.median(),
            least: at(rank).unwrap_or(0.0),
            most: at(rank.map(|rank| sorted.len() - 1 - rank)).unwrap_or(f64::INFINITY),
        }
    }

    /// Whether the interval lies on one side of the bound.
    pub fn is_decided(&self) -> bool {
        self.most < BOUND || self.least > BOUND
    }

    /// Whether the change is above the bound, as far as can be told.
    pub fn is_above(&self) -> bool {
        self.ratio >= BOUND
    }

    pub fn word(&self) -> &'static str {
        match (self.is_decided(), self.is_above()) {
            (true, false) => "below 1.10",
            (true, true) => "ABOVE 1.10",
            (false, false) => "below 1.10, not for sure",
            (false, true) => "above 1.10, not for sure",
        }
    }
}

/// How many figures to leave out at either end; none where there are too few for any interval.
fn outer_rank(count: usize) -> Option<usize> {
    let mut term = 0.5_f64.powi(i32::try_from(count).ok()?);
    let (mut below, mut rank) = (0.0, None);
    for index in 0..count / 2 {
        below += term;
        if 2.0 * below > DOUBT {
            break;
        }
        rank = Some(index);
        // The next term of the binomial distribution.
        #[allow(clippy::cast_precision_loss, reason = "rounds are few")]
        let step = (count - index) as f64 / (index + 1) as f64;
        term *= step;
    }
    rank
}
