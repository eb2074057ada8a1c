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
/// The administration whose platform reports what became of messages.
pub(super) const SEVILLA: &str = "L01410917";
/// The administration with two accounts, of which the first cannot be reached.
pub(super) const ORGANISMO: &str = "EA0012345";
/// The administration whose account is one of Mensatek.
pub(super) const AVISOS: &str = "EA0012346";
/// That account, and its API user.
pub(super) const AVISOS_ACCOUNT: &str = "avisos-mensatek";
pub(super) const AVISOS_LOGIN: &str = "avisos@demo.test";
/// Where nothing listens.
const NOWHERE: &str = "http://127.0.0.1:1/";
/// A number that the simulated platform rejects, in its own nine digits.
const REJECTED_NUMBER: &str = "600000005";
/// The password of every account.
const PASSWORD: &str = "una-clave-de-prueba";
/// What the platform takes for a request: enough to see batches form.
const LATENCY: Duration = Duration::from_millis(40);

const SERVICE: &str = r#"[grpc]
listen = "127.0.0.1:{port}"

[admin]
listen = "127.0.0.1:0"

# Port 0 takes a free one, and stands for it in the address too.
[reports]
listen = "127.0.0.1:0"
public_url = "http://127.0.0.1:0/reports"

[store]
url = "sqlite://data/clave-otp.db"
sealing_key_file = "data/sealing.key"

[administrations]
directory = "administrations"

[[callers]]
name = "demo"
loopback = true
administrations = ["*"]
roles = ["sender", "operator", "certified"]
"#;

struct Sample {
    dir3: &'static str,
    name: &'static str,
    nif: &'static str,
    alias: &'static str,
    accounts: &'static [SampleAccount],
}

