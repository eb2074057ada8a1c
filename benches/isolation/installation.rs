//! The service of one turn: real configuration files with one measured account and several others, the embedded store on the
//! disk, a free port.
//!
//! Must not know: what is measured, how the platform fares.

use std::{
    fs, future,
    io::Write as _,
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::{Arc, Mutex},
};

use clave_otp::{
    app::{App, judge_template},
    clock::SystemClock,
    config::{Environment, Settings},
};
use tempfile::TempDir;
use tracing_subscriber::filter::LevelFilter;

use crate::platform;

/// Most deliveries of one account that wait: reached within a second, and several batches long.
pub const QUEUE_LIMIT: usize = 2_000;

/// Most messages in one request, so few that a sick account's queue stays full for the whole turn.
pub const MAX_BATCH: usize = 100;

const SERVICE: &str = r#"[grpc]
listen = "127.0.0.1:0"

[admin]
listen = "127.0.0.1:0"

[store]
url = "sqlite://data/clave-otp.db"
sealing_key_file = "data/sealing.key"

[limits]
queue_per_account = {queue}

[administrations]
directory = "administrations"

[[callers]]
name = "bench"
loopback = true
administrations = ["*"]
roles = ["sender"]
"#;

/// The time-out lets a slow platform answer and a hanging one be given up within the turn.
const ADMINISTRATION: &str = r#"[administration]
dir3 = "{dir3}"
name = "Organismo de prueba"
nif  = "P2807900B"
default_language = "es"

[[accounts]]
id = "mn-{number}"
gateway = "mensajeria-negocios"
endpoint = "{endpoint}"
api_user = "{login}"
password_file = "../account.password"
senders = ["217812"]
default_sender = "217812"
connect_timeout_ms = 2500
request_timeout_ms = 2500

[accounts.limits]
max_batch = {batch}
"#;

/// The service and its files.
pub struct Installation {
    /// Goes with the files.
    _directory: TempDir,
    /// Where gRPC is served.
    pub address: SocketAddr,
}

/// Code of an administration; that of the measured account has the number 0.
pub fn dir3(number: usize) -> String {
    format!("E{number:08}")
}

impl Installation {
    /// Starts the service; it runs until the process ends.
    pub async fn start(endpoint: &str, others: usize) -> Self {
        log_to_nowhere();
        let directory = tempfile::tempdir().expect("a directory for the installation");
        let settings = write_files(directory.path(), endpoint, others);
        let app = App::build(settings, Arc::new(SystemClock::new()))
            .await
            .expect("the service starts");
        let address = app.grpc_address().expect("a bound port has an address");
        tokio::spawn(async move {
            app.run_until_stopped(future::pending())
                .await
                .expect("the service serves");
        });
        Self {
            _directory: directory,
            address,
        }
    }
}

fn write_files(directory: &Path, endpoint: &str, others: usize) -> Settings {
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
    write("account.password", "una-clave-de-prueba");
    let service = SERVICE.replace("{queue}", &QUEUE_LIMIT.to_string());
    write("service.toml", &service);
    for number in 0..=others {
        let login = match number {
            0 => platform::HEALTHY.to_owned(),
            other => platform::other(other),
        };
        let text = ADMINISTRATION
            .replace("{number}", &number.to_string())
            .replace("{dir3}", &dir3(number))
            .replace("{endpoint}", endpoint)
            .replace("{login}", &login)
            .replace("{batch}", &MAX_BATCH.to_string());
        write(&format!("administrations/{}.toml", dir3(number)), &text);
    }
    let nothing_overridden: Environment = std::iter::empty::<(String, String)>().collect();
    let file = directory.join("service.toml");
    let loaded = Settings::load(&file, &nothing_overridden, judge_template);
    loaded.expect("a sound installation").0
}

/// Logs as `serve` does when its output is not a terminal, to nowhere: a sick account also costs the lines it causes.
fn log_to_nowhere() {
    let nowhere = fs::OpenOptions::new()
        .write(true)
        .open("/dev/null")
        .expect("every Unix has it");
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_max_level(LevelFilter::INFO)
        .with_writer(Mutex::new(nowhere))
        .init();
}
