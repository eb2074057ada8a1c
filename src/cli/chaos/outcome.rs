//! How a run ended, in one line for people or for programs.
//!
//! Must not know: how it went.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    books::{Trial, Verdict},
    quota::{Happened, Missing},
    samples::Wire,
};
use crate::cli::client::Format;

/// How a run ended.
pub(super) struct Outcome {
    pub(super) happened: Happened,
    /// What has not happened often enough.
    pub(super) missing: Vec<Missing>,
    /// How many reports the platform tried.
    pub(super) reports: usize,
    pub(super) verdict: Verdict,
    pub(super) trial: Trial,
}

impl Outcome {
    /// Whether every promise held, and there was enough to hold them against.
    pub(super) fn is_good(&self) -> bool {
        self.verdict.is_clean() && self.missing.is_empty() && self.trial.unseen.is_empty()
    }

    pub(super) fn print(&self, seed: u64, format: Format) {
        match format {
            Format::Text => self.print_text(seed),
            Format::Json => println!("{}", self.json(seed)),
        }
    }

    fn print_text(&self, seed: u64) {
        let counts = self.verdict.counts();
        let words: Vec<String> = counts
            .iter()
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        let met: Vec<String> = self
            .faults()
            .into_iter()
            .map(|(wire, faults)| {
                let count = faults.values().sum::<usize>();
                format!("{} faults {count} of {} kinds", wire.as_str(), faults.len())
            })
            .collect();
        println!(
            "chaos: seed {seed}, kills {} ({}), {}, reports {}: {}",
            self.happened.kills.sum(),
            self.happened.kills,
            met.join(", "),
            self.reports,
            words.join(", ")
        );
        for finding in &self.verdict.findings {
            let delivery = finding
                .delivery
                .map_or("the run".into(), |number| format!("delivery {number}"));
            println!("  {}: {delivery}: {}", finding.kind.as_str(), finding.what);
        }
        for missing in &self.missing {
            println!("  missing: {missing}");
        }
        for lie in &self.trial.unseen {
            println!("  the judge does not see {lie}");
        }
    }

    fn json(&self, seed: u64) -> Value {
        let faults: serde_json::Map<_, _> = self
            .faults()
            .into_iter()
            .map(|(wire, faults)| (wire.as_str().to_owned(), json!(faults)))
            .collect();
        let missing: Vec<_> = self.missing.iter().map(ToString::to_string).collect();
        let mut line = json!({
            "seed": seed,
            "kills": self.happened.kills.sum(),
            "kills_by_kind": self.happened.kills.as_json(),
            "faults_by_platform": faults,
            "reports": self.reports,
            "findings": self.verdict.findings_as_json(),
            "missing": missing,
            "falsified_and_seen": self.trial.seen,
            "falsified_and_not_seen": self.trial.unseen,
        });
        for (name, count) in self.verdict.counts() {
            line[name.replace(' ', "_")] = count.into();
        }
        line
    }

    /// Whatever went wrong at each platform, on the way to it, and with what was presented to it.
    fn faults(&self) -> BTreeMap<Wire, BTreeMap<&'static str, usize>> {
        let mut faults = self.happened.faults.clone();
        for ((wire, line), count) in &self.happened.lines {
            faults
                .entry(*wire)
                .or_default()
                .insert(line.as_str(), *count);
        }
        for (wire, count) in &self.happened.closures {
            let of_wire = faults.entry(*wire).or_default();
            of_wire.insert("wrong credentials", *count);
        }
        faults
    }
}
