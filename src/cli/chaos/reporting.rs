//! What the simulated platform reports about which request: like its faults a pure function of seed and request number.
//!
//! Must not know: the service, the books.

use std::time::Duration;

use super::chance::{Chance, Purpose};
use crate::simulator::{Action, Match, ReportPolicy, ReportStep, Script};

/// Tries of a report that nobody acknowledges, as while the service is down; the pauses are 50 ms, 100 ms and so on, so that
/// the last comes six seconds after the first.
const TRIES: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// What the interface does not know.
const UNKNOWN_WORD: &str = "Retrieved";
/// A phone that no delivery of a run has.
const STRANGER: &str = "699999999";

/// What is reported about one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reporting {
    AtOnce,
    BeforeTheAnswer,
    Late(u64),
    Repeated,
    /// What came first is told last.
    OutOfOrder,
    Rejected,
    Expired,
    /// It failed, and then it has arrived: the first word counts.
    Contradicting,
    /// It has arrived, says a report about another phone, and then that it was rejected.
    OfAnother,
    ToNobody,
    Never,
}

/// The reports of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reports {
    seed: u64,
}

impl Reports {
    pub(super) fn of(seed: u64) -> Self {
        Self { seed }
    }

    fn about(self, request: u64) -> Reporting {
        let mut chance = Chance::of(self.seed, Purpose::Report, request);
        match chance.among(0..=99) {
            0..=24 => Reporting::AtOnce,
            25..=34 => Reporting::BeforeTheAnswer,
            35..=49 => Reporting::Late(chance.among(50..=1500)),
            50..=57 => Reporting::Repeated,
            58..=65 => Reporting::OutOfOrder,
            66..=71 => Reporting::Rejected,
            72..=75 => Reporting::Expired,
            76..=81 => Reporting::Contradicting,
            82..=85 => Reporting::OfAnother,
            86..=88 => Reporting::ToNobody,
            _ => Reporting::Never,
        }
    }

    /// The script with the reports for so many requests from this number on.
    pub(super) fn script(self, script: Script, requests: std::ops::Range<u64>) -> Script {
        let policy = ReportPolicy::default().tries(TRIES).pause(FIRST_PAUSE);
        requests.fold(script.report_policy(policy), |script, request| {
            let steps = Action::Reports(self.about(request).steps());
            script.on(Match::request(request), steps)
        })
    }
}

impl Reporting {
    fn steps(self) -> Vec<ReportStep> {
        let late = |milliseconds| Duration::from_millis(milliseconds);
        match self {
            Self::AtOnce => vec![ReportStep::delivered()],
            Self::BeforeTheAnswer => vec![ReportStep::delivered().before_answer()],
            Self::Late(milliseconds) => vec![ReportStep::delivered().after(late(milliseconds))],
            Self::Repeated => vec![
                ReportStep::delivered().times(2),
                ReportStep::delivered().after(late(200)),
            ],
            Self::OutOfOrder => vec![
                ReportStep::delivered().after(late(20)),
                ReportStep::of(UNKNOWN_WORD),
            ],
            Self::Rejected => vec![ReportStep::of(UNKNOWN_WORD), ReportStep::of("Rejected")],
            Self::Expired => vec![ReportStep::of("Expired").after(late(100))],
            Self::Contradicting => vec![
                ReportStep::of("Rejected"),
                ReportStep::delivered().after(late(50)),
                ReportStep::of("Expired"),
            ],
            Self::OfAnother => vec![
                ReportStep::delivered().recipient(STRANGER),
                ReportStep::of("Rejected"),
            ],
            Self::ToNobody => vec![ReportStep::delivered().to_closed_port()],
            Self::Never => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_kind_of_report_comes() {
        let reports = Reports::of(1);
        let kinds: HashSet<_> = (1..=2000)
            .map(|request| std::mem::discriminant(&reports.about(request)))
            .collect();
        assert_eq!(kinds.len(), 11);
    }
}
