//! Every rule about configuration, each with the exact line that tells the operator what to do.

mod accounts;
mod administrations;
mod check;
mod mensatek;
mod protocols;
mod robustness;
mod secrets;
mod service;

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use clave_otp::config::{
    AliasPolicy, CallerIdentity, Environment, Settings, StoreLocation, TextLimits,
};
use clave_otp::domain::{Alias, GatewayName, Language, Scope, Sender};
use secrecy::ExposeSecret as _;

const SERVICE: &str = r#"
[grpc]
listen = "127.0.0.1:50051"
[store]
url = "sqlite://data/clave-otp.db"
sealing_key_file = "data/sealing.key"
[administrations]
directory = "administrations"
[[callers]]
name = "backend"
loopback = true
administrations = ["*"]
roles = ["sender"]
"#;

const MADRID: &str = r#"
[administration]
dir3 = "L01280796"
name = "Madrid"
nif = "P2807900B"
[[accounts]]
id = "madrid"
gateway = "mensajeria-negocios"
api_user = "user-madrid"
password_file = "../secrets/madrid.password"
senders = ["ClaveMadrid", "217812"]
[[aliases]]
alias = "ClaveMadrid"
status = "inscribed"
inscribed_on = 2026-08-03
enabled_gateways = ["mensajeria-negocios"]
"#;

const SEVILLA: &str = r#"
[administration]
dir3 = "L01410917"
name = "Sevilla"
nif = "P4109100J"
[[accounts]]
id = "sevilla"
gateway = "mensajeria-negocios"
api_user = "user-sevilla"
password_file = "../secrets/sevilla.password"
senders = ["ClaveSevi"]
[[aliases]]
alias = "ClaveSevi"
status = "draft"
"#;

/// The password in every test; it must never be seen again.
const CANARY: &str = "hunter2-canary";

type Lines = Vec<String>;

/// A set of files in a directory of its own.
struct Set {
    folder: tempfile::TempDir,
    environment: Vec<(String, String)>,
}

