//! `clave-otp simulate`: a simulated SMS platform for development, on loopback alone.
//!
//! Must not know: SQL, wire formats.

use std::{
    fs, io,
    io::Write as _,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::Args;
use secrecy::SecretString;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    clock::SystemClock,
    simulator::{
        Account, Accounts, EndedRequest, Ending, Event, Ledger, MensatekCall, Observer,
        ReceivedMessage, RefusedRequest, ReportAnswer, ReportEnding, Script, ScriptError,
        SentReport, Simulator, SimulatorError, SimulatorOptions,
    },
};

/// Holds the password of every log-in where neither `--account` nor `--password-file` is given.
const PASSWORD_VARIABLE: &str = "CLAVE_OTP_SIMULATOR_PASSWORD";

/// Exit status for bad configuration, as of `serve`.
const BAD_CONFIGURATION: u8 = 78;

/// Stands in for the SMS platforms on this machine: no SMS is sent.
///
/// Prints the endpoints to give to an account, for XML-RPC, SOAP, REST and Mensatek, then one line for each message received:
/// time, protocol, log-in, sender, masked number, length and answer; one for each other call of Mensatek; and one for each
/// delivery report sent. Ends with a summary on Ctrl-C or SIGTERM.
///
/// Without --account every log-in is accepted, with the password of --password-file or of the environment variable
/// `CLAVE_OTP_SIMULATOR_PASSWORD` where one is given, with any password otherwise.
#[derive(Debug, Args)]
pub struct Simulate {
    /// Loopback address and port to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// What to do to which requests, in TOML; see docs/SIMULATOR.md.
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// A log-in to know; repeat it for several, each with its own --password-file.
    #[arg(long = "account", value_name = "LOGIN")]
    accounts: Vec<String>,
    /// File with the password, readable by nobody else; one for each --account, in the same order.
    #[arg(long = "password-file", value_name = "FILE")]
    password_files: Vec<PathBuf>,
    /// Help for development: prints the texts too, one-time codes and all, and the full numbers.
    #[arg(long)]
    show_texts: bool,
}

/// Why the simulator cannot run.
#[derive(Debug, Error)]
enum SimulateError {
    #[error("{}: {problem}", path.display())]
    Script { path: PathBuf, problem: ScriptError },
    #[error("{}: {problem}", path.display())]
    Password { path: PathBuf, problem: String },
    #[error("give one --password-file for each --account, in the same order")]
    Unpaired,
    #[error(transparent)]
    Simulator(#[from] SimulatorError),
    #[error("cannot run: {0}")]
    Machine(#[from] io::Error),
}

impl Simulate {
    /// Runs until it is told to end.
    pub async fn run(self) -> ExitCode {
        match self.simulate().await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("clave-otp simulate: {error}");
                match error {
                    SimulateError::Machine(_)
                    | SimulateError::Simulator(SimulatorError::Bind { .. }) => ExitCode::FAILURE,
                    _ => ExitCode::from(BAD_CONFIGURATION),
                }
            }
        }
    }

    async fn simulate(self) -> Result<(), SimulateError> {
        // Before anything is printed, so that whoever reads the endpoint may already send a signal.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let options = SimulatorOptions::new(self.accounts()?, Arc::new(SystemClock::new()))
            .script(self.script()?)
            .observer(printer(self.show_texts));
        let simulator = Simulator::start(self.listen, options).await?;
        print(&endpoints(&simulator));
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        let ledger = simulator.ledger().clone();
        simulator.stop().await;
        print(&summary(&ledger));
        Ok(())
    }

    fn script(&self) -> Result<Script, SimulateError> {
        let Some(path) = &self.script else {
            return Ok(Script::new());
        };
        Script::from_file(path).map_err(|problem| SimulateError::Script {
            path: path.clone(),
            problem,
        })
    }

    fn accounts(&self) -> Result<Accounts, SimulateError> {
        match (self.accounts.as_slice(), self.password_files.as_slice()) {
            ([], []) => Ok(Accounts::anyone(
                std::env::var(PASSWORD_VARIABLE).ok().map(Into::into),
            )),
            ([], [file]) => Ok(Accounts::anyone(Some(read_password(file)?))),
            (logins, files) if logins.len() == files.len() => {
                let accounts: Result<Vec<_>, _> = logins
                    .iter()
                    .zip(files)
                    .map(|(login, file)| Ok(Account::with_any_sender(login, read_password(file)?)))
                    .collect();
                accounts.map(Accounts::listed)
            }
            _ => Err(SimulateError::Unpaired),
        }
    }
}

/// The first line of the file; refused if others than its owner can read it.
fn read_password(path: &Path) -> Result<SecretString, SimulateError> {
    let refuse = |problem: String| SimulateError::Password {
        path: path.to_owned(),
        problem,
    };
    let metadata = fs::metadata(path).map_err(|error| refuse(error.to_string()))?;
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(refuse("others can read it: chmod 600".to_owned()));
    }
    let text =
        SecretString::from(fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?);
    let line = secrecy::ExposeSecret::expose_secret(&text)
        .lines()
        .next()
        .unwrap_or_default();
    if line.is_empty() {
        return Err(refuse("its first line is empty".to_owned()));
    }
    Ok(line.into())
}

