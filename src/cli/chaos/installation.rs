//! The installation of a chaos run: files as an operator writes them, in a directory that goes away with it.
//!
//! Must not know: what is done with it.

use std::{
    fs, io,
    io::Write as _,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::TempDir;

use super::samples::{Contract, SAMPLES, Sample, Wire};
use crate::{domain::Reason, simulator::codes::ASSUMED_WRONG_LOGIN};

/// How long the service waits for the platform: long enough that only a fault of the script makes it give up, also on a
/// busy machine.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a lane rests at most after failures: about as long as a life.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// Not a real one.
pub(super) const PASSWORD: &str = "una-clave-de-prueba";

/// Under this name nothing is ever found (RFC 6761).
pub(super) const NOBODY: &str = "gateway.invalid";

const SERVICE: &str = r#"[grpc]
listen = "127.0.0.1:0"

[admin]
listen = "127.0.0.1:0"

[reports]
listen = "127.0.0.1:{port}"
public_url = "http://127.0.0.1:{port}/reports"

[store]
url = "sqlite://data/clave-otp.db"
sealing_key_file = "data/sealing.key"

[administrations]
directory = "administrations"

[[callers]]
name = "chaos"
loopback = true
administrations = ["*"]
roles = ["sender", "operator"]
"#;

/// The files.
pub(super) struct Installation {
    directory: TempDir,
}

impl Installation {
    /// Writes them; the accounts are at the `endpoint` of their protocol, and those over TLS trust this authority.
    pub(super) fn write(
        endpoint: impl Fn(Wire) -> String,
        authority_pem: &str,
    ) -> io::Result<Self> {
        let directory = TempDir::with_prefix("clave-otp-chaos-")?;
        let root = directory.path();
        fs::create_dir(root.join("administrations"))?;
        let service = SERVICE.replace("{port}", &free_port()?.to_string());
        fs::write(root.join("service.toml"), service)?;
        fs::write(root.join("ca.pem"), authority_pem)?;
        for contract in SAMPLES.iter().flat_map(|sample| &sample.accounts) {
            write_private(&root.join(format!("{}.password", contract.account)))?;
        }
        let installation = Self { directory };
        installation.point_to(endpoint)?;
        Ok(installation)
    }

    /// Writes where the accounts' platforms are; it counts from the next start on.
    pub(super) fn point_to(&self, endpoint: impl Fn(Wire) -> String) -> io::Result<()> {
        let directory = self.directory.path().join("administrations");
        SAMPLES.iter().try_for_each(|sample| {
            let file = directory.join(format!("{}.toml", sample.dir3));
            fs::write(file, administration(sample, &endpoint))
        })
    }

    pub(super) fn service_file(&self) -> PathBuf {
        self.directory.path().join("service.toml")
    }

    pub(super) fn authority_file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// Where the service writes its log.
    pub(super) fn log_file(&self) -> PathBuf {
        self.directory.path().join("service.log")
    }

    /// Keeps the directory for whoever wants to look at it.
    pub(super) fn keep(self) -> PathBuf {
        self.directory.keep()
    }
}

fn administration(sample: &Sample, endpoint: impl Fn(Wire) -> String) -> String {
    let Sample { dir3, nif, .. } = sample;
    let mut toml = format!(
        r#"[administration]
dir3 = "{dir3}"
name = "Ayuntamiento de prueba"
nif  = "{nif}"
default_language = "es"
"#
    );
    for contract in &sample.accounts {
        toml.push_str(&account(contract, sample.resends, &endpoint(contract.wire)));
    }
    toml
}

fn account(contract: &Contract, resends: bool, endpoint: &str) -> String {
    let Contract {
        account,
        wire,
        login,
        alias,
        has_common,
        default_sender,
        ..
    } = contract;
    let common = if *has_common { ", \"217812\"" } else { "" };
    let on_uncertain = if resends { "resend_once" } else { "hold" };
    let authority = if endpoint.starts_with("https://") {
        "extra_ca_file = \"../ca.pem\"\n"
    } else {
        ""
    };
    // What the platform's code for a wrong log-in is has not been published: an operator would have been told.
    let codes = match wire {
        Wire::XmlRpc => format!(
            "[accounts.codes]\n\"{ASSUMED_WRONG_LOGIN}\" = {{ reason = \"{}\", effect = \"credentials\" }}\n",
            Reason::GATEWAY_CREDENTIALS_REJECTED
        ),
        Wire::Soap => String::new(),
    };
    let (protocol, places) = (wire.as_str(), wire.places());
    let timeout = REQUEST_TIMEOUT.as_millis();
    let rest = LONGEST_REST.as_secs();
    format!(
        r#"
[[accounts]]
id = "{account}"
gateway = "mensajeria-negocios"
protocol = "{protocol}"
endpoint = "{endpoint}"
api_user = "{login}"
password_file = "../{account}.password"
{authority}senders = ["{alias}"{common}]
default_sender = "{default_sender}"
max_in_flight = {places}
request_timeout_ms = {timeout}
on_uncertain = "{on_uncertain}"
[accounts.limits]
max_rest_seconds = {rest}
{codes}
[[aliases]]
alias = "{alias}"
status = "inscribed"
inscribed_on = 2026-08-03
enabled_gateways = ["mensajeria-negocios"]
"#
    )
}

/// A port that stays over all lives, as that for the reports, whose address the platform has been told. It lies below those that
/// the system gives to connections, so that none of them can hold it while nobody listens.
pub(super) fn free_port() -> io::Result<u16> {
    let ports = 20_000..30_000_u16;
    let start = uuid::Uuid::new_v4().as_u128() % ports.len() as u128;
    // Below the length, which fits.
    let start = usize::try_from(start).unwrap_or_default();
    ports
        .clone()
        .cycle()
        .skip(start)
        .take(ports.len())
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .ok_or_else(|| io::Error::other("no port from 20000 to 29999 is free"))
}

fn write_private(path: &Path) -> io::Result<()> {
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?
        .write_all(PASSWORD.as_bytes())
}
