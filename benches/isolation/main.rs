//! What sick accounts do to the codes of others, from the call to the platform, and to the memory of the service; the promise is
//! that their p99 changes by less than ten per cent.
//!
//! `docs/PERFORMANCE.md` tells how to run it and what it said. The kinds of sickness take turns within each round; only the
//! ratios of one round mean something on a machine that does other things too.

#![allow(
    clippy::disallowed_methods,
    reason = "a measurement reads the clock of the machine itself"
)]

#[path = "../harness.rs"]
mod harness;
mod installation;
mod kind;
mod platform;
mod turn;
mod verdict;

use std::{
    num::{NonZeroU32, NonZeroUsize},
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::{Parser, ValueEnum};

use harness::{Figures, print_table, short};
use kind::{Kind, Wire};
use turn::{Plan, Turn};
use verdict::Verdict;

/// Fewest rounds that can tell anything: the interval of a median needs six.
const FEWEST_ROUNDS: usize = 7;

/// Accept-to-gateway latency of two accounts while others are sick, beside the same load while they are well.
///
/// Ends with 0 where the p99 of both surely changes by less than ten per cent; with 1 where one surely changes by more; with 2 where
/// the machine is too noisy to tell.
#[derive(Debug, Parser)]
#[command(name = "isolation")]
struct Arguments {
    /// Most rounds; all kinds take turns in each. It ends earlier when all is decided.
    #[arg(long, default_value_t = 40)]
    rounds: usize,
    /// Longest time, in minutes: no round begins after it.
    #[arg(long, default_value_t = 25)]
    minutes: u64,
    /// Codes of the measured account over XML-RPC, in a second.
    #[arg(long, default_value = "200")]
    rate: NonZeroU32,
    /// Codes of the measured account over SOAP, in a second: well below what four requests at a time can carry.
    #[arg(long, default_value = "100")]
    soap_rate: NonZeroU32,
    /// Codes of all other accounts together, in a second.
    #[arg(long, default_value = "300")]
    other_rate: NonZeroU32,
    /// How long the loads of one turn last.
    #[arg(long, default_value = "4")]
    seconds: NonZeroU32,
    /// Other administrations, over SOAP and XML-RPC in turns; all of them fall sick, and the last has an account to fail over to.
    #[arg(long, default_value = "4")]
    others: NonZeroUsize,
    /// What a platform that is well takes for a request, in milliseconds.
    #[arg(long, default_value_t = 20)]
    platform_latency_ms: u64,
    /// A smoke run of a few seconds; its figures mean nothing and are not judged.
    #[arg(long)]
    quick: bool,
    /// Only this kind; for a profiler. Nothing is judged.
    #[arg(long)]
    kind: Option<Kind>,
    /// What this process is; given by the benchmark to the processes that it starts.
    #[arg(long, hide = true)]
    part: Option<Part>,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What a process is that the benchmark has started.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Part {
    /// The service and its callers, for one turn.
    Turn,
    /// The simulated platform of a turn.
    Platform,
}

/// What a kind came to in each round.
#[derive(Default)]
struct Measured {
    of_wire: [OfWire; 2],
    memory_at_start: Figures,
    memory_at_peak: Figures,
    memory_at_end: Figures,
    refused: Figures,
    other_messages: Figures,
}

/// What the codes of one measured account came to.
#[derive(Default)]
struct OfWire {
    p50: Figures,
    p99: Figures,
    p99_of_rounds: Vec<f64>,
    all_ms: Vec<f64>,
}

impl Measured {
    #[allow(clippy::cast_precision_loss, reason = "counts of calls are small")]
    fn push(&mut self, turn: Turn) {
        for (of, latencies_ms) in self.of_wire.iter_mut().zip(turn.latencies_ms) {
            of.p50.push(percentile(&latencies_ms, 50));
            let p99 = percentile(&latencies_ms, 99);
            of.p99.push(p99);
            of.p99_of_rounds.push(p99);
            of.all_ms.extend(latencies_ms);
        }
        self.memory_at_start.push(turn.memory_at_start);
        self.memory_at_peak.push(turn.memory_at_peak);
        self.memory_at_end.push(turn.memory_at_end);
        let refused = turn.other_refusals as f64 / turn.other_calls as f64;
        self.refused.push(refused);
        self.other_messages.push(turn.other_messages as f64);
    }
}

/// Of figures in order.
fn percentile(sorted: &[f64], hundredths: usize) -> f64 {
    let index = (sorted.len() * hundredths / 100).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    if arguments.quick {
        arguments.rounds = arguments.rounds.min(1);
        arguments.seconds = arguments.seconds.min(NonZeroU32::MIN);
    }
    let plan = Plan {
        rate: arguments.rate.get(),
        soap_rate: arguments.soap_rate.get(),
        other_rate: arguments.other_rate.get(),
        seconds: arguments.seconds.get(),
        others: arguments.others.get(),
        platform_latency_ms: arguments.platform_latency_ms,
    };
    let kind = arguments.kind.unwrap_or(Kind::Well);
    match arguments.part {
        None => return compare(&arguments, plan),
        Some(Part::Turn) => {
            let turn = turn::run(kind, plan);
            let told = serde_json::to_string(&turn).expect("figures can be written");
            println!("{told}");
        }
        Some(Part::Platform) => tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .expect("the system gives threads")
            .block_on(platform::run(kind, plan.platform_latency_ms, plan.others)),
    }
    ExitCode::SUCCESS
}

fn compare(arguments: &Arguments, plan: Plan) -> ExitCode {
    let mut measured: [Measured; Kind::ALL.len()] = Default::default();
    let begin = Instant::now();
    let longest = Duration::from_secs(arguments.minutes * 60);
    let judged = !arguments.quick && arguments.kind.is_none();
    let mut rounds = 0;
    while rounds < arguments.rounds && begin.elapsed() < longest {
        for turn in 0..Kind::ALL.len() {
            let index = (turn + rounds) % Kind::ALL.len();
            let kind = Kind::ALL[index];
            if arguments.kind.is_none_or(|only| only == kind) {
                measured[index].push(Turn::of(kind, plan));
            }
        }
        rounds += 1;
        let is_decided = |(_, _, verdict): &(_, _, Verdict)| verdict.is_decided();
        if judged && rounds >= FEWEST_ROUNDS && verdicts(&measured).iter().all(is_decided) {
            break;
        }
    }
    for of in measured.iter_mut().flat_map(|of| &mut of.of_wire) {
        of.all_ms.sort_by(f64::total_cmp);
    }
    println!("\n{rounds} rounds; {plan:?}");
    for wire in Wire::BOTH {
        let name = wire.name();
        println!("over {name}, from the call to the platform, in ms; medians (least–greatest)");
        print_table(&table_of_latency(&measured, wire));
    }
    println!("memory of the service and its callers, in MiB; what became of the others' codes");
    print_table(&table_of_memory(&measured));
    if judged {
        judge(&measured)
    } else {
        ExitCode::SUCCESS
    }
}

/// The p99 of each kind of sickness over that of the healthy turns of the same round, for each measured account.
fn verdicts(measured: &[Measured]) -> Vec<(Wire, Kind, Verdict)> {
    let mut verdicts = Vec::new();
    for wire in Wire::BOTH {
        let p99 = |index: usize| &measured[index].of_wire[wire as usize].p99;
        // Both together are a steadier measure than either.
        let mut healthy = Figures::default();
        let rounds = |index: usize| &measured[index].of_wire[wire as usize].p99_of_rounds;
        for (once, again) in rounds(0).iter().zip(rounds(1)) {
            healthy.push(f64::midpoint(*once, *again));
        }
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            let ratios = match kind {
                Kind::Well | Kind::Alone => continue,
                Kind::WellAgain => p99(index).over(p99(0)),
                _ => p99(index).over(&healthy),
            };
            verdicts.push((wire, kind, Verdict::of(&ratios)));
        }
    }
    verdicts
}

fn judge(measured: &[Measured]) -> ExitCode {
    let head = ["", "", "ratio of p99", "95 % between", ""];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let (mut is_above, mut is_open) = (false, false);
    for (wire, kind, verdict) in verdicts(measured) {
        // The same load twice: it says how much the others can be trusted, and has no promise to keep.
        if kind != Kind::WellAgain {
            is_above |= verdict.is_decided() && verdict.is_above();
            is_open |= !verdict.is_decided();
        }
        rows.push(vec![
            wire.name().to_owned(),
            kind.title().to_owned(),
            short(verdict.ratio),
            format!("{} and {}", short(verdict.least), short(verdict.most)),
            verdict.word().to_owned(),
        ]);
    }
    print_table(&rows);
    if is_above {
        println!("isolation: a p99 changes by more than ten per cent for sure");
        ExitCode::from(1)
    } else if is_open {
        println!("isolation: the machine is too noisy to tell; let it run longer, or alone");
        ExitCode::from(2)
    } else {
        println!("isolation: every p99 changes by less than ten per cent for sure");
        ExitCode::SUCCESS
    }
}

fn table_of_latency(measured: &[Measured], wire: Wire) -> Vec<Vec<String>> {
    let head = [
        "",
        "p50",
        "of well",
        "p99",
        "of well",
        "p99 of all",
        "of well",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let well = &measured[0].of_wire[wire as usize];
    for (kind, of) in Kind::ALL.iter().zip(measured) {
        let of = &of.of_wire[wire as usize];
        let (p99, p99_of_well) = (percentile(&of.all_ms, 99), percentile(&well.all_ms, 99));
        rows.push(vec![
            kind.title().to_owned(),
            short(of.p50.median()),
            of.p50.over(&well.p50).spread(),
            of.p99.spread(),
            of.p99.over(&well.p99).spread(),
            short(p99),
            short(p99 / p99_of_well),
        ]);
    }
    rows
}

fn table_of_memory(measured: &[Measured]) -> Vec<Vec<String>> {
    let head = [
        "", "start", "peak", "of well", "end", "of well", "refused", "came",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let well = &measured[0];
    for (kind, of) in Kind::ALL.iter().zip(measured) {
        rows.push(vec![
            kind.title().to_owned(),
            short(of.memory_at_start.median()),
            short(of.memory_at_peak.median()),
            of.memory_at_peak.over(&well.memory_at_peak).spread(),
            short(of.memory_at_end.median()),
            of.memory_at_end.over(&well.memory_at_end).spread(),
            short(of.refused.median()),
            short(of.other_messages.median()),
        ]);
    }
    rows
}
