//! What a sick account does to the codes of another one, from the call to the platform, and to the memory of the service.
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

use std::num::{NonZeroU32, NonZeroUsize};

use clap::{Parser, ValueEnum};

use harness::{Figures, print_table, short};
use kind::Kind;
use turn::{Plan, Turn};

/// Accept-to-gateway latency of one account while others are sick, beside the same load while they are well.
#[derive(Debug, Parser)]
#[command(name = "isolation")]
struct Arguments {
    /// Rounds; all kinds take turns in each.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Codes of the measured account, in a second.
    #[arg(long, default_value = "300")]
    rate: NonZeroU32,
    /// Codes of all other accounts together, in a second.
    #[arg(long, default_value = "400")]
    other_rate: NonZeroU32,
    /// How long the loads of one turn last.
    #[arg(long, default_value = "4")]
    seconds: NonZeroU32,
    /// Other accounts; all of them fall sick.
    #[arg(long, default_value = "4")]
    others: NonZeroUsize,
    /// What a platform that is well takes for a request, in milliseconds.
    #[arg(long, default_value_t = 20)]
    platform_latency_ms: u64,
    /// A smoke run of a few seconds; its figures mean nothing.
    #[arg(long)]
    quick: bool,
    /// Only this kind; for a profiler.
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
    p50: Figures,
    p99: Figures,
    all_ms: Vec<f64>,
    memory_at_start: Figures,
    memory_at_peak: Figures,
    memory_at_end: Figures,
    refused: Figures,
    other_messages: Figures,
}

impl Measured {
    #[allow(clippy::cast_precision_loss, reason = "counts of calls are small")]
    fn push(&mut self, turn: Turn) {
        self.p50.push(percentile(&turn.latencies_ms, 50));
        self.p99.push(percentile(&turn.latencies_ms, 99));
        self.all_ms.extend(turn.latencies_ms);
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

fn main() {
    let mut arguments = Arguments::parse();
    if arguments.quick {
        arguments.rounds = arguments.rounds.min(1);
        arguments.seconds = arguments.seconds.min(NonZeroU32::MIN);
    }
    let plan = Plan {
        rate: arguments.rate.get(),
        other_rate: arguments.other_rate.get(),
        seconds: arguments.seconds.get(),
        others: arguments.others.get(),
        platform_latency_ms: arguments.platform_latency_ms,
    };
    let kind = arguments.kind.unwrap_or(Kind::Well);
    match arguments.part {
        None => compare(&arguments, plan),
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
}

fn compare(arguments: &Arguments, plan: Plan) {
    let mut measured: [Measured; Kind::ALL.len()] = Default::default();
    let mut most_in_flight = 0;
    for round in 0..arguments.rounds {
        for turn in 0..Kind::ALL.len() {
            let index = (turn + round) % Kind::ALL.len();
            let kind = Kind::ALL[index];
            if arguments.kind.is_some_and(|only| only != kind) {
                continue;
            }
            let turn = Turn::of(kind, plan);
            most_in_flight = most_in_flight.max(turn.most_in_flight);
            measured[index].push(turn);
        }
    }
    for of in &mut measured {
        of.all_ms.sort_by(f64::total_cmp);
    }
    println!("\n{} rounds; {plan:?}", arguments.rounds);
    println!("from the call to the platform, in ms; medians (least–greatest)");
    print_table(&table_of_latency(&measured));
    println!("memory of the service and its callers, in MiB; what became of the others' codes");
    print_table(&table_of_memory(&measured));
    println!("most requests of one account at one time: {most_in_flight}");
}

fn table_of_latency(measured: &[Measured]) -> Vec<Vec<String>> {
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
    let well = &measured[0];
    for (kind, of) in Kind::ALL.iter().zip(measured) {
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
