//! The service as a process: started, listened to, killed.
//!
//! Must not know: what the service is asked.

use std::{
    fs,
    io::{Read as _, Seek as _, SeekFrom},
    net::SocketAddr,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, ChildStdout, Command},
};

use super::installation::Installation;
use crate::{crash_points::CrashAt, telemetry::logs};

/// Longest wait for a start or an orderly end; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// How to start the service.
#[derive(Debug)]
pub(super) struct Starter {
    program: PathBuf,
    service_file: PathBuf,
    authority_file: PathBuf,
    log_file: PathBuf,
}

/// One life of the service. Dropping it kills the process.
#[derive(Debug)]
pub(super) struct Service {
    process: Child,
    /// Where it takes calls, once it has said so.
    listens_on: Option<SocketAddr>,
    /// Kept open to the end: a service that cannot print would end by itself.
    output: Option<BufReader<ChildStdout>>,
    log_file: PathBuf,
}

impl Starter {
    /// Starts this very program.
    pub(super) fn new(installation: &Installation) -> Result<Self, String> {
        Ok(Self {
            program: std::env::current_exe().map_err(|error| format!("own path: {error}"))?,
            service_file: installation.service_file(),
            authority_file: installation.authority_file(),
            log_file: installation.log_file(),
        })
    }

    pub(super) fn start(&self, crash_at: Option<CrashAt>) -> Result<Service, String> {
        let failed = |error| format!("cannot start the service: {error}");
        let log = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(&self.log_file)
            .map_err(failed)?;
        let mut command = Command::new(&self.program);
        command
            // Settings of whoever runs this must not reach the service.
            .env_clear()
            // How exchanges with the platforms fail is looked for afterwards.
            .env(logs::FILTER_VARIABLE, "warn,clave_otp::gateway::http=debug")
            // The accounts name the run's authority themselves; this stands for the system's, which take long to read.
            .env("SSL_CERT_FILE", &self.authority_file)
            .arg("serve")
            .arg("--config")
            .arg(&self.service_file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true);
        if let Some(crash) = crash_at {
            command.arg("--crash-at").arg(crash.to_string());
        }
        let mut process = command.spawn().map_err(failed)?;
        Ok(Service {
            output: process.stdout.take().map(BufReader::new),
            process,
            listens_on: None,
            log_file: self.log_file.clone(),
        })
    }

    /// How long the log is, in bytes.
    pub(super) fn log_length(&self) -> u64 {
        fs::metadata(&self.log_file).map_or(0, |log| log.len())
    }

    /// How many lines the log has had since it was so long that hold one of these words.
    pub(super) fn told_since(&self, length: u64, words: &[&str]) -> usize {
        let mut news = Vec::new();
        let read = fs::File::open(&self.log_file).and_then(|mut log| {
            log.seek(SeekFrom::Start(length))?;
            log.read_to_end(&mut news)
        });
        // What cannot be read has not been told; the run then says what is missing.
        let _ = read;
        let news = String::from_utf8_lossy(&news);
        let tells = |line: &&str| words.iter().any(|word| line.contains(word));
        news.lines().filter(tells).count()
    }
}

impl Service {
    /// Returns its gRPC address when it listens; `None` when it ended before.
    pub(super) async fn address(&mut self) -> Result<Option<SocketAddr>, String> {
        let Some(output) = &mut self.output else {
            return Err("the service has no standard output".into());
        };
        let mut line = String::new();
        let read = tokio::time::timeout(PATIENCE, output.read_line(&mut line)).await;
        match read {
            Err(_) => Err(self.problem("does not start")),
            Ok(Err(error)) => Err(error.to_string()),
            Ok(Ok(0)) => Ok(None),
            Ok(Ok(_)) => {
                self.listens_on = line
                    .split("grpc ")
                    .nth(1)
                    .and_then(|rest| rest.split(',').next())
                    .and_then(|address| address.parse().ok());
                self.listens_on().map(Some)
            }
        }
    }

    /// The same, after it has listened.
    pub(super) fn listens_on(&self) -> Result<SocketAddr, String> {
        self.listens_on
            .ok_or_else(|| self.problem("does not say where it listens"))
    }

    /// Returns when it has ended by itself, at a crash point.
    pub(super) async fn ended(&mut self) -> Result<(), String> {
        let status = self.process.wait().await.map_err(|e| e.to_string())?;
        self.must_be_killed(status)
    }

    /// SIGKILL. An end of any other kind is a fault of the service.
    pub(super) async fn kill(mut self) -> Result<(), String> {
        // An error says that it has ended already; how, is looked at below.
        let _ = self.process.start_kill();
        self.ended().await
    }

    /// SIGSTOP: it stands still, and nobody is told.
    pub(super) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT: it goes on, and the time that has passed is gone.
    pub(super) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let id = self.process.id().and_then(|id| i32::try_from(id).ok());
        if let Some(id) = id.and_then(Pid::from_raw) {
            // An error says that it has ended already; how, is looked at when it is waited for.
            let _ = kill_process(id, signal);
        }
    }

    /// SIGTERM, after which it must end well.
    pub(super) async fn stop(mut self) -> Result<(), String> {
        self.signal(Signal::TERM);
        match tokio::time::timeout(PATIENCE, self.process.wait()).await {
            Err(_) => Err(self.problem("does not end after SIGTERM")),
            Ok(Err(error)) => Err(error.to_string()),
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => {
                Err(self.problem(&format!("did not end well after SIGTERM ({status})")))
            }
        }
    }

    fn must_be_killed(&self, status: ExitStatus) -> Result<(), String> {
        if status.signal() == Some(Signal::KILL.as_raw()) {
            Ok(())
        } else {
            Err(self.problem(&format!("ended by itself ({status})")))
        }
    }

    fn problem(&self, what: &str) -> String {
        format!(
            "the service {what}; its last words: {}",
            last_line(&self.log_file)
        )
    }
}

/// The last line of the log that is no mere detail; by promise it holds no secret.
fn last_line(file: &Path) -> String {
    let log = fs::read_to_string(file).unwrap_or_default();
    let mut lines = log.lines().filter(|line| !line.contains("\"DEBUG\""));
    lines.next_back().unwrap_or("none").to_owned()
}
