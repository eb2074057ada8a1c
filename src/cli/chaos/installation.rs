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

/// How long the service waits for the platform: long enough that only a fault of the script makes it give up, also on a
/// busy machine.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a lane rests at most after failures: about as long as a life.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// Not a real one.
pub(super) const PASSWORD: &str = "una-clave-de-prueba";

/// Requests that an account over SOAP has at a time.
const SOAP_PLACES: usize = 4;

/// What an account is spoken to in; each has a platform of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Wire {
    /// Many messages in a request, one request at a time, no reports.
    XmlRpc,
    /// One message in a request, several requests at a time, reports.
    Soap,
}

impl Wire {
    #[cfg(test)]
    pub(super) const BOTH: [Self; 2] = [Self::XmlRpc, Self::Soap];

    /// As `protocol` of an account.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::XmlRpc => "xml-rpc",
            Self::Soap => "soap",
        }
    }

    /// Most requests of an account at a time.
    pub(super) const fn places(self) -> usize {
        match self {
            Self::XmlRpc => 1,
            Self::Soap => SOAP_PLACES,
        }
    }
}

/// One administration with its two accounts, in the order in which they are written.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) dir3: &'static str,
    nif: &'static str,
    pub(super) accounts: [Contract; 2],
}

/// One account.
#[derive(Debug)]
pub(super) struct Contract {
    pub(super) account: &'static str,
    pub(super) wire: Wire,
    pub(super) login: &'static str,
    /// Its own alias, and whether it holds 217812 too.
    alias: &'static str,
    has_common: bool,
    default_sender: &'static str,
    /// The sender under which a code of its administration goes out here: the default of the first account where this one holds
    /// it too, else its own.
    pub(super) sender: &'static str,
}

/// Two, so that one lane's trouble meets another's work; each has an account at either platform, the other way round.
pub(super) static SAMPLES: [Sample; 2] = [
    Sample {
        dir3: "L01280796",
        nif: "P2807900B",
        accounts: [
            Contract {
                account: "madrid-mn",
                wire: Wire::XmlRpc,
                login: "0a1b2c3d-madridcha",
                alias: "ClaveMadrid",
                has_common: true,
                default_sender: "ClaveMadrid",
                sender: "ClaveMadrid",
            },
            Contract {
                account: "madrid-soap",
                wire: Wire::Soap,
                login: "1b2c3d4e-madridsoa",
                alias: "MadridClave",
                has_common: false,
                default_sender: "MadridClave",
                sender: "MadridClave",
            },
        ],
    },
    Sample {
        dir3: "L01080193",
        nif: "P0801900B",
        accounts: [
            Contract {
                account: "barcelona-soap",
                wire: Wire::Soap,
                login: "5f6a7b8c-barcesoap",
                alias: "ClaveBCN",
                has_common: true,
                default_sender: "217812",
                sender: "217812",
            },
            Contract {
                account: "barcelona-mn",
                wire: Wire::XmlRpc,
                login: "4e5f6a7b-barcecha",
                alias: "BCNClave",
                has_common: true,
                default_sender: "BCNClave",
                sender: "217812",
            },
        ],
    },
];

/// The accounts at one platform.
pub(super) fn contracts_of(wire: Wire) -> impl Iterator<Item = &'static Contract> {
    let all = SAMPLES.iter().flat_map(|sample| &sample.accounts);
    all.filter(move |contract| contract.wire == wire)
}

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
roles = ["sender"]
"#;

/// The files.
pub(super) struct Installation(TempDir);

impl Installation {
    /// Writes them; the accounts are at the `endpoint` of their protocol.
    pub(super) fn write(endpoint: impl Fn(Wire) -> String) -> io::Result<Self> {
        let directory = TempDir::with_prefix("clave-otp-chaos-")?;
        let root = directory.path();
        fs::create_dir(root.join("administrations"))?;
        let service = SERVICE.replace("{port}", &free_port()?.to_string());
        fs::write(root.join("service.toml"), service)?;
        for sample in &SAMPLES {
            for contract in &sample.accounts {
                write_private(&root.join(format!("{}.password", contract.account)))?;
            }
            let file = root.join(format!("administrations/{}.toml", sample.dir3));
            fs::write(file, sample.toml(&endpoint))?;
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
    fn toml(&self, endpoint: impl Fn(Wire) -> String) -> String {
        let Self {
            dir3,
            nif,
            accounts,
        } = self;
        let mut toml = format!(
            r#"[administration]
dir3 = "{dir3}"
name = "Ayuntamiento de prueba"
nif  = "{nif}"
default_language = "es"
"#
        );
        for contract in accounts {
            toml.push_str(&contract.toml(&endpoint(contract.wire)));
        }
        toml
    }
}

impl Contract {
    /// Whether it is the account of this resource name.
    pub(super) fn is(&self, name: &str) -> bool {
        name.strip_prefix("accounts/") == Some(self.account)
    }

    fn toml(&self, endpoint: &str) -> String {
        let Self {
            account,
            wire,
            login,
            alias,
            has_common,
            default_sender,
            ..
        } = self;
        let common = if *has_common { ", \"217812\"" } else { "" };
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
senders = ["{alias}"{common}]
default_sender = "{default_sender}"
max_in_flight = {places}
request_timeout_ms = {timeout}
on_uncertain = "hold"
[accounts.limits]
max_rest_seconds = {rest}

[[aliases]]
alias = "{alias}"
status = "inscribed"
inscribed_on = 2026-08-03
enabled_gateways = ["mensajeria-negocios"]
"#
        )
    }
}

/// A port for the reports, which stays over all lives: the platform has been told the address. It lies below those that the
/// system gives to connections, so that none of them can hold it while the service is down.
fn free_port() -> io::Result<u16> {
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
        .ok_or_else(|| io::Error::other("no port is free for the reports"))
}

fn write_private(path: &Path) -> io::Result<()> {
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?
        .write_all(PASSWORD.as_bytes())
}
