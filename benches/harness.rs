//! What all benchmarks share: figures of alternating rounds, and how they are printed.
//!
//! Must not know: what is measured. The machine is never quiet, so no figure stands alone: all variants take turns within
//! each round, and what counts is the median of the ratios of one round.

/// One figure for each round.
#[derive(Debug, Clone, Default)]
pub struct Figures(Vec<f64>);

impl Figures {
    /// Keeps the figure of one more round.
    pub fn push(&mut self, figure: f64) {
        self.0.push(figure);
    }

    /// The middle one; NaN where nothing was measured.
    pub fn median(&self) -> f64 {
        let sorted = self.sorted();
        match sorted.len() {
            0 => f64::NAN,
            odd if odd % 2 == 1 => sorted[odd / 2],
            even => f64::midpoint(sorted[even / 2 - 1], sorted[even / 2]),
        }
    }

    /// Each round's figure, divided by that of `other` in the same round.
    pub fn over(&self, other: &Self) -> Self {
        let pairs = self.0.iter().zip(&other.0);
        Self(pairs.map(|(mine, theirs)| mine / theirs).collect())
    }

    /// The median with the least and the greatest: `0.42 (0.39–0.45)`.
    pub fn spread(&self) -> String {
        let sorted = self.sorted();
        match (sorted.first(), sorted.last()) {
            (Some(least), Some(greatest)) => format!(
                "{} ({}–{})",
                short(self.median()),
                short(*least),
                short(*greatest)
            ),
            _ => "–".to_owned(),
        }
    }

    /// The figures in order.
    pub fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }
}

/// A number with about three digits that mean something.
pub fn short(number: f64) -> String {
    let magnitude = number.abs();
    if magnitude.is_nan() {
        "–".to_owned()
    } else if magnitude >= 100.0 {
        format!("{number:.0}")
    } else if magnitude >= 10.0 {
        format!("{number:.1}")
    } else if magnitude >= 0.1 {
        format!("{number:.2}")
    } else {
        format!("{number:.4}")
    }
}

/// Prints a table whose first row is its head: the first column to the left, the others to the right.
pub fn print_table(rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width_of = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width_of).collect();
    for row in rows {
        let mut line = String::from(" ");
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let cell = if column == 0 {
                format!(" {cell:<width$}")
            } else {
                format!("  {cell:>width$}")
            };
            line.push_str(&cell);
        }
        println!("{}", line.trim_end());
    }
    println!();
}
