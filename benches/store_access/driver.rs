//! The load and the table that both packages share, so that only the access library differs.

#![allow(
    clippy::disallowed_methods,
    reason = "a measurement reads the clock itself"
)]

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// The most accepts one transaction takes: it bounds how long the last of a group waits.
pub const MAX_GROUP: usize = 512;

/// What the channel to the writer holds: more than the largest concurrency, so that it never decides the result.
pub const QUEUE: usize = 1024;

/// A commit returns only once the log is on the disk; both stores apply these and then check them.
pub const PRAGMAS: &str =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000;";

/// `journal_mode` and `synchronous` as SQLite reports them once [`PRAGMAS`] hold.
pub const DURABLE: (&str, i64) = ("wal", 2);

pub const SCHEMA: &str = "
CREATE TABLE deliveries (
    seq              INTEGER PRIMARY KEY,
    id               BLOB    NOT NULL UNIQUE,
    caller           TEXT    NOT NULL,
    request_id       BLOB    NOT NULL,
    fingerprint      BLOB    NOT NULL,
    administration   TEXT    NOT NULL,
    account          TEXT    NOT NULL,
    state            INTEGER NOT NULL,
    sealed_text      BLOB    NOT NULL,
    sealed_recipient BLOB    NOT NULL,
    recipient_hmac   BLOB    NOT NULL,
    accepted_at      INTEGER NOT NULL,
    expires_at       INTEGER NOT NULL,
    next_attempt_at  INTEGER NOT NULL,
    attempts         INTEGER NOT NULL,
    segments         INTEGER NOT NULL,
    UNIQUE (caller, request_id)
) STRICT;
CREATE INDEX deliveries_waiting ON deliveries (account, seq) WHERE state = 1;
";

/// Answers the new `seq`, or no row where the caller has already sent this request.
#[allow(dead_code, reason = "each package uses its own of the two inserts")]
pub const INSERT: &str = "
INSERT INTO deliveries (id, caller, request_id, fingerprint, administration, account, state,
    sealed_text, sealed_recipient, recipient_hmac, accepted_at, expires_at, next_attempt_at,
    attempts, segments)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
ON CONFLICT (caller, request_id) DO NOTHING
RETURNING seq";

/// What a repeated request is answered with.
pub const SELECT_EXISTING: &str =
    "SELECT id, fingerprint FROM deliveries WHERE caller = ?1 AND request_id = ?2";

/// The point read of a status query.
pub const SELECT_STATUS: &str = "SELECT state, attempts, expires_at FROM deliveries WHERE id = ?1";

pub const COUNT: &str = "SELECT count(*) FROM deliveries";

pub type Id = [u8; 16];

/// One row, with the sizes the service writes.
#[derive(Clone)]
pub struct Delivery {
    pub id: Id,
    pub caller: String,
    pub request_id: [u8; 16],
    pub fingerprint: [u8; 32],
    pub administration: String,
    pub account: String,
    pub state: i64,
    pub sealed_text: Vec<u8>,
    pub sealed_recipient: Vec<u8>,
    pub recipient_hmac: [u8; 32],
    pub accepted_at: i64,
    pub expires_at: i64,
    pub next_attempt_at: i64,
    pub attempts: i64,
    pub segments: i64,
}

/// How an accept ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    Stored { seq: i64 },
    Existing { id: Id, fingerprint: [u8; 32] },
}

/// An accept on its way to the writer, answered after the commit that holds it.
pub struct Accept {
    pub delivery: Delivery,
    pub answer: oneshot::Sender<Outcome>,
}

/// What a status query reads.
pub struct Status {
    pub state: i64,
    pub attempts: i64,
    pub expires_at: i64,
}

/// What is measured: a store that answers an accept once it is durable.
pub trait Store: Send + Sync + 'static {
    fn accept(&self, delivery: Delivery) -> impl Future<Output = Outcome> + Send;
    fn status(&self, id: Id) -> impl Future<Output = Option<Status>> + Send;
    fn rows(&self) -> impl Future<Output = i64> + Send;
    /// The transactions committed so far: accepts over commits is the size of a group.
    fn commits(&self) -> u64;
}