/// The first is the one of XML-RPC, as ever.
fn endpoints(simulator: &Simulator) -> String {
    format!(
        "endpoint {}\nsoap-endpoint {}\nrest-endpoint {}\nmensatek-base {}\n",
        simulator.endpoint(),
        simulator.soap_endpoint(),
        simulator.rest_endpoint(),
        simulator.mensatek_base(),
    )
}

fn printer(show_texts: bool) -> Observer {
    Arc::new(move |event| match event {
        Event::Ended(request) => print(&ended_lines(request, show_texts)),
        Event::Refused(request) => print(&refused_line(request)),
        Event::Called(call) => print(&call_line(call)),
        Event::Reported(report) => print(&report_line(report)),
    })
}

/// Writes whole lines at once. A reader that has gone away is no reason to end: the simulator still answers.
fn print(lines: &str) {
    let mut output = io::stdout().lock();
    let _ = output
        .write_all(lines.as_bytes())
        .and_then(|()| output.flush());
}

fn ended_lines(request: &EndedRequest, show_texts: bool) -> String {
    request
        .messages
        .iter()
        .map(|message| message_line(message, request.ending, show_texts))
        .collect()
}

fn message_line(message: &ReceivedMessage, ending: Ending, show_texts: bool) -> String {
    let answer = match (message.code, ending) {
        (Some(code), _) => code.to_string(),
        (None, Ending::Answered) => "no code".to_owned(),
        (None, Ending::Dropped) => "connection closed".to_owned(),
        (None, Ending::Abandoned) => "client gone".to_owned(),
    };
    // What comes from the wire is escaped: it must not steer a terminal.
    let shown = if show_texts {
        format!(
            "{}  \"{}\"",
            message.phone.expose().escape_debug(),
            message.text.expose().escape_debug()
        )
    } else {
        message.phone.masked()
    };
    format!(
        "{:.3}  request {}  {}  {}  {} → {shown}  {} characters  answer: {answer}\n",
        message.receive_time,
        message.request,
        message.protocol,
        message.login.as_str().escape_debug(),
        message.sender.escape_debug(),
        message.characters,
    )
}

fn call_line(call: &MensatekCall) -> String {
    let answer = match call.res {
        Some(res) => res.to_string(),
        None => "a ZIP".to_owned(),
    };
    format!(
        "request {}  mensatek  {}  {}  answer: {answer}\n",
        call.request,
        call.login.as_str().escape_debug(),
        call.function,
    )
}

fn refused_line(request: &RefusedRequest) -> String {
    let login = match &request.login {
        Some(login) => login.as_str().escape_debug().to_string(),
        None => "unknown log-in".to_owned(),
    };
    format!(
        "request {} refused  {login}  {}\n",
        request.number, request.why
    )
}

fn report_line(report: &SentReport) -> String {
    let ending = match report.ending {
        Some(ReportEnding::Acknowledged) => "acknowledged",
        Some(ReportEnding::GivenUp) => "given up",
        Some(ReportEnding::NotSent) => "not sent: its address is not http on loopback",
        None => "under way",
    };
    let last = match report.last_answer() {
        None => String::new(),
        Some(ReportAnswer::NoConnection) => ", no connection".to_owned(),
        Some(ReportAnswer::NoAnswer) => ", no answer".to_owned(),
        Some(ReportAnswer::Answered { status, code }) => {
            let code = code.map_or_else(|| "none".to_owned(), |code| code.to_string());
            format!(", status {status}, code {code}")
        }
    };
    format!(
        "report on message {}  {}  {}  {}  {}  tries {}{last}  {ending}\n",
        report.message,
        report.protocol,
        report.login.as_str().escape_debug(),
        report.recipient.masked(),
        report.status.escape_debug(),
        report.tries.len(),
    )
}

fn summary(ledger: &Ledger) -> String {
    format!(
        "requests {}, refused {}, messages {}, largest batch {}, most in flight {}, reports {}, acknowledged {}\n",
        ledger.request_count(),
        ledger.refused_count(),
        ledger.message_count(),
        ledger.largest_batch(),
        ledger.max_in_flight_of_all(),
        ledger.report_count(),
        ledger.acknowledged_report_count(),
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        simulate: Simulate,
    }

    fn parse(arguments: &[&str]) -> Simulate {
        let arguments = ["simulate"].iter().chain(arguments);
        Line::parse_from(arguments).simulate
    }

    #[test]
    fn every_account_needs_a_password_file_of_its_own() {
        assert!(parse(&[]).accounts().is_ok());
        for unpaired in [
            &["--account", "a"][..],
            &["--password-file", "x", "--password-file", "y"],
            &["--account", "a", "--account", "b", "--password-file", "x"],
        ] {
            let accounts = parse(unpaired).accounts();
            assert!(
                matches!(accounts, Err(SimulateError::Unpaired)),
                "{unpaired:?}"
            );
        }
    }

    #[test]
    fn a_password_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        fs::write(&path, "secret\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = read_password(&path).unwrap_err().to_string();
        assert!(refused.contains("chmod 600") && !refused.contains("secret"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let password = read_password(&path).unwrap();
        assert_eq!(secrecy::ExposeSecret::expose_secret(&password), "secret");
    }
}