impl Set {
    /// A set without a mistake, with two administrations.
    fn new() -> Self {
        let set = Self {
            folder: tempfile::tempdir().unwrap(),
            environment: Vec::new(),
        };
        set.write("service.toml", SERVICE);
        set.write("administrations/a.toml", MADRID);
        set.write("administrations/b.toml", SEVILLA);
        set.write_secret("secrets/madrid.password", CANARY);
        set.write_secret("secrets/sevilla.password", CANARY);
        set
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn write_secret(&self, name: &str, text: &str) {
        self.write(name, text);
        self.mode(name, 0o600);
    }

    fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Changes a text in a file; it must be there.
    fn change(self, file: &str, from: &str, to: &str) -> Self {
        let text = fs::read_to_string(self.path(file)).unwrap();
        assert!(text.contains(from), "{file} has no {from}");
        self.write(file, text.replacen(from, to, 1));
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    fn load(&self) -> Result<(Settings, Lines), (Lines, Lines)> {
        let environment: Environment = self.environment.iter().cloned().collect();
        let lines = |warnings: Vec<_>| warnings.iter().map(ToString::to_string).collect();
        let lines: fn(Vec<clave_otp::config::Warning>) -> Vec<String> = lines;
        match Settings::load(&self.path("service.toml"), &environment, judge_template) {
            Ok((settings, warnings)) => Ok((settings, lines(warnings))),
            Err(found) => {
                let problems = found.problems.iter().map(ToString::to_string).collect();
                Err((problems, lines(found.warnings)))
            }
        }
    }

    fn settings(&self) -> Settings {
        self.load().unwrap_or_else(|found| panic!("{found:?}")).0
    }

    /// The problems; none if the set is good.
    fn problems(&self) -> Vec<String> {
        let problems = self.load().err().unwrap_or_default().0;
        for problem in &problems {
            assert!(!problem.contains("hunter2"), "{problem}");
            assert!(!problem.contains('\n'), "{problem}");
        }
        problems
    }

    fn warnings(&self) -> Vec<String> {
        match self.load() {
            Ok((_, warnings)) | Err((_, warnings)) => warnings,
        }
    }
}

fn judge_template(source: &str, limits: TextLimits) -> Result<(), String> {
    if source.contains("{code}") {
        Ok(())
    } else {
        Err(format!("has no {{code}}; {}", limits.max_segments))
    }
}

/// What is changed: file, text, new text; and the one line that follows.
type Row<'a> = (&'a str, &'a str, &'a str, &'a str);

fn assert_each(rows: &[Row]) {
    for (file, from, to, line) in rows {
        let set = Set::new().change(file, from, to);
        assert_eq!(set.problems(), [*line], "{from} → {to}");
    }
}

const A: &str = "administrations/a.toml";
const B: &str = "administrations/b.toml";
const S: &str = "service.toml";

#[test]
fn a_set_without_a_mistake_is_taken_as_written() {
    let (settings, warnings) = Set::new()
        .load()
        .unwrap_or_else(|found| panic!("{found:?}"));
    assert_eq!(warnings, [""; 0]);
    assert_eq!(settings.grpc.listen.to_string(), "127.0.0.1:50051");
    assert_eq!(settings.grpc.max_message_bytes, 65_536);
    assert_eq!(settings.limits.queue_per_account, 10_000);
    assert_eq!(settings.callers[0].identity, CallerIdentity::Loopback);
    assert_eq!(settings.callers[0].caller.scope, Scope::All);
    let madrid = &settings.administrations[0];
    assert_eq!(madrid.dir3.as_str(), "L01280796");
    assert_eq!(madrid.default_language, Language::Es);
    assert_eq!(madrid.alias_policy, AliasPolicy::Refuse);
    let account = &madrid.accounts[0];
    assert_eq!(account.gateway, GatewayName::MensajeriaNegocios);
    assert_eq!(
        account.endpoint.as_str(),
        "https://www.mensajerianegocios.movistar.es/SrvConexion"
    );
    assert_eq!(account.principal().map(Alias::as_str), Some("ClaveMadrid"));
    assert_eq!(account.default_sender, account.senders[0]);
    assert_eq!(account.senders[1], Sender::Common);
    assert_eq!(account.limits.max_batch.get(), 500);
    assert_eq!(account.international.sender.as_str(), "638444812");
    assert_eq!(account.password.expose_secret(), CANARY);
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn paths_start_at_the_folder_of_the_file_that_names_them() {
    let set = Set::new();
    let settings = set.settings();
    assert_eq!(
        settings.store.location,
        StoreLocation::Sqlite(set.path("data/clave-otp.db"))
    );
    assert_eq!(
        settings.store.sealing_key_file,
        set.path("data/sealing.key")
    );
    let absolute = Set::new().change(S, "sqlite://data", "sqlite:///var/lib");
    assert_eq!(
        absolute.settings().store.location,
        StoreLocation::Sqlite("/var/lib/clave-otp.db".into())
    );
}

#[test]
fn every_mistake_of_the_set_is_reported_at_once() {
    let set = Set::new()
        .change(S, "listen =", "lisen =")
        .change(S, "url = \"sqlite://data/clave-otp.db\"", "")
        .change(A, "P2807900B", "P2807900A")
        .change(
            A,
            "[\"ClaveMadrid\", \"217812\"]",
            "[\"ClaveMadrid\", 7, \"12345\"]",
        )
        .change(B, "gateway = \"mensajeria-negocios\"", "gateway = 5")
        .change(B, "ClaveSevi", "Sí");
    assert_eq!(
        set.problems(),
        [
            "service.toml: grpc.lisen: is an unknown key; did you mean \"listen\"?",
            "administrations/a.toml: accounts[0].senders[1]: must be a text in quotes, not a number",
            "administrations/a.toml: administration.nif: the last character of this NIF does not fit the others: look for a typing error",
            "administrations/a.toml: accounts[0].senders[2]: 217812 is the only numeric sender: use it, or an alias",
            "administrations/b.toml: accounts[0].gateway: must be a text in quotes, not a number",
            "administrations/b.toml: accounts[0].senders[0]: an alias has 3 to 11 characters",
            "service.toml: store.url: is required: give the place of the store, such as sqlite://data/clave-otp.db",
        ]
    );
}

#[test]
fn a_file_that_is_not_toml_tells_its_place_and_the_others_are_checked() {
    let set = Set::new()
        .change(S, "[store]", "[store")
        .change(A, "password_file", "= hunter2 password_file")
        .change(B, "L01410917", "L01410918");
    let problems = set.problems();
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(
        problems[0].starts_with("service.toml: line 4, column "),
        "{problems:?}"
    );
    assert!(
        problems[1].starts_with("administrations/a.toml: line 10, column 25: is not TOML: "),
        "{problems:?}"
    );
    assert_eq!(
        problems[2],
        "administrations/b.toml: administration.dir3: the last digit of this DIR3 code does not fit the others: look for a typing error"
    );
}
