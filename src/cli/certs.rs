//! `clave-otp certs dev`: a private authority with certificates for a server and its callers, for trials.
//!
//! Must not know: how TLS is spoken.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Subcommand};
use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};

use super::client::failed;
use crate::clock::{Clock as _, SystemClock};

/// Certificates for trials.
#[derive(Debug, Args)]
pub struct CertsArgs {
    #[command(subcommand)]
    command: Certs,
}

#[derive(Debug, Subcommand)]
enum Certs {
    Dev(DevArgs),
}

/// Makes a private authority, a certificate for the server and one for a caller, all for trials; prints what to write into
/// the configuration. In earnest, have certificates issued by an authority that your administration trusts.
#[derive(Debug, Args)]
struct DevArgs {
    /// The folder to write into; nothing in it is written over.
    #[arg(long, default_value = "tls")]
    out: PathBuf,
    /// Names or addresses of the server.
    #[arg(long = "host", default_values = ["localhost", "127.0.0.1", "::1"])]
    hosts: Vec<String>,
    /// Names of the callers, DNS or URI; each gets a certificate.
    #[arg(long = "caller", default_values = ["backend.test"])]
    callers: Vec<String>,
    /// Days that all of them are good for.
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(i32).range(1..=825))]
    days: i32,
}

/// Who signs, and until when.
struct Authority<'a> {
    issuer: Issuer<'a, KeyPair>,
    pem: String,
    days: Days,
}

#[derive(Clone, Copy)]
struct Days {
    first: Date,
    last: Date,
}

impl CertsArgs {
    /// Runs the command.
    pub fn run(self) -> ExitCode {
        let Certs::Dev(arguments) = self.command;
        match arguments.run() {
            Ok(told) => {
                // Whoever closed the pipe has read enough.
                let _ = io::stdout().write_all(told.as_bytes());
                ExitCode::SUCCESS
            }
            Err(problem) => failed(&problem),
        }
    }
}

impl DevArgs {
    fn run(&self) -> Result<String, String> {
        let authority = Authority::new(Days::from(SystemClock::new().now(), self.days))
            .map_err(|error| error.to_string())?;
        fs::create_dir_all(&self.out)
            .map_err(|error| format!("--out: {}: {error}", self.out.display()))?;
        self.write("ca.pem", authority.pem.as_bytes(), 0o644)?;
        let hosts = self.hosts.iter().map(|host| san(host, Kind::Host));
        self.issue(
            &authority,
            "server",
            hosts,
            ExtendedKeyUsagePurpose::ServerAuth,
        )?;
        let mut told = format!(
            "[grpc.tls]\ncertificate_file = \"{0}/server.pem\"\nprivate_key_file = \"{0}/server.key\"\nclient_ca_file = \"{0}/ca.pem\"\n",
            self.out.display()
        );
        for caller in &self.callers {
            let file = file_name(caller);
            let name = std::iter::once(san(caller, Kind::Caller));
            self.issue(&authority, &file, name, ExtendedKeyUsagePurpose::ClientAuth)?;
            let example = format!(
                "\n[[callers]]                    # {}/{file}.pem, {file}.key\nname = \"{file}\"\ncertificate_san = \"{caller}\"\n\
                 administrations = [\"*\"]\nroles = [\"sender\"]\n",
                self.out.display()
            );
            told.push_str(&example);
        }
        Ok(told)
    }

    fn issue(
        &self,
        authority: &Authority<'_>,
        file: &str,
        names: impl Iterator<Item = Result<SanType, String>>,
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<(), String> {
        let mut params = authority.days.params();
        params.subject_alt_names = names.collect::<Result<_, _>>()?;
        params.distinguished_name.push(DnType::CommonName, file);
        params.extended_key_usages = vec![usage];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let made = KeyPair::generate().and_then(|key| {
            let certificate = params.signed_by(&key, &authority.issuer)?;
            Ok((certificate, key))
        });
        let (certificate, key) = made.map_err(|error| error.to_string())?;
        self.write(&format!("{file}.pem"), certificate.pem().as_bytes(), 0o644)?;
        self.write(
            &format!("{file}.key"),
            key.serialize_pem().as_bytes(),
            0o600,
        )
    }

    fn write(&self, name: &str, content: &[u8], mode: u32) -> Result<(), String> {
        let path = self.out.join(name);
        create(&path, content, mode).map_err(|error| {
            let remedy = if error.kind() == io::ErrorKind::AlreadyExists {
                "; choose another --out, or remove it"
            } else {
                ""
            };
            format!("{}: {error}{remedy}", path.display())
        })
    }
}

fn create(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(content)
}

impl Authority<'_> {
    /// Its key is kept nowhere: nobody can ever sign with it again.
    fn new(days: Days) -> Result<Self, rcgen::Error> {
        let mut params = days.params();
        let name = "clave-otp trial authority";
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self {
            issuer: Issuer::new(params, key),
            pem,
            days,
        })
    }
}

impl Days {
    /// From yesterday, because the clocks of two machines differ.
    fn from(now: Timestamp, days: i32) -> Self {
        let today = TimeZone::UTC.to_datetime(now).date();
        Self {
            first: today.saturating_sub(1.day()),
            last: today.saturating_add(days.days()),
        }
    }

    fn params(self) -> CertificateParams {
        let moment = |date: Date| {
            // The month and day of a date fit.
            let month = u8::try_from(date.month()).unwrap_or(1);
            let day = u8::try_from(date.day()).unwrap_or(1);
            date_time_ymd(i32::from(date.year()), month, day)
        };
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.not_before = moment(self.first);
        params.not_after = moment(self.last);
        params
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Host,
    Caller,
}

fn san(text: &str, kind: Kind) -> Result<SanType, String> {
    let key = match kind {
        Kind::Host => "--host",
        Kind::Caller => "--caller",
    };
    let name = || {
        text.try_into()
            .map_err(|_| format!("{key} {text:?}: must be ASCII"))
    };
    Ok(match text.parse() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) if text.contains(':') => SanType::URI(name()?),
        Err(_) => SanType::DnsName(name()?),
    })
}

/// What a caller's files are called: what a file name can hold of its name.
fn file_name(caller: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || "-.".contains(c) {
            c
        } else {
            '-'
        }
    };
    caller.to_ascii_lowercase().chars().map(plain).collect()
}
