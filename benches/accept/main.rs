//! How many codes a second the service takes through gRPC, each on the disk before it is answered, beside a bare tonic
//! echo of the same message.
//!
//! `docs/PERFORMANCE.md` tells how to run it and what it said. The variants take turns within each round; only the ratios
//! of one round mean something on a machine that does other things too.

#![allow(
    clippy::disallowed_methods,
    reason = "a measurement reads the clock of the machine itself"
)]

mod echo;
#[path = "../harness.rs"]
mod harness;
mod installation;
mod load;

use std::{
    fs::{self, OpenOptions},
    num::NonZeroUsize,
    os::unix::fs::FileExt as _,
    path::Path,
    time::{Duration, Instant},
};

use clap::{Parser, ValueEnum};
use tracing_subscriber::filter::LevelFilter;

use harness::{Figures, print_table, short};
use installation::Installation;
use load::{Callers, Requests, Round};

/// Accepts per second through gRPC with durable commit, beside a bare tonic echo.
#[derive(Debug, Parser)]
#[command(name = "accept")]
struct Arguments {
    /// Rounds; all variants take turns in each.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Calls of each variant in a round.
    #[arg(long, default_value = "8000")]
    count: NonZeroUsize,
    /// Calls of each variant in a round that come one at a time.
    #[arg(long, default_value = "400")]
    single: NonZeroUsize,
    /// Connections.
    #[arg(long, default_value = "4")]
    connections: NonZeroUsize,
    /// Callers on each connection, each with one call in flight.
    #[arg(long, default_value = "64")]
    callers: NonZeroUsize,
    /// What the platform takes for a request where lanes send, in milliseconds.
    #[arg(long, default_value_t = 100)]
    platform_latency_ms: u64,
    /// Least level of the service's log lines, which are written as `serve` writes them, to nowhere.
    #[arg(long, default_value = "info")]
    log: LevelFilter,
    /// Only this variant, for a profiler.
    #[arg(long)]
    only: Option<Variant>,
    /// A smoke run of a few seconds; its figures mean nothing.
    #[arg(long)]
    quick: bool,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

const QUICK_COUNT: NonZeroUsize = NonZeroUsize::new(1000).expect("is not zero");
const QUICK_SINGLE: NonZeroUsize = NonZeroUsize::new(50).expect("is not zero");
/// Calls at a time on one connection that the echo takes, as many as the service is set to.
const MOST_CALLS_ON_A_CONNECTION: u32 = 10_000;

/// What takes turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Variant {
    /// The bare tonic server.
    Echo,
    /// The service; the lane waits for its platform all the time.
    Accept,
    /// The service; the lane sends meanwhile.
    AcceptAndSend,
}

impl Variant {
    const ALL: [Self; 3] = [Self::Echo, Self::Accept, Self::AcceptAndSend];

    const fn title(self) -> &'static str {
        match self {
            Self::Echo => "bare echo",
            Self::Accept => "accept",
            Self::AcceptAndSend => "accept, lane sending",
        }
    }
}

/// All that is running.
struct Stage {
    service: Installation,
    to_service: Callers,
    to_echo: Callers,
    requests: Requests,
    platform_latency: Duration,
}

/// What a variant came to in each round.
#[derive(Debug, Default)]
struct Measured {
    rate: Figures,
    p50: Figures,
    p99: Figures,
    cpu: Figures,
    group: Figures,
    flush: Figures,
}

impl Measured {
    fn push(&mut self, round: &Round) {
        self.rate.push(round.calls_per_second);
        self.p50.push(round.p50_ms);
        self.p99.push(round.p99_ms);
        self.cpu.push(round.cpu_us);
    }
}

fn main() {
    let mut arguments = Arguments::parse();
    if arguments.quick {
        arguments.rounds = arguments.rounds.min(2);
        arguments.count = arguments.count.min(QUICK_COUNT);
        arguments.single = arguments.single.min(QUICK_SINGLE);
    }
    installation::start_logging(arguments.log);
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("the system gives threads")
        .block_on(run(&arguments));
}

async fn run(arguments: &Arguments) {
    let Arguments {
        rounds,
        count,
        connections,
        callers,
        ..
    } = *arguments;
    let single_count = arguments.single.get();
    let mut stage = Stage::set(arguments).await;
    let mut many: [Measured; 3] = Default::default();
    let mut single: [Measured; 3] = Default::default();
    // The zeroth warms up: connections, caches, the first pages of the database.
    for round in 0..=rounds {
        for turn in 0..Variant::ALL.len() {
            let index = (turn + round) % Variant::ALL.len();
            let variant = Variant::ALL[index];
            if arguments.only.is_some_and(|only| only != variant) {
                continue;
            }
            let (of_many, group) = stage.play(variant, count.get(), false).await;
            let (of_single, _) = stage.play(variant, single_count, true).await;
            let flush = flush_ms(stage.service.path(), single_count);
            if round > 0 {
                many[index].push(&of_many);
                many[index].group.push(group);
                single[index].push(&of_single);
                single[index].flush.push(flush);
            }
        }
    }
    println!(
        "\n{rounds} rounds of {count} calls, {connections} connections with {callers} callers each; medians (least–greatest)"
    );
    print_table(&table_of_many(&many));
    println!("{rounds} rounds of {single_count} calls, one at a time; medians (least–greatest)");
    print_table(&table_of_single(&single));
}

