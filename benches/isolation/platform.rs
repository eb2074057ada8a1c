//! The simulated platform as a process of its own, so that its memory and its threads are not counted as the service's: well
//! to the first account, as the turn wants to all others.
//!
//! Must not know: the service, what is measured.

use std::{
    collections::HashMap,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    process::{Child, ChildStdout, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use clave_otp::{
    clock::SystemClock,
    simulator::{Accounts, Action, Gate, Match, Script, Simulator, SimulatorOptions},
};
use jiff::Timestamp;

use crate::kind::Kind;

/// The log-in of the account that is measured.
pub const HEALTHY: &str = "00000000-healthy";

/// How long a slow platform takes.
const SLOW: Duration = Duration::from_secs(2);

/// Size of an answer that floods, in megabytes.
const FLOOD_MEGABYTES: u32 = 10;

/// The log-in of one of the other accounts, counted from 1.
pub fn other(number: usize) -> String {
    format!("{number:08}-another")
}

/// What the platform has seen, told when it ends.
pub struct Seen {
    /// When each phone of the healthy account came, by its digits as on the wire.
    pub healthy: HashMap<u32, Timestamp>,
    /// Messages of the other accounts that came.
    pub from_others: u64,
    /// Most requests of one account at one time.
    pub most_in_flight: usize,
}

/// The platform's process, as its parent sees it.
pub struct Platform {
    process: Child,
    lines: BufReader<ChildStdout>,
    /// URL of the entrance.
    pub endpoint: String,
}

impl Platform {
    /// Starts this program a second time, as the platform.
    pub fn start(kind: Kind, latency_ms: u64, others: usize) -> Self {
        let program = std::env::current_exe().expect("a program knows where it is");
        let mut process = Command::new(program)
            .args(["--part", "platform", "--kind", kind.name()])
            .args(["--platform-latency-ms", &latency_ms.to_string()])
            .args(["--others", &others.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts again");
        let stdout = process.stdout.take().expect("the output was asked for");
        let mut lines = BufReader::new(stdout);
        let mut endpoint = String::new();
        lines.read_line(&mut endpoint).expect("the platform speaks");
        Self {
            process,
            lines,
            endpoint: endpoint.trim_end().to_owned(),
        }
    }

    /// Ends it; what it has seen.
    pub fn end(mut self) -> Seen {
        // The end of its input is the sign to end.
        drop(self.process.stdin.take());
        let mut told = String::new();
        self.lines
            .read_to_string(&mut told)
            .expect("the platform speaks to its end");
        let ended = self.process.wait().expect("the platform ends");
        assert!(ended.success(), "the platform failed: {ended}");
        let mut lines = told.lines();
        let mut count = || -> u64 {
            let line = lines.next().expect("the platform tells its counts");
            line.parse().expect("a count")
        };
        let (from_others, most_in_flight) = (count(), count());
        let healthy = lines.map(|line| {
            let (phone, micros) = line.split_once(' ').expect("a phone and a time");
            let micros = micros.parse().expect("a time");
            let time = Timestamp::from_microsecond(micros).expect("a time of these years");
            (phone.parse().expect("nine digits"), time)
        });
        Seen {
            healthy: healthy.collect(),
            from_others,
            most_in_flight: usize::try_from(most_in_flight).expect("a small count"),
        }
    }
}

/// Is the platform until the input ends.
pub async fn run(kind: Kind, latency_ms: u64, others: usize) {
    let options = SimulatorOptions::new(Accounts::anyone(None), Arc::new(SystemClock::new()))
        .script(script(kind, Duration::from_millis(latency_ms), others))
        .keep_all_messages();
    let simulator = Simulator::start(([127, 0, 0, 1], 0).into(), options)
        .await
        .expect("the platform starts");
    println!("{}", simulator.endpoint());
    tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink()))
        .await
        .expect("a thread that reads")
        .expect("the input can be read");
    let ledger = simulator.ledger();
    let messages = ledger.messages();
    let (healthy, of_others): (Vec<_>, Vec<_>) = messages
        .iter()
        .partition(|message| message.login.as_str() == HEALTHY);
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut tell = |line: String| writeln!(out, "{line}").expect("the parent listens");
    tell(of_others.len().to_string());
    tell(ledger.max_in_flight_of_all().to_string());
    for message in healthy {
        tell(format!(
            "{} {}",
            message.phone.expose(),
            message.receive_time.as_microsecond()
        ));
    }
    out.flush().expect("the parent listens");
}

fn script(kind: Kind, latency: Duration, others: usize) -> Script {
    let action = match kind {
        Kind::Alone | Kind::Well | Kind::WellAgain => None,
        Kind::Hanging => Some(Action::Hold(Gate::new())),
        Kind::Slow => Some(Action::Delay(SLOW)),
        Kind::Refusing => Some(Action::HttpStatus {
            status: 503,
            retry_after: None,
        }),
        Kind::Flooding => Some(Action::Flood {
            megabytes: FLOOD_MEGABYTES,
        }),
    };
    let mut script = Script::new().latency(latency);
    for number in 1..=others {
        if let Some(action) = &action {
            script = script.on(Match::login(&other(number)), action.clone());
        }
    }
    script
}
