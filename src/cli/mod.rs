//! The command line: one file for each subcommand.
//!
//! Must not know: SQL, wire formats.

mod check;

use std::process::ExitCode;

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
    Check(check::CheckArgs),
}

impl Arguments {
    /// Runs the chosen command and tells the status to end with.
    pub fn run(self) -> ExitCode {
        match self.command {
            Command::Check(arguments) => arguments.run(),
        }
    }
}
