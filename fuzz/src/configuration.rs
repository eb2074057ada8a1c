//! Whatever people write into the configuration: it is taken as a set that is right, or every mistake is named.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use clave_otp::{
    app::judge_template,
    config::{Environment, Settings},
    domain::Sender,
};
use secrecy::ExposeSecret as _;

/// What no message may show: the password in the file, and the one in the environment.
const CANARY: &str = "hunter2-canary";

/// Where an input may name a file. Its beginning is the service file.
const FILES: [&str; 3] = [
    "service.toml",
    "administrations/a.toml",
    "administrations/b.toml",
];

thread_local! {
    /// Made once: making folders takes longer than reading what is in them.
    static FOLDER: RefCell<Option<tempfile::TempDir>> = const { RefCell::new(None) };
}

/// An input is some files, each begun by a line `=== NAME`; the lines of `=== environment` are variables.
pub fn check(input: &[u8]) {
    FOLDER.with_borrow_mut(|folder| {
        let folder = folder.get_or_insert_with(new_folder).path();
        let environment = lay_out(input, folder);
        let service = folder.join(FILES[0]);
        match Settings::load(&service, &environment, judge_template) {
            Ok((settings, warnings)) => {
                assert!(!format!("{settings:?}").contains(CANARY));
                for warning in warnings {
                    assert_plain(&warning.to_string());
                }
                assert_right(&settings);
            }
            Err(found) => {
                assert!(!found.problems.is_empty(), "refused without a reason");
                for problem in &found.problems {
                    assert!(!problem.file.is_empty() && !problem.key.is_empty());
                    assert_plain(&problem.to_string());
                }
                for warning in &found.warnings {
                    assert_plain(&warning.to_string());
                }
            }
        }
    });
}

fn new_folder() -> tempfile::TempDir {
    // In memory where there is such a place: an input is several files.
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    let folder = made.unwrap();
    for name in ["administrations", "secrets"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    let password: PathBuf = folder.path().join("secrets/p.password");
    fs::write(&password, format!("{CANARY}\n")).unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
    folder
}

fn lay_out(input: &[u8], folder: &Path) -> Environment {
    let mut texts: [Vec<u8>; 3] = Default::default();
    let mut variables = vec![("CANARY_PASSWORD".to_owned(), CANARY.to_owned())];
    let mut place = Some(0);
    for line in input.split_inclusive(|byte| *byte == b'\n') {
        if let Some(name) = line.strip_prefix(b"=== ") {
            place = FILES
                .iter()
                .position(|file| file.as_bytes() == name.trim_ascii_end());
        } else if let Some(place) = place {
            texts[place].extend_from_slice(line);
        } else if let Ok(line) = std::str::from_utf8(line) {
            let (name, value) = line
                .trim_end()
                .split_once('=')
                .unwrap_or((line.trim_end(), ""));
            variables.push((name.to_owned(), value.to_owned()));
        }
    }
    for (file, text) in FILES.iter().zip(texts) {
        fs::write(folder.join(file), text).unwrap();
    }
    variables.into_iter().collect()
}

/// One line that shows no secret.
fn assert_plain(message: &str) {
    assert!(!message.contains(CANARY), "{message}");
    assert!(!message.chars().any(char::is_control), "{message:?}");
}

/// The rules that the rest of the program relies on, in other words than the loader's.
fn assert_right(settings: &Settings) {
    assert!(!settings.administrations.is_empty());
    assert!(settings.grpc.tls.is_some() || settings.grpc.listen.ip().is_loopback());
    let mut dir3s = BTreeSet::new();
    let mut ids = BTreeSet::new();
    let mut principals = Vec::new();
    for administration in &settings.administrations {
        assert!(dir3s.insert(administration.dir3.as_str()), "one DIR3 twice");
        assert!(!administration.accounts.is_empty());
        for account in &administration.accounts {
            assert!(ids.insert(account.id.as_str()), "one account id twice");
            assert!(account.senders.contains(&account.default_sender));
            let aliases = account
                .senders
                .iter()
                .filter(|sender| **sender != Sender::Common);
            assert!(aliases.count() <= 6, "more aliases than the platform takes");
            let password = account.password.expose_secret();
            assert!(!password.is_empty() && !password.chars().any(char::is_control));
            if let Some(principal) = account.principal() {
                principals.push((account.gateway, principal, &account.id));
            }
        }
    }
    for administration in &settings.administrations {
        for account in &administration.accounts {
            for (gateway, principal, of) in &principals {
                let lists = account
                    .senders
                    .contains(&Sender::Alias((*principal).clone()));
                let other = account.id != **of && account.gateway == *gateway;
                assert!(
                    !(other && lists),
                    "the principal alias of {of} in {}",
                    account.id
                );
            }
        }
    }
}