/// One run, as the command line gives it: `<variant> <concurrency> <accepts> <reads: 0|1>`.
pub struct Run {
    pub variant: String,
    concurrency: u64,
    accepts: u64,
    reads: bool,
}

impl Run {
    pub fn from_args() -> Self {
        let args: Vec<String> = std::env::args().skip(1).collect();
        let [variant, concurrency, accepts, reads] = args.as_slice() else {
            panic!("usage: <variant> <concurrency> <accepts> <reads: 0|1>");
        };
        Self {
            variant: variant.clone(),
            concurrency: concurrency.parse().expect("concurrency is a number"),
            accepts: accepts.parse().expect("accepts is a number"),
            reads: reads == "1",
        }
    }

    /// Loads `store`, checks every answer, and prints one line of tab-separated figures.
    pub async fn measure<S: Store>(&self, store: S) {
        let store = Arc::new(store);
        // Untimed: fills the statement caches, and gives the reader rows to find.
        let known = write(&store, 0, WARM_UP, self.concurrency).await.ids;

        let stop = Arc::new(AtomicBool::new(false));
        let reader = self
            .reads
            .then(|| tokio::spawn(read(Arc::clone(&store), known, Arc::clone(&stop))));
        let commits = store.commits();
        let cpu = cpu_time();
        let start = Instant::now();
        let written = write(&store, WARM_UP, self.accepts, self.concurrency).await;
        let elapsed = start.elapsed();
        let cpu = cpu_time() - cpu;
        let commits = store.commits() - commits;
        stop.store(true, Ordering::Relaxed);
        let reads = match reader {
            Some(reader) => reader.await.expect("the reader ends by itself"),
            None => Vec::new(),
        };

        let rows = u64::try_from(store.rows().await).expect("a count is not negative");
        let expected = WARM_UP + self.accepts - written.repeats;
        assert_eq!(rows, expected, "every accept answered as stored is a row");

        let (accept_p50, accept_p99) = percentiles(written.latencies);
        let (read_p50, read_p99) = percentiles(reads);
        #[allow(clippy::cast_precision_loss, reason = "counts far below 2^52")]
        let (accepts, commits) = (self.accepts as f64, commits as f64);
        println!(
            "{}\t{}\t{}\t{:.0}\t{accept_p50:.0}\t{accept_p99:.0}\t{:.1}\t{:.1}\t{read_p50:.0}\t{read_p99:.0}",
            self.variant,
            self.concurrency,
            u8::from(self.reads),
            accepts / elapsed.as_secs_f64(),
            cpu.as_secs_f64() * 1e6 / accepts,
            accepts / commits,
        );
    }
}

const WARM_UP: u64 = 2_000;

/// One request in this many is sent again, so that the answer to a repeat is part of the load.
const REPEAT_EVERY: u64 = 100;

/// Never in the warm-up: what a repeat repeats is from there, and so certain to be stored.
fn is_repeat(n: u64) -> bool {
    n >= WARM_UP && n.is_multiple_of(REPEAT_EVERY)
}

/// What the `n`th accept repeats: one of the warm-up.
fn first_of(n: u64) -> Delivery {
    delivery(n / REPEAT_EVERY % WARM_UP)
}

struct Written {
    latencies: Vec<Duration>,
    ids: Vec<Id>,
    repeats: u64,
}

