//! The service of one turn: real configuration files with two measured accounts, over XML-RPC and over SOAP, and several others,
//! the embedded store on the disk, a free port.
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

use crate::{
    kind::Wire,
    platform::{self, Endpoints},
};

/// Most deliveries of one account that wait: reached within a second, and several batches long.
pub const QUEUE_LIMIT: usize = 500;

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

const ADMINISTRATION: &str = r#"[administration]
dir3 = "{dir3}"
name = "Organismo de prueba"
nif  = "P2807900B"
default_language = "es"
"#;

/// The time-out lets a slow platform answer and a hanging one be given up within the turn.
const ACCOUNT: &str = r#"
[[accounts]]
id = "{id}"
gateway = "mensajeria-negocios"
protocol = "{protocol}"
endpoint = "{endpoint}"
api_user = "{login}"
password_file = "../account.password"
senders = ["217812"]
default_sender = "217812"
max_in_flight = {places}
connect_timeout_ms = 2500
request_timeout_ms = 2500
[accounts.limits]
max_batch = {batch}
"#;

/// Requests that an account over SOAP has at a time.
pub const SOAP_PLACES: usize = 4;

/// The two accounts that are measured, each of an administration of its own.
pub const MEASURED: [usize; 2] = [0, 900];

/// The service and its files.
pub struct Installation {
    /// Goes with the files.
    _directory: TempDir,
    /// Where gRPC is served.
    pub address: SocketAddr,
}

/// Code of an administration.
pub fn dir3(number: usize) -> String {
    format!("E{number:08}")
}

impl Installation {
    /// Starts the service; it runs until the process ends.
    pub async fn start(endpoints: &Endpoints, others: usize) -> Self {
        log_to_nowhere();
        let directory = tempfile::tempdir().expect("a directory for the installation");
        let settings = write_files(directory.path(), endpoints, others);
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

fn write_files(directory: &Path, endpoints: &Endpoints, others: usize) -> Settings {
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
    let account = |id: String, wire: Wire, login: &str| {
        ACCOUNT
            .replace("{id}", &id)
            .replace("{protocol}", wire.name())
            .replace("{endpoint}", endpoints.of(wire))
            .replace("{login}", login)
            .replace("{places}", &wire.places().to_string())
            .replace("{batch}", &wire.batch().to_string())
    };
    let administration = |number: usize, accounts: &[String]| {
        let dir3 = dir3(number);
        let head = ADMINISTRATION.replace("{dir3}", &dir3);
        let file = format!("administrations/{dir3}.toml");
        write(&file, &(head + &accounts.concat()));
    };
    for (number, wire) in MEASURED.into_iter().zip(Wire::BOTH) {
        let account = account(measured_account(wire), wire, platform::healthy(wire));
        administration(number, &[account]);
    }
    for number in 1..=others {
        let first = account(
            format!("other-{number}"),
            other_wire(number),
            &platform::other(number),
        );
        let mut accounts = vec![first];
        // The last one has an account that is well to fail over to.
        if number == others {
            let second = account("spare".to_owned(), Wire::XmlRpc, platform::SPARE);
            accounts.push(second);
        }
        administration(number, &accounts);
    }
    let nothing_overridden: Environment = std::iter::empty::<(String, String)>().collect();
    let file = directory.join("service.toml");
    let loaded = Settings::load(&file, &nothing_overridden, judge_template);
    loaded.expect("a sound installation").0
}

/// The id of a measured account.
pub fn measured_account(wire: Wire) -> String {
    format!("measured-{}", wire.name())
}

/// What the others speak, in turns.
fn other_wire(number: usize) -> Wire {
    Wire::BOTH[number % Wire::BOTH.len()]
}

impl Wire {
    /// Most messages in one request.
    const fn batch(self) -> usize {
        match self {
            Self::XmlRpc => MAX_BATCH,
            Self::Soap => 1,
        }
    }

    const fn places(self) -> usize {
        match self {
            Self::XmlRpc => 1,
            Self::Soap => SOAP_PLACES,
        }
    }
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