struct SampleAccount {
    id: &'static str,
    protocol: &'static str,
    api_user: &'static str,
    /// The first one is the default.
    senders: [&'static str; 2],
    international: &'static str,
    /// Whether there is a platform behind it; else nothing listens there.
    is_there: bool,
}

/// What most of them have in common; what is empty here is each one's own.
const COMMON: SampleAccount = SampleAccount {
    id: "",
    protocol: "soap",
    api_user: "",
    senders: ["", "217812"],
    international: "enabled = false",
    is_there: true,
};

const MADRID_ACCOUNT: SampleAccount = SampleAccount {
    id: "madrid-mn",
    protocol: "xml-rpc",
    api_user: "0a1b2c3d-madriddem",
    senders: ["ClaveMadrid", "217812"],
    international: "enabled = true\nallowed_regions = [\"PT\", \"FR\"]",
    ..COMMON
};

const BARCELONA_ACCOUNT: SampleAccount = SampleAccount {
    id: "barcelona-mn",
    protocol: "xml-rpc",
    api_user: "4e5f6a7b-barcedemo",
    senders: ["217812", "ClaveBCN"],
    ..COMMON
};

const SEVILLA_ACCOUNT: SampleAccount = SampleAccount {
    id: "sevilla-soap",
    api_user: "7c8d9e0f-sevilldem",
    senders: ["ClaveSevill", "217812"],
    ..COMMON
};

/// The platform of the first account cannot be reached; the second one takes over.
const TWO_ACCOUNTS: [SampleAccount; 2] = [
    SampleAccount {
        id: "organismo-soap",
        api_user: "1a2b3c4d-organidem",
        senders: ["ClaveOrg", "217812"],
        is_there: false,
        ..COMMON
    },
    SampleAccount {
        id: "organismo-rest",
        protocol: "rest",
        api_user: "5e6f7a8b-organidem",
        senders: ["217812", "ClaveOrg2"],
        ..COMMON
    },
];

const AVISOS_SAMPLE: SampleAccount = SampleAccount {
    id: AVISOS_ACCOUNT,
    protocol: "mensatek",
    api_user: AVISOS_LOGIN,
    senders: ["ClaveAvisos", "ClaveAviso2"],
    ..COMMON
};

const SAMPLES: [Sample; 5] = [
    Sample {
        dir3: MADRID,
        name: "Ayuntamiento de Madrid",
        nif: "P2807900B",
        alias: "ClaveMadrid",
        accounts: &[MADRID_ACCOUNT],
    },
    Sample {
        dir3: BARCELONA,
        name: "Ajuntament de Barcelona",
        nif: "P0801900B",
        alias: "ClaveBCN",
        accounts: &[BARCELONA_ACCOUNT],
    },
    Sample {
        dir3: SEVILLA,
        name: "Ayuntamiento de Sevilla",
        nif: "P4109100J",
        alias: "ClaveSevill",
        accounts: &[SEVILLA_ACCOUNT],
    },
    Sample {
        dir3: ORGANISMO,
        name: "Organismo de muestra",
        nif: "Q2826000H",
        alias: "ClaveOrg",
        accounts: &TWO_ACCOUNTS,
    },
    Sample {
        dir3: AVISOS,
        name: "Organismo de avisos",
        nif: "Q2826000H",
        alias: "ClaveAvisos",
        accounts: &[AVISOS_SAMPLE],
    },
];

/// A sample installation in a directory that goes away with it.
pub(super) struct Installation(TempDir);

impl Installation {
    /// Writes the files; the accounts are at this platform.
    pub(super) fn write(platform: &Simulator) -> Result<Self, String> {
        let directory = TempDir::with_prefix("clave-otp-demo-").map_err(|e| e.to_string())?;
        let root = directory.path();
        for folder in ["administrations", "secrets"] {
            fs::create_dir(root.join(folder)).map_err(|e| e.to_string())?;
        }
        for sample in &SAMPLES {
            for account in sample.accounts {
                let secret = root.join(format!("secrets/{}.password", account.id));
                write_private(&secret, PASSWORD)?;
            }
            let file = root.join(format!("administrations/{}.toml", sample.dir3));
            fs::write(&file, sample.toml(platform)).map_err(|e| e.to_string())?;
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
    fn toml(&self, platform: &Simulator) -> String {
        let Self {
            dir3,
            name,
            nif,
            alias,
            accounts,
        } = self;
        let accounts: String = accounts
            .iter()
            .map(|account| account.toml(platform))
            .collect();
        format!(
            r#"[administration]
dir3 = "{dir3}"
name = "{name}"
nif  = "{nif}"
default_language = "es"

{accounts}[[aliases]]
alias = "{alias}"
status = "inscribed"
inscribed_on = 2026-08-03
enabled_gateways = ["mensajeria-negocios", "mensatek"]
"#
        )
    }
}

impl SampleAccount {
    fn toml(&self, platform: &Simulator) -> String {
        let Self {
            id,
            protocol,
            api_user,
            senders: [first, second],
            international,
            ..
        } = self;
        let endpoint = match (self.is_there, *protocol) {
            (false, _) => NOWHERE.to_owned(),
            (true, "soap") => platform.soap_endpoint(),
            (true, "rest") => platform.rest_base(),
            (true, "mensatek") => platform.mensatek_base(),
            (true, _) => platform.endpoint(),
        };
        let gateway = match *protocol {
            "mensatek" => {
                "gateway = \"mensatek\"\ncontact_name = \"Organismo de avisos\"\ncontact_phone = \"900000000\"\n\
                 contact_nif = \"Q2826000H\""
                    .to_owned()
            }
            protocol => format!("gateway = \"mensajeria-negocios\"\nprotocol = \"{protocol}\""),
        };
        format!(
            r#"[[accounts]]
id = "{id}"
{gateway}
endpoint = "{endpoint}"
api_user = "{api_user}"
password_file = "../secrets/{id}.password"
senders = ["{first}", "{second}"]
[accounts.international]
{international}

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
    let accounts = SAMPLES.iter().flat_map(|sample| sample.accounts);
    let accounts = accounts.map(|account| {
        // The samples' senders are parsed again when the configuration is read.
        let senders = account
            .senders
            .iter()
            .filter_map(|sender| Sender::parse(sender).ok());
        Account::new(account.api_user, PASSWORD.into(), senders)
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
