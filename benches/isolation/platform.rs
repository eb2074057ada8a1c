//! The simulated platform as a process of its own, so that its memory and its threads are not counted as the service's: well
//! to the measured accounts and the spare one, as the turn wants to all others.
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

use crate::{
    installation::SOAP_PLACES,
    kind::{Kind, Wire},
};

/// The log-in of the account that one of the others may fail over to.
pub const SPARE: &str = "00000000-spare";

/// The log-in of a measured account.
pub const fn healthy(wire: Wire) -> &'static str {
    match wire {
        Wire::XmlRpc => "00000000-healthy-xml-rpc",
        Wire::Soap => "00000000-healthy-soap",
    }
}

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
    /// When each phone of the measured accounts came, by its digits as on the wire.
    pub healthy: HashMap<u32, Timestamp>,
    /// Messages of the other accounts that came.
    pub from_others: u64,
}

/// URLs of the entrances.
pub struct Endpoints {
    xml_rpc: String,
    soap: String,
}

impl Endpoints {
    /// That of one protocol.
    pub fn of(&self, wire: Wire) -> &str {
        match wire {
            Wire::XmlRpc => &self.xml_rpc,
            Wire::Soap => &self.soap,
        }
    }
}

/// The platform's process, as its parent sees it.
pub struct Platform {
    process: Child,
    lines: BufReader<ChildStdout>,
    /// Where it is.
    pub endpoints: Endpoints,
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
        let mut endpoint = || {
            let mut line = String::new();
            lines.read_line(&mut line).expect("the platform speaks");
            line.trim_end().to_owned()
        };
        let endpoints = Endpoints {
            xml_rpc: endpoint(),
            soap: endpoint(),
        };
        Self {
            process,
            lines,
            endpoints,
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
        let from_others = count();
        for wire in Wire::BOTH {
            let most = usize::try_from(count()).expect("a small count");
            assert!(most <= wire.most_in_flight(), "{wire:?}: {most} at a time");
        }
        let healthy = lines.map(|line| {
            let (phone, micros) = line.split_once(' ').expect("a phone and a time");
            let micros = micros.parse().expect("a time");
            let time = Timestamp::from_microsecond(micros).expect("a time of these years");
            (phone.parse().expect("nine digits"), time)
        });
        Seen {
            healthy: healthy.collect(),
            from_others,
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
    println!("{}", simulator.soap_endpoint());
    tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink()))
        .await
        .expect("a thread that reads")
        .expect("the input can be read");
    let ledger = simulator.ledger();
    let messages = ledger.messages();
    let (measured, of_others): (Vec<_>, Vec<_>) = messages.iter().partition(|message| {
        let login = message.login.as_str();
        Wire::BOTH.iter().any(|wire| login == healthy(*wire))
    });
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut tell = |line: String| writeln!(out, "{line}").expect("the parent listens");
    tell(of_others.len().to_string());
    for wire in Wire::BOTH {
        tell(ledger.max_in_flight(healthy(wire)).to_string());
    }
    for message in measured {
        tell(format!(
            "{} {}",
            message.phone.expose(),
            message.receive_time.as_microsecond()
        ));
    }
    out.flush().expect("the parent listens");
}

impl Wire {
    /// Most requests of an account at a time.
    const fn most_in_flight(self) -> usize {
        match self {
            Self::XmlRpc => 1,
            Self::Soap => SOAP_PLACES,
        }
    }
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
