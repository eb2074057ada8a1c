//! `clave-otp chaos`: kills the real service again and again while it works, and compares what everyone knows of it
//! afterwards (`docs/CHAOS.md`).
//!
//! Must not know: SQL, wire formats.

mod asked;
mod books;
mod callers;
mod certificates;
mod chance;
mod citizens;
mod ends;
mod faults;
mod front;
#[cfg(test)]
mod front_tests;
mod installation;
mod line;
mod lives;
mod outcome;
mod platform;
mod platforms;
mod process;
mod quota;
mod received;
mod reporting;
mod samples;
mod spells;
mod tale;

use std::{process::ExitCode, sync::Arc, time::Duration};

use clap::{Args, builder::RangedU64ValueParser};

use super::client::Format;
use crate::telemetry::logs;
use books::{Evidence, judge, trial};
use callers::Callers;
use certificates::Certificates;
use installation::Installation;
use lives::Lives;
use outcome::Outcome;
use platforms::Platforms;
use process::Starter;

/// Longest wait, after the last start, for what must happen: answers to all callers, an end for every delivery. A delivery
/// that waits for its next attempt waits twenty seconds at most.
const PATIENCE: Duration = Duration::from_secs(120);

/// Kills the real service again and again while it works, and checks that no promise is broken.
///
/// Ends with 0 if no promise was broken, nothing was left unexplained, every kind of kill and of fault came often enough, and the
/// judge sees what is falsified; else with 1. See docs/CHAOS.md.
#[derive(Debug, Args)]
pub struct ChaosArgs {
    /// From which everything random follows.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How often the service is killed; some lives are added where a kind of kill or of fault has not come often enough by then.
    #[arg(long, default_value_t = 100, value_parser = RangedU64ValueParser::<u64>::new().range(1..=100_000))]
    kills: u64,
    /// How many deliveries are asked for, fewer where the machine is too busy; twenty for each kill where it is not said.
    #[arg(long, value_parser = RangedU64ValueParser::<u64>::new().range(1..=1_000_000))]
    deliveries: Option<u64>,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

impl ChaosArgs {
    /// Runs the command.
    pub async fn run(self) -> ExitCode {
        logs::start("error");
        match self.play().await {
            Ok(outcome) => {
                outcome.print(self.seed, self.format);
                if outcome.is_good() {
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
        let certificates = Arc::new(Certificates::make()?);
        let platforms = Platforms::start(self.seed, &certificates).await?;
        let endpoint = |wire| platforms.endpoint(wire, None);
        let installation = Installation::write(endpoint, certificates.authority_pem())
            .map_err(|error| format!("cannot write an installation: {error}"))?;
        let outcome = self.play_on(&platforms, &installation).await;
        if !outcome.as_ref().is_ok_and(Outcome::is_good) {
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
        let files = (installation, &starter);
        let mut lives = Lives::new(self.seed, platforms, files, &callers);
        let beginning = lives.first().await?;
        lives.live(self.kills, deliveries).await?;
        let (service, client) = lives.last().await?;
        let past = lives.end(self.kills);
        let asked = tokio::time::timeout(PATIENCE, callers.finish())
            .await
            .map_err(|_| "callers still wait for an answer of the last life")?;
        tale::until_all_have_ended(client.clone(), PATIENCE).await?;
        tokio::time::timeout(PATIENCE, platforms.until_reported())
            .await
            .map_err(|_| "the platform still has reports to send")?;
        let stored = tale::everything(client.clone()).await?;
        let changes = tale::changes_since(client, beginning, &stored).await?;
        let evidence = Evidence {
            asked,
            received: platforms.received(),
            stored,
            changes,
            recoveries: past.recoveries,
            spells: past.spells,
        };
        let verdict = judge(&evidence);
        // On evidence that is not clean it would prove nothing.
        let trial = verdict.is_clean().then(|| trial(&evidence));
        service.stop().await?;
        Ok(Outcome {
            happened: past.happened,
            missing: past.missing,
            reports: evidence.received.reports,
            verdict,
            trial: trial.unwrap_or_default(),
        })
    }
}
