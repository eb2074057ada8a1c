//! Parses the arguments, runs the command, ends with its status.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    clave_otp::cli::Arguments::parse().run()
}
