//! The command line: one file for each subcommand.
//!
//! Must not know: SQL, wire formats.

mod certified;
mod certs;
mod chaos;
mod check;
mod client;
mod configuration;
mod core_dumps;
mod demo;
mod follow;
mod get;
mod json_lines;
mod number;
mod send;
mod serve;
mod signals;
mod simulate;
mod text;
mod watch;

use std::{future::Future, process::ExitCode};

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
    Serve(serve::ServeArgs),
    Demo(demo::DemoArgs),
    Check(check::CheckArgs),
    Certs(certs::CertsArgs),
    Send(send::SendArgs),
    Get(get::GetArgs),
    Watch(watch::WatchArgs),
    Certified(certified::CertifiedArgs),
    Simulate(simulate::Simulate),
    Text(text::TextArgs),
    Number(number::NumberArgs),
    #[command(hide = true)]
    Chaos(chaos::ChaosArgs),
}

impl Arguments {
    /// Runs the chosen command and tells the status to end with.
    pub fn run(self) -> ExitCode {
        match self.command {
            Command::Serve(arguments) => block_on(arguments.run()),
            Command::Demo(arguments) => block_on(arguments.run()),
            Command::Check(arguments) => arguments.run(),
            Command::Certs(arguments) => arguments.run(),
            Command::Send(arguments) => block_on(arguments.run()),
            Command::Get(arguments) => block_on(arguments.get()),
            Command::Watch(arguments) => block_on(arguments.run()),
            Command::Certified(arguments) => block_on(arguments.run()),
            Command::Simulate(arguments) => block_on(arguments.run()),
            Command::Text(arguments) => arguments.run(),
            Command::Number(arguments) => arguments.run(),
            Command::Chaos(arguments) => block_on(arguments.run()),
        }
    }
}

/// Runs a command that waits for the network.
fn block_on(command: impl Future<Output = ExitCode>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => {
            let ended = runtime.block_on(command);
            // A name server or a disk that does not answer must not keep the process alive.
            runtime.shutdown_background();
            ended
        }
        Err(error) => {
            eprintln!("clave-otp: the system gives no threads: {error}");
            ExitCode::FAILURE
        }
    }
}
