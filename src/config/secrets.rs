//! Files that hold secrets: who may read them, and how they get into memory.
//!
//! Must not know: what a secret is for.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::{
    environment::Environment, findings::At, password_file::PasswordFile, tree::cannot_be_read,
};

/// Longest secret, in bytes; a longer file is certainly not one.
const MAX_SECRET_BYTES: usize = 4096;

/// Shortest API password that the platform takes, in characters (guide, 2.2: "mínimo 8 caracteres").
const MIN_PASSWORD_CHARACTERS: usize = 8;

/// Shorter ones are taken with a warning, in characters.
const GOOD_PASSWORD_CHARACTERS: usize = 12;

/// Who may read a secret file besides its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readers {
    /// Nobody.
    OwnerAlone,
    /// The group too: systemd shows the access list of a credential as group permission, in a directory of its own.
    NotOthers,
}

/// A regular file that can be opened and that only its owner can read; `None` after reporting.
pub(super) fn open_private(path: &Path, readers: Readers, at: &At) -> Option<File> {
    let forbidden = match readers {
        Readers::OwnerAlone => 0o077,
        Readers::NotOthers => 0o007,
    };
    let open = || -> io::Result<Option<(File, u32)>> {
        // Asked before opening: opening a pipe would wait for its writer.
        if !fs::metadata(path)?.is_file() {
            return Ok(None);
        }
        let file = File::open(path)?;
        let mode = file.metadata()?.permissions().mode();
        Ok(Some((file, mode)))
    };
    match open() {
        Ok(Some((_, mode))) if mode & forbidden != 0 => {
            at.problem(format_args!(
                "can be read or changed by others (mode {:04o}): chmod 600 {}",
                mode & 0o7777,
                path.display()
            ));
            None
        }
        Ok(Some((file, _))) => Some(file),
        Ok(None) => {
            at.problem("is not a regular file: name a file that holds the secret alone");
            None
        }
        Err(error) => {
            // The path is not shown: a secret written here by mistake would be.
            at.problem(format_args!(
                "{}: name a file that the service's user can read; relative paths start at the folder of this file",
                cannot_be_read(&error)
            ));
            None
        }
    }
}

/// Reports a private key that is missing or that others can read.
pub(super) fn check_private_key(path: &Path, at: &At) {
    let _ = open_private(path, Readers::OwnerAlone, at);
}

/// Whether a file is there and its owner alone can read it.
pub(super) fn is_private(path: &Path) -> bool {
    let others = |facts: &fs::Metadata| facts.permissions().mode() & 0o077;
    fs::metadata(path).is_ok_and(|facts| facts.is_file() && others(&facts) == 0)
}

/// Whether a public file (certificate, authority) is there; reports one that is missing.
pub(super) fn check_readable(path: &Path, at: &At) -> bool {
    let result = fs::metadata(path).and_then(|facts| {
        if facts.is_file() {
            File::open(path).map(|_| true)
        } else {
            Ok(false)
        }
    });
    match result {
        Ok(true) => return true,
        Ok(false) => at.problem("is not a regular file: name a PEM file"),
        Err(error) => at.problem(format_args!(
            "{}: name a PEM file; relative paths start at the folder of this file",
            cannot_be_read(&error)
        )),
    }
    false
}

/// Which of an account's passwords.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PasswordKind {
    /// The one that we log in with at the platform.
    Api,
    /// The one that the platform's callbacks log in with at ours.
    Reports,
}

impl PasswordKind {
    const fn what(self) -> &'static str {
        match self {
            Self::Api => "API password",
            Self::Reports => "password of the callbacks",
        }
    }

    /// What follows the account's id in the name of its credential; no id holds an `@`.
    const fn credential(self) -> &'static str {
        match self {
            Self::Api => ".password",
            Self::Reports => "@reports.password",
        }
    }
}

/// Where a password may come from, as written.
pub(super) struct PasswordSource<'a> {
    /// `password_file`.
    pub(super) file: Option<&'a str>,
    /// `password_env`.
    pub(super) variable: Option<&'a str>,
    /// The account's id, which names its credential.
    pub(super) account: Option<&'a str>,
    /// Which password it is.
    pub(super) kind: PasswordKind,
}

