//! A password as a file that may change while the service runs, and the one that is to follow it.
//!
//! Must not know: what the password is for, when the file is looked at.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    path::{Path, PathBuf},
    rc::Rc,
};

use secrecy::SecretString;

use super::{
    findings::{At, Findings, SourceFile},
    secrets::{PasswordKind, Readers, judge_password, open_private, read_secret},
};

/// Behind the name of a file with the password that is to follow.
const NEXT: &str = ".next";

/// Where a password is read from, again and again while the service runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordFile {
    path: PathBuf,
    readers: Readers,
    kind: PasswordKind,
    /// For messages: the file and the key that name it.
    shown: (String, String),
}

impl PasswordFile {
    pub(super) fn new(path: PathBuf, readers: Readers, kind: PasswordKind, at: &At) -> Self {
        Self {
            path,
            readers,
            kind,
            shown: (at.file().to_owned(), at.path().to_owned()),
        }
    }

    /// The password of the file with `.next` behind its name, where there is one, else of the file itself; blocks. The error says
    /// where and what to do, in one line.
    pub fn read(&self) -> Result<SecretString, String> {
        let findings = Rc::new(Findings::default());
        let (file, key) = &self.shown;
        let source = SourceFile::new(file, PathBuf::new(), BTreeSet::new());
        let at = At::top(&findings, Rc::new(source)).place(key.clone());
        let read = self.read_at(&at);
        let found = findings.take();
        read.ok_or_else(|| match found.problems.first() {
            Some(problem) => problem.to_string(),
            None => format!("{file}: {key}: cannot be read"),
        })
    }

    pub(super) fn read_at(&self, at: &At) -> Option<SecretString> {
        let file = open_private(&self.present(), self.readers, at)?;
        let secret = read_secret(file, at)?;
        judge_password(&secret, self.kind, at).then_some(secret)
    }

    /// The file that counts now.
    fn present(&self) -> PathBuf {
        let next = next_of(&self.path);
        if next.exists() {
            next
        } else {
            self.path.clone()
        }
    }
}

fn next_of(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(NEXT);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use secrecy::ExposeSecret as _;

    use super::*;

    struct Place(tempfile::TempDir);

    impl Place {
        fn put(&self, name: &str, text: &str, mode: u32) {
            let path = self.0.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }

        fn password(&self) -> Result<String, String> {
            let file = PasswordFile {
                path: self.0.path().join("madrid.password"),
                readers: Readers::OwnerAlone,
                kind: PasswordKind::Api,
                shown: ("madrid.toml".into(), "accounts[0].password_file".into()),
            };
            file.read().map(|secret| secret.expose_secret().to_owned())
        }
    }

    #[test]
    fn the_password_that_is_to_follow_counts_as_soon_as_it_is_there() {
        let place = Place(tempfile::tempdir().unwrap());
        assert!(
            place
                .password()
                .unwrap_err()
                .starts_with("madrid.toml: accounts[0].password_file: ")
        );
        place.put("madrid.password", "not-a-real-one-1\n", 0o600);
        assert_eq!(place.password().unwrap(), "not-a-real-one-1");
        place.put("madrid.password.next", "not-a-real-one-2\n", 0o600);
        assert_eq!(place.password().unwrap(), "not-a-real-one-2");
        fs::remove_file(place.0.path().join("madrid.password.next")).unwrap();
        assert_eq!(place.password().unwrap(), "not-a-real-one-1");
    }

    #[test]
    fn one_that_is_to_follow_and_cannot_be_used_is_told_of_and_not_passed_over() {
        let place = Place(tempfile::tempdir().unwrap());
        place.put("madrid.password", "not-a-real-one-1", 0o600);
        for (text, mode, word) in [
            ("not-a-real-one-2", 0o644, "chmod 600"),
            ("", 0o600, "empty"),
        ] {
            place.put("madrid.password.next", text, mode);
            let problem = place.password().unwrap_err();
            assert!(
                problem.contains(word) && !problem.contains("not-a-real"),
                "{problem}"
            );
        }
    }
}
