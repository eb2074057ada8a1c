//! A whole installation: real configuration files, the embedded store on the disk, the service on a free port, and the
//! simulated platform behind one account.
//!
//! Must not know: what is measured.

use std::{
    fs,
    io::Write as _,
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use clave_otp::{
    app::{App, judge_template},
    clock::{Clock, SystemClock},
    config::{Environment, Settings},
    domain::Sender,
    simulator::{Account, Accounts, Action, Gate, Match, Script, Simulator, SimulatorOptions},
    telemetry::{self, names},
};
use metrics_exporter_prometheus::PrometheusHandle;
use tempfile::TempDir;
use tracing_subscriber::filter::LevelFilter;

/// The administration that all codes are for.
pub const ADMINISTRATION: &str = "L01280796";
const LOGIN: &str = "0a1b2c3d-madridtest";
const PASSWORD: &str = "una-clave-de-prueba";

/// Longest time that the lanes may take to submit what a round left behind.
const PATIENCE: Duration = Duration::from_secs(120);

/// Limits are set so high that none of them decides the result.
const SERVICE: &str = r#"[grpc]
listen = "127.0.0.1:0"
max_concurrent_streams = 10000
default_deadline_ms = 120000

[admin]
listen = "127.0.0.1:0"

[store]
url = "sqlite://data/clave-otp.db"
sealing_key_file = "data/sealing.key"

[limits]
queue_per_account = 1000000

[administrations]
directory = "administrations"

[[callers]]
name = "bench"
loopback = true
administrations = ["*"]
roles = ["sender"]
"#;

const MADRID: &str = r#"[administration]
dir3 = "L01280796"
name = "Ayuntamiento de prueba"
nif  = "P2807900B"
default_language = "es"

[[accounts]]
id = "madrid-mn"
gateway = "mensajeria-negocios"
endpoint = "{endpoint}"
api_user = "0a1b2c3d-madridtest"
password_file = "../madrid.password"
senders = ["ClaveMadrid", "217812"]
default_sender = "ClaveMadrid"
request_timeout_ms = 120000

[[aliases]]
alias = "ClaveMadrid"
status = "inscribed"
inscribed_on = 2026-08-03
enabled_gateways = ["mensajeria-negocios"]
"#;

/// The service, its platform and its files.
pub struct Installation {
    directory: TempDir,
    simulator: Simulator,
    metrics: PrometheusHandle,
    /// Where gRPC is served.
    pub address: SocketAddr,
}

/// What the store had done at some moment.
#[derive(Clone, Copy)]
pub struct Commits {
    groups: f64,
    transactions: f64,
}

impl Commits {
    /// Mean number of transactions in one commit since `earlier`.
    pub fn mean_group_since(self, earlier: Self) -> f64 {
        (self.transactions - earlier.transactions) / (self.groups - earlier.groups)
    }
}

impl Installation {
    /// Starts everything; it runs until the program ends.
    pub async fn start(clock: Arc<dyn Clock>) -> Self {
        let sender = |text| Sender::parse(text).expect("a well-formed sender");
        let senders = [sender("ClaveMadrid"), sender("217812")];
        let accounts = Accounts::listed([Account::new(LOGIN, PASSWORD.into(), senders)]);
        let options = SimulatorOptions::new(accounts, clock.clone());
        let simulator = Simulator::start(([127, 0, 0, 1], 0).into(), options)
            .await
            .expect("the platform starts");
        let directory = tempfile::tempdir().expect("a directory for the installation");
        let settings = write_files(directory.path(), &simulator.endpoint());
        let app = App::build(settings, clock)
            .await
            .expect("the service starts");
        let address = app.grpc_address().expect("a bound port has an address");
        tokio::spawn(async move {
            app.run_until_stopped(std::future::pending())
                .await
                .expect("the service serves");
        });
        Self {
            directory,
            simulator,
            // The service has started them: this is the same handle.
            metrics: telemetry::metrics::start().expect("the metrics have been set up"),
            address,
        }
    }

    /// Where the files and the database are.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The platform takes each request in so much time from now on.
    pub fn answer_after(&self, latency: Duration) {
        let script = Script::new().latency(latency);
        self.simulator.play(script).expect("a decidable script");
    }

    /// The platform holds what comes from now on until the gate is opened.
    pub fn hold(&self) -> Gate {
        let gate = Gate::new();
        let script = Script::new().on(Match::always(), Action::Hold(gate.clone()));
        self.simulator.play(script).expect("a decidable script");
        gate
    }

    /// Returns when the platform holds a request, so that the lane waits and submits nothing else.
    pub async fn until_held(&self) {
        self.simulator.ledger().until_held(1).await;
    }

    /// Returns when each delivery that was accepted has been sent and recorded as sent, exactly once.
    pub async fn until_all_sent(&self) {
        let begin = Instant::now();
        loop {
            let text = self.metrics.render();
            let accepted = sum_of(&text, names::DELIVERIES_ACCEPTED, "");
            let ended = sum_of(&text, names::ATTEMPTS, "");
            let sent = sum_of(&text, names::ATTEMPTS, "outcome=\"sent\"");
            assert!((ended - sent).abs() < 0.5, "an attempt did not end as sent");
            if (accepted - sent).abs() < 0.5 {
                return;
            }
            assert!(
                sent < accepted && begin.elapsed() < PATIENCE,
                "{sent} sent of {accepted}"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// What the store has done so far.
    pub fn commits(&self) -> Commits {
        let text = self.metrics.render();
        let of = |end| sum_of(&text, &format!("{}_{end}", names::STORE_GROUP_SIZE), "");
        Commits {
            groups: of("count"),
            transactions: of("sum"),
        }
    }
}

/// Sum of the samples of one metric whose labels hold `label`, from the text that Prometheus reads.
fn sum_of(text: &str, metric: &str, label: &str) -> f64 {
    let samples = text.lines().filter_map(|line| {
        let (name, value) = line.rsplit_once(' ')?;
        let labels = name.strip_prefix(metric)?;
        let same_metric = labels.is_empty() || labels.starts_with('{');
        (same_metric && labels.contains(label)).then(|| value.parse::<f64>().ok())?
    });
    samples.sum()
}

fn write_files(directory: &Path, endpoint: &str) -> Settings {
    let write = |name: &str, text: &str| {
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(directory.join(name))
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .expect("the directory can be written");
    };
    fs::create_dir(directory.join("administrations")).expect("the directory can be written");
    write("madrid.password", PASSWORD);
    write("service.toml", SERVICE);
    write(
        "administrations/madrid.toml",
        &MADRID.replace("{endpoint}", endpoint),
    );
    let nothing_overridden: Environment = std::iter::empty::<(String, String)>().collect();
    let file = directory.join("service.toml");
    let loaded = Settings::load(&file, &nothing_overridden, judge_template);
    loaded.expect("a sound installation").0
}

/// Logs as `serve` does when its output is not a terminal, to nowhere: writing the lines is part of the work.
pub fn start_logging(level: LevelFilter) {
    let nowhere = fs::OpenOptions::new()
        .write(true)
        .open("/dev/null")
        .expect("every Unix has it");
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_max_level(level)
        .with_writer(Mutex::new(nowhere))
        .init();
}

/// The clock of the machine, as the service has it.
pub fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::new())
}