/// `count` accepts by `concurrency` tasks, each of which waits for one answer before it sends the next.
async fn write<S: Store>(store: &Arc<S>, from: u64, count: u64, concurrency: u64) -> Written {
    let next = Arc::new(AtomicU64::new(from));
    let tasks: Vec<_> = (0..concurrency)
        .map(|_| {
            let (store, next) = (Arc::clone(store), Arc::clone(&next));
            tokio::spawn(async move {
                let mut latencies = Vec::new();
                let mut ids = Vec::new();
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= from + count {
                        return (latencies, ids);
                    }
                    let mut accept = delivery(n);
                    let id = accept.id;
                    if is_repeat(n) {
                        // As a caller's retry arrives: the same request, for which an id was drawn anew.
                        accept = Delivery { id, ..first_of(n) };
                    }
                    let start = Instant::now();
                    let outcome = store.accept(accept).await;
                    latencies.push(start.elapsed());
                    if is_repeat(n) {
                        let first = first_of(n);
                        let (id, fingerprint) = (first.id, first.fingerprint);
                        assert_eq!(outcome, Outcome::Existing { id, fingerprint });
                    } else {
                        assert!(matches!(outcome, Outcome::Stored { seq } if seq > 0));
                        ids.push(id);
                    }
                }
            })
        })
        .collect();
    let mut written = Written {
        latencies: Vec::new(),
        ids: Vec::new(),
        repeats: (from..from + count).map(|n| u64::from(is_repeat(n))).sum(),
    };
    for task in tasks {
        let (latencies, ids) = task.await.expect("every accept is answered");
        written.latencies.extend(latencies);
        written.ids.extend(ids);
    }
    written
}

/// Point reads at a steady pace beside the writes: slow enough not to be a load of their own.
async fn read<S: Store>(store: Arc<S>, known: Vec<Id>, stop: Arc<AtomicBool>) -> Vec<Duration> {
    let mut latencies = Vec::new();
    let mut pace = tokio::time::interval(Duration::from_millis(1));
    let mut random = Random(7);
    while !stop.load(Ordering::Relaxed) {
        pace.tick().await;
        let index = usize::try_from(random.next()).expect("a 64-bit machine") % known.len();
        let start = Instant::now();
        let status = store.status(known[index]).await.expect("the row is there");
        latencies.push(start.elapsed());
        assert!(status.state == 1 && status.attempts == 0 && status.expires_at > 0);
    }
    latencies
}

/// The `n`th delivery, the same in every run.
fn delivery(n: u64) -> Delivery {
    let mut random = Random(n.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let accepted_at = 1_700_000_000_000 + i64::try_from(n).expect("a small number");
    Delivery {
        id: random.bytes(),
        caller: format!("caller-{:02}", n % 8),
        request_id: random.bytes(),
        fingerprint: random.bytes(),
        administration: format!("E{:08}", n % 16),
        account: format!("account-{:02}", n % 16),
        state: 1,
        sealed_text: random.bytes::<150>().to_vec(),
        sealed_recipient: random.bytes::<45>().to_vec(),
        recipient_hmac: random.bytes(),
        accepted_at,
        expires_at: accepted_at + 300_000,
        next_attempt_at: accepted_at,
        attempts: 0,
        segments: 1,
    }
}

/// `SplitMix64`: enough to spread keys over the index, and no dependency.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
        bytes
    }
}

/// The median and the 99th percentile, in microseconds; zeros where nothing was measured.
fn percentiles(mut latencies: Vec<Duration>) -> (f64, f64) {
    if latencies.is_empty() {
        return (0.0, 0.0);
    }
    latencies.sort_unstable();
    let at = |percent: usize| latencies[(latencies.len() - 1) * percent / 100].as_secs_f64() * 1e6;
    (at(50), at(99))
}

/// The processor time of the whole process: less moved by the neighbours of a shared machine than elapsed time.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let (_, fields) = stat
        .rsplit_once(')')
        .expect("the command is in parentheses");
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u64>().expect("utime and stime are numbers"))
        .sum();
    // Linux counts these in hundredths of a second on every architecture the service runs on.
    Duration::from_millis(ticks * 10)
}

/// A fresh directory for the database, removed with it.
pub struct TempDir(PathBuf);

impl TempDir {
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("store-access-{}", std::process::id()));
        std::fs::create_dir(&path).expect("a fresh directory");
        Self(path)
    }

    pub fn database(&self) -> PathBuf {
        Path::join(&self.0, "deliveries.db")
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
