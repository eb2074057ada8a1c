//! The command line: one file for each subcommand.
//!
//! Must not know: SQL, wire formats.

mod simulate;

use std::{io, process::ExitCode};

use clap::{Parser, Subcommand};

/// Delivers the one-time codes of Cl@ve by SMS.
#[derive(Debug, Parser)]
#[command(name = "clave-otp", version, about, max_term_width = 100)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Simulate(simulate::Simulate),
}

impl Arguments {
    /// Runs the chosen command and tells the status to end with.
    pub fn run(self) -> ExitCode {
        match self.command {
            Command::Simulate(command) => command.run(),
        }
    }
}

/// Runs a future on a runtime of its own with a thread for each processor.
pub(crate) fn block_on<F: Future>(future: F) -> io::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(future))
}
