//! The installation of a chaos run: files as an operator writes them, in a directory that goes away with it.
//!
//! Must not know: what is done with it.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::TempDir;

/// How long the service waits for the platform: long enough that only a fault of the script makes it give up, also on a
/// busy machine.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Not a real one.
pub(super) const PASSWORD: &str = "una-clave-de-prueba";

/// One administration with its account.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) dir3: &'static str,
    pub(super) login: &'static str,
    pub(super) sender: &'static str,
    nif: &'static str,
    account: &'static str,
    alias: &'static str,
}

/// Two, so that one lane's trouble meets another's work.
pub(super) const SAMPLES: [Sample; 2] = [
    Sample {
        dir3: "L01280796",
        login: "0a1b2c3d-madridcha",
        sender: "ClaveMadrid",
        nif: "P2807900B",
        account: "madrid-mn",
        alias: "ClaveMadrid",
    },
    Sample {
        dir3: "L01080193",
        login: "4e5f6a7b-barcecha",
        sender: "217812",
        nif: "P0801900B",
        account: "barcelona-mn",
        alias: "ClaveBCN",
    },
];

const SERVICE: &str = r#"[grpc]
listen = "127.0.0.1:0"

[admin]
listen = "127.0.0.1:0"

[store]
url = "sqlite://data/clave-otp.db"
sealing_key_file = "data/sealing.key"

[administrations]
directory = "administrations"

[[callers]]
name = "chaos"
loopback = true
administrations = ["*"]
roles = ["sender"]
"#;

/// The files.
pub(super) struct Installation(TempDir);

impl Installation {
    /// Writes them; both accounts are at `endpoint`.
    pub(super) fn write(endpoint: &str) -> io::Result<Self> {
        let directory = TempDir::with_prefix("clave-otp-chaos-")?;
        let root = directory.path();
        fs::create_dir(root.join("administrations"))?;
        fs::write(root.join("service.toml"), SERVICE)?;
        for sample in &SAMPLES {
            write_private(&root.join(format!("{}.password", sample.account)))?;
            let file = root.join(format!("administrations/{}.toml", sample.dir3));
            fs::write(file, sample.toml(endpoint))?;
        }
        Ok(Self(directory))
    }

    pub(super) fn service_file(&self) -> PathBuf {
        self.0.path().join("service.toml")
    }

    /// Where the service writes its log.
    pub(super) fn log_file(&self) -> PathBuf {
        self.0.path().join("service.log")
    }

    /// Keeps the directory for whoever wants to look at it.
    pub(super) fn keep(self) -> PathBuf {
        self.0.keep()
    }
}

impl Sample {
    fn toml(&self, endpoint: &str) -> String {
        let Self {
            dir3,
            login,
            sender,
            nif,
            account,
            alias,
        } = self;
        let timeout = REQUEST_TIMEOUT.as_millis();
        format!(
            r#"[administration]
dir3 = "{dir3}"
name = "Ayuntamiento de prueba"
nif  = "{nif}"
default_language = "es"

[[accounts]]
id = "{account}"
gateway = "mensajeria-negocios"
endpoint = "{endpoint}"
api_user = "{login}"
password_file = "../{account}.password"
senders = ["{alias}", "217812"]
default_sender = "{sender}"
request_timeout_ms = {timeout}
on_uncertain = "hold"

[[aliases]]
alias = "{alias}"
status = "inscribed"
inscribed_on = 2026-08-03
enabled_gateways = ["mensajeria-negocios"]
"#
        )
    }
}

fn write_private(path: &Path) -> io::Result<()> {
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?
        .write_all(PASSWORD.as_bytes())
}
