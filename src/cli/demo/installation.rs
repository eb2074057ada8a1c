//! The sample installation of the demo: files as an operator writes them, and the platform they point to.

use std::{
    fs, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path, sync::Arc, time::Duration,
};

use tempfile::TempDir;

use crate::{
    cli::configuration,
    clock::Clock,
    config::Settings,
    domain::Sender,
    simulator::{
        Account, Accounts, Action, Match, Script, Simulator, SimulatorOptions, codes::WRONG_NUMBER,
    },
};

/// The administration whose account has an alias.
pub(super) const MADRID: &str = "L01280796";
/// The administration that sends with the common number.
pub(super) const BARCELONA: &str = "L01080193";
/// A number that the simulated platform rejects, in its own nine digits.
const REJECTED_NUMBER: &str = "600000005";
/// What the platform takes for a request: enough to see batches form.
const LATENCY: Duration = Duration::from_millis(40);

const SERVICE: &str = r#"[grpc]
listen = "127.0.0.1:{port}"

[admin]
listen = "127.0.0.1:0"

[store]
url = "sqlite://data/clave-otp.db"
sealing_key_file = "data/sealing.key"

[administrations]
directory = "administrations"

[[callers]]
name = "demo"
loopback = true
administrations = ["*"]
roles = ["sender"]
"#;

struct Sample {
    dir3: &'static str,
    name: &'static str,
    nif: &'static str,
    account: &'static str,
    api_user: &'static str,
    password: &'static str,
    senders: [&'static str; 2],
    default_sender: &'static str,
    international: &'static str,
}

const SAMPLES: [Sample; 2] = [
    Sample {
        dir3: MADRID,
        name: "Ayuntamiento de Madrid",
        nif: "P2807900B",
        account: "madrid-mn",
        api_user: "0a1b2c3d-madriddem",
        password: "una-clave-de-prueba",
        senders: ["ClaveMadrid", "217812"],
        default_sender: "ClaveMadrid",
        international: "enabled = true\nallowed_regions = [\"PT\", \"FR\"]",
    },
    Sample {
        dir3: BARCELONA,
        name: "Ajuntament de Barcelona",
        nif: "P0801900B",
        account: "barcelona-mn",
        api_user: "4e5f6a7b-barcedemo",
        password: "otra-clave-de-prueba",
        senders: ["ClaveBCN", "217812"],
        default_sender: "217812",
        international: "enabled = false",
    },
];

/// A sample installation in a directory that goes away with it.
pub(super) struct Installation(TempDir);

impl Installation {
    /// Writes the files; both accounts are at `endpoint`.
    pub(super) fn write(endpoint: &str) -> Result<Self, String> {
        let directory = TempDir::with_prefix("clave-otp-demo-").map_err(|e| e.to_string())?;
        let root = directory.path();
        for folder in ["administrations", "secrets"] {
            fs::create_dir(root.join(folder)).map_err(|e| e.to_string())?;
        }
        for sample in &SAMPLES {
            let secret = root.join(format!("secrets/{}.password", sample.account));
            write_private(&secret, sample.password)?;
            let file = root.join(format!("administrations/{}.toml", sample.dir3));
            fs::write(&file, sample.toml(endpoint)).map_err(|e| e.to_string())?;
        }
        Ok(Self(directory))
    }

    /// Where the files are.
    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Reads the files as `serve` does.
    pub(super) fn settings(&self, port: u16) -> Result<Settings, String> {
        let file = self.path().join("service.toml");
        let text = SERVICE.replace("{port}", &port.to_string());
        fs::write(&file, text).map_err(|e| e.to_string())?;
        configuration::read(&file).map_err(|problems| problems.to_string())
    }
}

impl Sample {
    fn toml(&self, endpoint: &str) -> String {
        let Self {
            dir3,
            name,
            nif,
            account,
            api_user,
            senders: [first, second],
            default_sender,
            international,
            ..
        } = self;
        format!(
            r#"[administration]
dir3 = "{dir3}"
name = "{name}"
nif  = "{nif}"
default_language = "es"

[[accounts]]
id = "{account}"
gateway = "mensajeria-negocios"
endpoint = "{endpoint}"
api_user = "{api_user}"
password_file = "../secrets/{account}.password"
senders = ["{first}", "{second}"]
default_sender = "{default_sender}"
[accounts.international]
{international}

[[aliases]]
alias = "{first}"
status = "inscribed"
inscribed_on = 2026-08-03
enabled_gateways = ["mensajeria-negocios"]
"#
        )
    }
}

fn write_private(path: &Path, secret: &str) -> Result<(), String> {
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(secret.as_bytes()))
        .map_err(|error| error.to_string())
}

/// A simulated platform that knows the sample accounts and rejects one number.
pub(super) async fn platform(clock: Arc<dyn Clock>) -> Result<Simulator, String> {
    let accounts = SAMPLES.iter().map(|sample| {
        // The samples' senders are parsed again when the configuration is read.
        let senders = sample
            .senders
            .iter()
            .filter_map(|sender| Sender::parse(sender).ok());
        Account::new(sample.api_user, sample.password.into(), senders)
    });
    let script = Script::new()
        .latency(LATENCY)
        .on(Match::phone(REJECTED_NUMBER), Action::Code(WRONG_NUMBER));
    let options = SimulatorOptions::new(Accounts::listed(accounts), clock).script(script);
    let loopback = ([127, 0, 0, 1], 0).into();
    Simulator::start(loopback, options)
        .await
        .map_err(|error| error.to_string())
}