impl Stage {
    async fn set(arguments: &Arguments) -> Self {
        let clock = installation::clock();
        let service = Installation::start(clock.clone()).await;
        let life_seconds = 25 * 60;
        let mut requests = Requests::expiring_at(prost_types::Timestamp {
            seconds: clock.now().as_second() + life_seconds,
            nanos: 0,
        });
        let (connections, callers) = (arguments.connections.get(), arguments.callers.get());
        let to_service = Callers::connect(service.address, connections, callers).await;
        let answer = to_service.call(requests.one()).await;
        let echo = echo::start(answer, MOST_CALLS_ON_A_CONNECTION).await;
        Self {
            to_service,
            to_echo: Callers::connect(echo, connections, callers).await,
            service,
            requests,
            platform_latency: Duration::from_millis(arguments.platform_latency_ms),
        }
    }

    /// One variant's turn, after which nothing is under way; with the mean group size of the store's commits.
    async fn play(&mut self, variant: Variant, count: usize, one_at_a_time: bool) -> (Round, f64) {
        let requests = self.requests.take(count);
        let callers = match variant {
            Variant::Echo => &self.to_echo,
            Variant::Accept | Variant::AcceptAndSend => &self.to_service,
        };
        let mut gate = None;
        match variant {
            Variant::Echo => {}
            Variant::AcceptAndSend => self.service.answer_after(self.platform_latency),
            Variant::Accept => {
                gate = Some(self.service.hold());
                self.to_service.call(self.requests.one()).await;
                self.service.until_held().await;
            }
        }
        let before = self.service.commits();
        let round = if one_at_a_time {
            callers.round_of_one(requests).await
        } else {
            callers.round(requests).await
        };
        let group = self.service.commits().mean_group_since(before);
        self.service.answer_after(Duration::ZERO);
        if let Some(gate) = gate {
            gate.open();
        }
        self.service.until_all_sent().await;
        (round, group)
    }
}

/// Median time to write 4 KiB in place beside the database and flush them, in milliseconds: what any durable answer costs.
fn flush_ms(directory: &Path, count: usize) -> f64 {
    let path = directory.join("flushed");
    // As the write-ahead log is once it has been gone through: the room is there and is written again.
    fs::write(&path, [0; 4096]).expect("the directory can be written");
    let file = OpenOptions::new()
        .write(true)
        .open(path)
        .expect("the file was just written");
    file.sync_all().expect("the disk can be flushed");
    let mut figures = Figures::default();
    for _ in 0..count {
        let begin = Instant::now();
        file.write_all_at(&[1; 4096], 0).expect("the room is there");
        file.sync_data().expect("the disk can be flushed");
        figures.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    figures.median()
}

fn table_of_many(measured: &[Measured; 3]) -> Vec<Vec<String>> {
    let head = [
        "", "calls/s", "of echo", "p50 ms", "p99 ms", "CPU µs", "of echo", "group",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let [echo, ..] = measured;
    for (variant, of) in Variant::ALL.iter().zip(measured) {
        rows.push(vec![
            variant.title().to_owned(),
            short(of.rate.median()),
            of.rate.over(&echo.rate).spread(),
            short(of.p50.median()),
            short(of.p99.median()),
            short(of.cpu.median()),
            of.cpu.over(&echo.cpu).spread(),
            // The echo has no store.
            match variant {
                Variant::Echo => "–".to_owned(),
                Variant::Accept | Variant::AcceptAndSend => short(of.group.median()),
            },
        ]);
    }
    rows
}

fn table_of_single(measured: &[Measured; 3]) -> Vec<Vec<String>> {
    let head = [
        "",
        "p50 ms",
        "of echo",
        "p99 ms",
        "a flush ms",
        "of a flush",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let [echo, ..] = measured;
    for (variant, of) in Variant::ALL.iter().zip(measured) {
        rows.push(vec![
            variant.title().to_owned(),
            short(of.p50.median()),
            of.p50.over(&echo.p50).spread(),
            short(of.p99.median()),
            short(of.flush.median()),
            of.p50.over(&of.flush).spread(),
        ]);
    }
    rows
}
