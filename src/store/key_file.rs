//! The file that holds an installation's master key: read, or made where there is none.
//!
//! Must not know: what the key is for.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use aes_gcm::aead::Generate as _;
use thiserror::Error;
use zeroize::Zeroizing;

pub(super) const KEY_BYTES: usize = 32;
/// A key file is a few lines.
const LIMIT_BYTES: u64 = 64 * 1024;

/// Why there is no sealer. The message says what to do.
#[derive(Debug, Error)]
pub enum KeyFileError {
    /// The file cannot be read or made.
    #[error("{path}: cannot be read or made: {source}; check the directory and its permissions")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others can read the key.
    #[error("{0}: others can read this key; run: chmod 600 {0}")]
    Exposed(PathBuf),
    /// It is not a key file.
    #[error(
        "{0}: is not a sealing key: one line '<id>:<64 hexadecimal digits>' is needed; restore it from your backup, a new one cannot open what the old one sealed"
    )]
    Malformed(PathBuf),
}

/// The id of the key and the key. A file that is made has mode 0600 and is on the disk before it is used.
pub(super) fn read_or_make(path: &Path) -> Result<(u32, Zeroizing<[u8; KEY_BYTES]>), KeyFileError> {
    let io = |source| KeyFileError::Io {
        path: path.to_owned(),
        source,
    };
    match File::open(path) {
        Ok(file) => read(path, &file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make(path).map_err(io)?;
            read(path, &File::open(path).map_err(io)?)
        }
        Err(error) => Err(io(error)),
    }
}

fn read(path: &Path, file: &File) -> Result<(u32, Zeroizing<[u8; KEY_BYTES]>), KeyFileError> {
    let io = |source| KeyFileError::Io {
        path: path.to_owned(),
        source,
    };
    if file.metadata().map_err(io)?.mode() & 0o077 != 0 {
        return Err(KeyFileError::Exposed(path.to_owned()));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(LIMIT_BYTES)
        .read_to_string(&mut text)
        .map_err(io)?;
    parse(&text).ok_or_else(|| KeyFileError::Malformed(path.to_owned()))
}

fn parse(text: &str) -> Option<(u32, Zeroizing<[u8; KEY_BYTES]>)> {
    let mut lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let (key_id, digits) = lines.next()?.split_once(':')?;
    let digits = digits.trim().as_bytes();
    if digits.len() != 2 * KEY_BYTES || lines.next().is_some() {
        return None;
    }
    let mut key = Zeroizing::new([0_u8; KEY_BYTES]);
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some((key_id.trim().parse().ok()?, key))
}

fn make(path: &Path) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(directory)?;
    let key = Zeroizing::new(<[u8; KEY_BYTES]>::generate());
    let mut text = Zeroizing::new(String::with_capacity(256));
    text.push_str(
        "# Sealing key of clave-otp. Keep a copy in a safe place: without it nobody can open what waits to be sent.\n1:",
    );
    for byte in key.iter() {
        for nibble in [byte >> 4, byte & 15] {
            // A nibble is always a hexadecimal digit.
            text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    text.push('\n');
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_file_is_made_once_and_for_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data/sealing.key");
        let made = read_or_make(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let read = read_or_make(&path).unwrap();
        assert_eq!(made, read);
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sealing.key");
        read_or_make(&path).unwrap();
        let open_to_all = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        std::fs::set_permissions(&path, open_to_all).unwrap();
        let refused = read_or_make(&path).unwrap_err();
        assert!(refused.to_string().contains("chmod 600"), "{refused}");
    }

    #[test]
    fn something_else_is_not_a_key() {
        for text in [
            "",
            "hello",
            "1:00",
            "x:".repeat(40).as_str(),
            "# only a comment\n",
        ] {
            assert!(parse(text).is_none(), "{text}");
        }
    }
}