/// A password, and where it is read from again.
pub(super) struct Password {
    pub(super) secret: SecretString,
    /// `None` of a variable: it stays as long as the process.
    pub(super) file: Option<PasswordFile>,
}

/// The password from its one source; `None` after reporting.
pub(super) fn password(
    source: &PasswordSource<'_>,
    environment: &Environment,
    at: &At,
) -> Option<Password> {
    let at_file = at.key("password_file");
    let from_file = |path: PathBuf, readers, at: &At| {
        let file = PasswordFile::new(path, readers, source.kind, at);
        let secret = file.read_at(at)?;
        let file = Some(file);
        Some(Password { secret, file })
    };
    let credential = source.account.and_then(|account| {
        let directory = environment.get("CREDENTIALS_DIRECTORY")?;
        let path = Path::new(directory.expose_secret())
            .join(format!("{account}{}", source.kind.credential()));
        path.exists().then_some(path)
    });
    match (source.file, source.variable, credential) {
        (Some(file), None, None) => from_file(at.resolve(file), Readers::OwnerAlone, &at_file),
        (None, Some(variable), None) => {
            let at_variable = at.key("password_env");
            let Some(value) = environment.get(variable) else {
                at_variable
                    .problem("names a variable that is not set: set it, or use password_file");
                return None;
            };
            let trimmed = trim_line_end(value.expose_secret());
            let secret = SecretString::from(Box::<str>::from(trimmed));
            let is_good = judge_password(&secret, source.kind, &at_variable);
            is_good.then_some(Password { secret, file: None })
        }
        (None, None, Some(path)) => {
            let at_credential = at.key("$CREDENTIALS_DIRECTORY");
            from_file(path, Readers::NotOthers, &at_credential)
        }
        (None, None, None) => {
            at_file.required(
                None::<()>,
                &format!(
                    "name a file of mode 0600 that holds the {} (or use password_env, or a credential <account id>{})",
                    source.kind.what(),
                    source.kind.credential()
                ),
            );
            None
        }
        _ => {
            at_file.problem(
                "the password has several sources: keep one of password_file, password_env and the credential in $CREDENTIALS_DIRECTORY",
            );
            None
        }
    }
}

pub(super) fn read_secret(file: File, at: &At) -> Option<SecretString> {
    // Room for everything at once: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_SECRET_BYTES + 1));
    if let Err(error) = file
        .take(MAX_SECRET_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
    {
        at.problem(cannot_be_read(&error));
        return None;
    }
    if bytes.len() > MAX_SECRET_BYTES {
        at.problem(format_args!(
            "is longer than {MAX_SECRET_BYTES} bytes: the file must hold the secret alone"
        ));
        return None;
    }
    let Ok(text) = std::str::from_utf8(&bytes) else {
        at.problem("is not UTF-8 text: the file must hold the secret alone");
        return None;
    };
    Some(SecretString::from(Box::<str>::from(trim_line_end(text))))
}

/// Without the one line end that editors add.
fn trim_line_end(text: &str) -> &str {
    text.strip_suffix("\r\n")
        .or_else(|| text.strip_suffix('\n'))
        .unwrap_or(text)
}

pub(super) fn judge_password(secret: &SecretString, kind: PasswordKind, at: &At) -> bool {
    let text = secret.expose_secret();
    let characters = text.chars().count();
    if text.is_empty() {
        at.problem(format_args!(
            "the password is empty: write the {} of the account there",
            kind.what()
        ));
    } else if text.chars().any(char::is_control) {
        at.problem("the password holds a line break or control character: write one line");
    } else if characters < MIN_PASSWORD_CHARACTERS {
        at.problem(match kind {
            PasswordKind::Api => format!(
                "the password is shorter than the {MIN_PASSWORD_CHARACTERS} characters that the platform asks for: set a longer one there and here"
            ),
            PasswordKind::Reports => format!(
                "the password has fewer than {MIN_PASSWORD_CHARACTERS} characters: set a longer one there and here"
            ),
        });
    } else {
        if characters < GOOD_PASSWORD_CHARACTERS {
            at.warning(format_args!(
                "the password has fewer than {GOOD_PASSWORD_CHARACTERS} characters: set a longer one"
            ));
        }
        return true;
    }
    false
}
