//! `clave-otp chaos`: kills the real service again and again while it works, and compares what everyone knows of it
//! afterwards (`docs/CHAOS.md`).
//!
//! Must not know: SQL, wire formats.

mod books;
mod callers;
mod chance;
mod faults;
mod installation;
mod lives;
mod platform;
mod platforms;
mod process;
mod received;
mod reporting;
mod tale;

use std::{collections::BTreeMap, process::ExitCode, time::Duration};

use clap::{Args, builder::RangedU64ValueParser};
use serde_json::json;

use super::client::Format;
use crate::telemetry::logs;
use books::{Books, Verdict, judge};
use callers::Callers;
use installation::{Installation, Wire};
use lives::{Lives, Tally};
use platforms::Platforms;
use process::Starter;

/// Longest wait, after the last start, for what must happen: answers to all callers, an end for every delivery. A delivery
/// that waits for its next attempt waits twenty seconds at most.
const PATIENCE: Duration = Duration::from_secs(120);

/// Kills the real service again and again while it works, and checks that no promise is broken.
///
/// Ends with 0 if nothing was lost, sent twice, sent late, mixed up, taken back or left unexplained, else with 1. See docs/CHAOS.md.
#[derive(Debug, Args)]
pub struct ChaosArgs {
    /// From which everything random follows.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How often the service is killed.
    #[arg(long, default_value_t = 100, value_parser = RangedU64ValueParser::<u64>::new().range(1..=100_000))]
    kills: u64,
    /// How many deliveries are asked for, fewer where the machine is too busy; twenty for each kill where it is not said.
    #[arg(long, value_parser = RangedU64ValueParser::<u64>::new().range(1..=1_000_000))]
    deliveries: Option<u64>,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// How a run ended.
struct Outcome {
    tally: Tally,
    /// How many requests met which fault, at each platform.
    faults: BTreeMap<Wire, BTreeMap<&'static str, usize>>,
    /// How many reports the platform tried.
    reports: usize,
    verdict: Verdict,
}

impl ChaosArgs {
    /// Runs the command.
    pub async fn run(self) -> ExitCode {
        logs::start("error");
        match self.play().await {
            Ok(outcome) => {
                self.print(&outcome);
                if outcome.verdict.is_clean() {
                    ExitCode::SUCCESS
                } else {
                    ExitCode::FAILURE
                }
            }
            Err(problem) => {
                eprintln!("clave-otp chaos: seed {}: {problem}", self.seed);
                ExitCode::FAILURE
            }
        }
    }

    async fn play(&self) -> Result<Outcome, String> {
        let platforms = Platforms::start(self.seed)
            .await
            .map_err(|error| error.to_string())?;
        let installation = Installation::write(|wire| platforms.endpoint(wire))
            .map_err(|error| format!("cannot write an installation: {error}"))?;
        let outcome = self.play_on(&platforms, &installation).await;
        let broken = outcome
            .as_ref()
            .map_or(true, |outcome| !outcome.verdict.is_clean());
        if broken {
            let kept = installation.keep();
            eprintln!("clave-otp chaos: look at {}", kept.display());
        }
        outcome
    }

    async fn play_on(
        &self,
        platforms: &Platforms,
        installation: &Installation,
    ) -> Result<Outcome, String> {
        let starter = Starter::new(installation)?;
        let deliveries = self.deliveries.unwrap_or(self.kills * 20);
        let callers = Callers::start(self.seed);
        let mut lives = Lives::new(platforms, &starter, &callers);
        let beginning = lives.first().await?;
        lives.live(self.seed, self.kills, deliveries).await?;
        platforms.behave().map_err(|error| error.to_string())?;
        let (service, client) = lives.last().await?;
        let (tally, recoveries) = lives.end();
        let asked = tokio::time::timeout(PATIENCE, callers.finish())
            .await
            .map_err(|_| "callers still wait for an answer of the last life")?;
        tale::until_all_have_ended(client.clone(), PATIENCE).await?;
        tokio::time::timeout(PATIENCE, platforms.until_reported())
            .await
            .map_err(|_| "the platform still has reports to send")?;
        let stored = tale::everything(client.clone()).await?;
        let changes = tale::changes_since(client, beginning, &stored).await?;
        let received = platforms.received();
        let verdict = judge(&Books {
            asked: &asked,
            received: &received,
            stored: &stored,
            changes: &changes,
            recoveries: &recoveries,
        });
        service.stop().await?;
        Ok(Outcome {
            tally,
            faults: received.faults,
            reports: received.reports,
            verdict,
        })
    }

    fn print(&self, outcome: &Outcome) {
        let Outcome {
            tally,
            faults,
            reports,
            verdict,
        } = outcome;
        let counts = verdict.counts();
        match self.format {
            Format::Text => {
                let words: Vec<String> = counts
                    .iter()
                    .map(|(name, count)| format!("{name} {count}"))
                    .collect();
                let met: Vec<String> = faults
                    .iter()
                    .map(|(wire, faults)| {
                        let count = faults.values().sum::<usize>();
                        format!("{} faults {count} of {} kinds", wire.as_str(), faults.len())
                    })
                    .collect();
                let met = met.join(", ");
                println!(
                    "chaos: seed {}, kills {} ({tally}), {met}, reports {reports}: {}",
                    self.seed,
                    self.kills,
                    words.join(", ")
                );
                for finding in &verdict.findings {
                    let delivery = finding
                        .delivery
                        .map_or("the run".into(), |number| format!("delivery {number}"));
                    println!("  {}: {delivery}: {}", finding.kind.as_str(), finding.what);
                }
            }
            Format::Json => {
                let faults: serde_json::Map<_, _> = faults
                    .iter()
                    .map(|(wire, faults)| (wire.as_str().to_owned(), json!(faults)))
                    .collect();
                let mut line = json!({
                    "seed": self.seed,
                    "kills": self.kills,
                    "kills_by_kind": tally.as_json(),
                    "faults_by_platform": faults,
                    "reports": reports,
                    "findings": verdict.findings_as_json(),
                });
                for (name, count) in counts {
                    line[name.replace(' ', "_")] = count.into();
                }
                println!("{line}");
            }
        }
    }
}
