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
mod process;

use std::{collections::BTreeMap, process::ExitCode, time::Duration};

use clap::{Args, builder::RangedU64ValueParser};
use serde_json::json;

use super::client::Format;
use crate::{
    grpc::proto::{Delivery, DeliveryState, ListDeliveriesRequest},
    telemetry::logs,
};
use books::{Books, Verdict, judge};
use callers::{Callers, Client};
use installation::Installation;
use lives::{Lives, Tally};
use platform::Platform;
use process::Starter;

/// Longest wait, after the last start, for what must happen: answers to all callers, an end for every delivery. A delivery
/// that waits for its next attempt waits twenty seconds at most.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often the deliveries without an end are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Kills the real service again and again while it works, and checks that no promise is broken.
///
/// Ends with 0 if nothing was lost, sent twice, sent late or left unexplained, else with 1. See docs/CHAOS.md.
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
    /// How many requests met which fault.
    faults: BTreeMap<&'static str, usize>,
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
        let platform = Platform::start(self.seed)
            .await
            .map_err(|error| error.to_string())?;
        let installation = Installation::write(&platform.endpoint())
            .map_err(|error| format!("cannot write an installation: {error}"))?;
        let outcome = self.play_on(&platform, &installation).await;
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
        platform: &Platform,
        installation: &Installation,
    ) -> Result<Outcome, String> {
        let starter = Starter::new(installation)?;
        let deliveries = self.deliveries.unwrap_or(self.kills * 20);
        let callers = Callers::start(self.seed);
        let mut lives = Lives::new(platform, &starter, &callers);
        lives.live(self.seed, self.kills, deliveries).await?;
        platform.behave().map_err(|error| error.to_string())?;
        let (service, client) = lives.last().await?;
        let (tally, recoveries) = lives.end();
        let asked = tokio::time::timeout(PATIENCE, callers.finish())
            .await
            .map_err(|_| "callers still wait for an answer of the last life")?;
        let stored = everything_in_the_end(client).await?;
        let received = platform.received();
        let verdict = judge(&Books {
            asked: &asked,
            received: &received,
            stored: &stored,
            recoveries: &recoveries,
        });
        service.stop().await?;
        Ok(Outcome {
            tally,
            faults: received.faults,
            verdict,
        })
    }

    fn print(&self, outcome: &Outcome) {
        let Outcome {
            tally,
            faults,
            verdict,
        } = outcome;
        let counts = verdict.counts();
        match self.format {
            Format::Text => {
                let words: Vec<String> = counts
                    .iter()
                    .map(|(name, count)| format!("{name} {count}"))
                    .collect();
                println!(
                    "chaos: seed {}, kills {} ({tally}), faults {} of {} kinds: {}",
                    self.seed,
                    self.kills,
                    faults.values().sum::<usize>(),
                    faults.len(),
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
                let mut line = json!({
                    "seed": self.seed,
                    "kills": self.kills,
                    "kills_by_kind": tally.as_json(),
                    "faults_by_kind": faults,
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

/// Every delivery in the store, when each has an end or patience has.
async fn everything_in_the_end(mut client: Client) -> Result<Vec<Delivery>, String> {
    let open = ListDeliveriesRequest {
        states: vec![
            DeliveryState::Accepted.into(),
            DeliveryState::Sending.into(),
        ],
        page_size: 1,
        ..ListDeliveriesRequest::default()
    };
    let all_have_ended = async {
        while !page(&mut client, open.clone()).await?.0.is_empty() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok::<_, String>(())
    };
    // Those that have no end in time are judged as they are.
    if let Ok(Err(problem)) = tokio::time::timeout(PATIENCE, all_have_ended).await {
        return Err(problem);
    }
    let mut all = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListDeliveriesRequest {
            page_size: 1000,
            page_token,
            ..ListDeliveriesRequest::default()
        };
        let (deliveries, next) = page(&mut client, request).await?;
        all.extend(deliveries);
        if next.is_empty() {
            return Ok(all);
        }
        page_token = next;
    }
}

async fn page(
    client: &mut Client,
    request: ListDeliveriesRequest,
) -> Result<(Vec<Delivery>, String), String> {
    let listed = client
        .list_deliveries(request)
        .await
        .map_err(|status| format!("the deliveries cannot be listed: {status}"))?
        .into_inner();
    Ok((listed.deliveries, listed.next_page_token))
}
