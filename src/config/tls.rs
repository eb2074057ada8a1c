//! `[grpc.tls]`: the files with which the API is served to callers who show a certificate.
//!
//! Must not know: how TLS is spoken.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use zeroize::Zeroizing;

use super::{
    findings::At,
    secrets::{check_private_key, check_readable, is_private},
};
use crate::domain::{CertificateFacts, next_revocation_list};

/// Largest file that is read, in bytes: a list of revoked certificates may be long.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawTls {
    certificate_file: Option<String>,
    private_key_file: Option<String>,
    client_ca_file: Option<String>,
    revocation_file: Option<String>,
    reload_seconds: Option<u64>,
}

/// Files of mutual TLS, all PEM, all seen to hold what they should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// The server's certificate chain.
    pub certificate_file: PathBuf,
    /// Its private key; only its owner can read it.
    pub private_key_file: PathBuf,
    /// The authorities that sign the callers' certificates.
    pub client_ca_file: PathBuf,
    /// The lists of the certificates that they have revoked.
    pub revocation_file: Option<PathBuf>,
    /// How often the files are looked at for changes.
    pub reload_every: Duration,
}

/// What the files hold.
#[derive(PartialEq, Eq)]
pub struct TlsFiles {
    /// Of `certificate_file`.
    pub certificates: Vec<u8>,
    /// Of `private_key_file`.
    pub private_key: Zeroizing<Vec<u8>>,
    /// Of `client_ca_file`.
    pub client_authorities: Vec<u8>,
    /// Of `revocation_file`.
    pub revocations: Option<Vec<u8>>,
}

impl RawTls {
    pub(super) fn validate(&self, at: &At) -> Option<TlsSettings> {
        let required = |key: &str, value: &Option<String>, what: &str| {
            let at = at.key(key);
            let path = at.resolve(&at.required(value.clone(), what)?);
            Some((path, at))
        };
        let certificate = required(
            "certificate_file",
            &self.certificate_file,
            "name the PEM file of the server's certificate chain",
        );
        let private_key = required(
            "private_key_file",
            &self.private_key_file,
            "name the PEM file of the server's private key, mode 0600",
        );
        let client_ca = required(
            "client_ca_file",
            &self.client_ca_file,
            "name the PEM file of the authority that signs the callers' certificates",
        );
        for (path, at) in certificate.iter().chain(&client_ca) {
            check_certificates(path, at);
        }
        if let Some((path, at)) = &private_key {
            check_private_key(path, at);
        }
        let revocation_file = self.revocation_file.as_deref().map(|path| {
            let at = at.key("revocation_file");
            let path = at.resolve(path);
            check_revocations(&path, &at);
            path
        });
        let reload_seconds = at
            .key("reload_seconds")
            .number(self.reload_seconds, 10, 1..=86_400);
        Some(TlsSettings {
            certificate_file: certificate?.0,
            private_key_file: private_key?.0,
            client_ca_file: client_ca?.0,
            revocation_file,
            reload_every: Duration::from_secs(reload_seconds),
        })
    }
}

fn check_certificates(path: &Path, at: &At) {
    let Some(pem) = contents(path, at) else {
        return;
    };
    match CertificateFacts::from_pem(&pem) {
        Err(problem) => at.problem(format_args!("{problem}: name a PEM file of certificates")),
        Ok(chain) => {
            for weakness in chain.iter().filter_map(|facts| facts.weakness) {
                at.problem(format_args!(
                    "holds a certificate that is too weak: {weakness} (ENS, CCN-STIC-807): have another one issued"
                ));
            }
        }
    }
}

fn check_revocations(path: &Path, at: &At) {
    let listed = contents(path, at).map(|pem| next_revocation_list(&pem));
    if let Some(Err(problem)) = listed {
        at.problem(format_args!(
            "{problem}: name a PEM file of the authority's list of revoked certificates"
        ));
    }
}

/// `None` after reporting.
fn contents(path: &Path, at: &At) -> Option<Vec<u8>> {
    if !check_readable(path, at) {
        return None;
    }
    read(path).map_err(|error| at.problem(error)).ok()
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = fs::File::open(path)?;
    if file.metadata()?.len() > MAX_FILE_BYTES {
        let what = format!("is larger than {MAX_FILE_BYTES} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl TlsSettings {
    /// Reads the files, again and again while the service runs; blocks. The error names the key.
    pub fn read(&self) -> Result<TlsFiles, String> {
        let of = |key: &str, path: &Path| {
            read(path).map_err(|error| format!("grpc.tls.{key}: cannot be read ({error})"))
        };
        if !is_private(&self.private_key_file) {
            return Err(
                "grpc.tls.private_key_file: cannot be read, or others can read it too: chmod 600"
                    .into(),
            );
        }
        Ok(TlsFiles {
            certificates: of("certificate_file", &self.certificate_file)?,
            private_key: Zeroizing::new(of("private_key_file", &self.private_key_file)?),
            client_authorities: of("client_ca_file", &self.client_ca_file)?,
            revocations: self
                .revocation_file
                .as_deref()
                .map(|path| of("revocation_file", path))
                .transpose()?,
        })
    }
}
