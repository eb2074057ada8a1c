//! `clave-otp serve`: runs the service.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use clap::Args;

use super::{configuration, core_dumps, signals::Signals};
use crate::{
    app::App,
    clock::{Clock, SystemClock},
    crash_points::{self, CrashAt},
    telemetry::logs,
};

/// Runs the service until SIGTERM or SIGINT; a second signal does not wait for what is under way.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The service file; administrations are read from the directory that it names.
    #[arg(long, env = "CLAVE_OTP_CONFIG", default_value = "service.toml")]
    config: PathBuf,
    /// For `clave-otp chaos` (docs/CHAOS.md): the process kills itself at this passage of this point.
    #[arg(long, hide = true, value_name = "POINT:N")]
    crash_at: Option<CrashAt>,
}

impl ServeArgs {
    /// Runs the command: 78 where the configuration is wrong, 1 where the service cannot start.
    pub async fn run(self) -> ExitCode {
        logs::start("info");
        if let Some(crash) = self.crash_at {
            tracing::warn!(at = %crash, "start: --crash-at is set; this process will kill itself there");
            crash_points::arm(crash);
        }
        // Before any secret is read.
        if let Err(error) = core_dumps::switch_off() {
            tracing::warn!(%error, "start: core dumps cannot be switched off; a crash could write codes and passwords to a disk: set LimitCORE=0");
        }
        let settings = match configuration::load(&self.config) {
            Ok(settings) => settings,
            Err(refused) => return refused,
        };
        // Before anything is printed, so that whoever reads the addresses may already send a signal.
        let mut signals = match Signals::listen() {
            Ok(signals) => signals,
            Err(error) => return failed(&format!("signals: {error}")),
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let app = match App::build(settings, clock).await {
            Ok(app) => app,
            Err(error) => return failed(&error.to_string()),
        };
        match listening(&app) {
            Ok(told) => println!("clave-otp is listening: {told}"),
            Err(error) => return failed(&format!("listening: {error}")),
        }
        let ended = app.run_until_stopped(signals.first()).await;
        match ended {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error.to_string()),
        }
    }
}

fn failed(problem: &str) -> ExitCode {
    eprintln!("clave-otp serve: {problem}");
    ExitCode::FAILURE
}

/// Where it listens, for whoever started it.
fn listening(app: &App) -> std::io::Result<String> {
    let (grpc, admin) = (app.grpc_address()?, app.admin_address()?);
    Ok(match app.reports_address() {
        Some(reports) => format!("grpc {grpc}, admin {admin}, reports {}", reports?),
        None => format!("grpc {grpc}, admin {admin}"),
    })
}
