//! Authorities and certificates for the stories of TLS.

use std::sync::Arc;

use clave_otp::{clock::SystemClock, simulator::Script};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationListParams,
    DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};

use super::{Files, TestApp};

/// Good for as long as these stories will be told.
const LAST_YEAR: i32 = 2099;

/// A certificate with its key, both PEM.
pub struct Pair {
    pub certificate: String,
    pub key: String,
    pub serial: u64,
}

pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
    next_serial: std::cell::Cell<u64>,
}

fn params(name: &str, last_year: i32) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(last_year, 1, 1);
    params
}

fn authority_params(name: &str, last_year: i32) -> CertificateParams {
    let mut params = params(name, last_year);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

impl Authority {
    pub fn new(name: &str) -> Self {
        Self::until(name, LAST_YEAR)
    }

    /// One whose own certificate ends with the first day of that year.
    pub fn until(name: &str, last_year: i32) -> Self {
        let params = authority_params(name, last_year);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self::of(params, key, pem)
    }

    /// The same key and name, with a certificate that ends then.
    pub fn renewed_until(&self, name: &str, last_year: i32) -> String {
        let params = authority_params(name, last_year);
        params.self_signed(self.issuer.key()).unwrap().pem()
    }

    /// One that this one has signed.
    pub fn below(&self, name: &str, last_year: i32) -> Self {
        let params = authority_params(name, last_year);
        let key = KeyPair::generate().unwrap();
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        Self::of(params, key, pem)
    }

    fn of(params: CertificateParams, key: KeyPair, pem: String) -> Self {
        Self {
            issuer: Issuer::new(params, key),
            pem,
            next_serial: std::cell::Cell::new(1),
        }
    }

    fn issue(&self, names: &[&str], usage: ExtendedKeyUsagePurpose, last_year: i32) -> Pair {
        let serial = self.next_serial.get();
        self.next_serial.set(serial + 1);
        let mut params = params("test", last_year);
        params.serial_number = Some(SerialNumber::from(serial));
        params.extended_key_usages = vec![usage];
        params.subject_alt_names = names.iter().map(|name| san(name)).collect();
        let key = KeyPair::generate().unwrap();
        let certificate: Certificate = params.signed_by(&key, &self.issuer).unwrap();
        Pair {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            serial,
        }
    }

    pub fn server(&self) -> Pair {
        let names = ["localhost", "127.0.0.1"];
        self.issue(&names, ExtendedKeyUsagePurpose::ServerAuth, LAST_YEAR)
    }

    pub fn caller(&self, names: &[&str]) -> Pair {
        self.issue(names, ExtendedKeyUsagePurpose::ClientAuth, LAST_YEAR)
    }

    pub fn expired_caller(&self, names: &[&str]) -> Pair {
        self.issue(names, ExtendedKeyUsagePurpose::ClientAuth, 2021)
    }

    /// The list of what has been revoked, PEM.
    pub fn revocations(&self, revoked: &[&Pair]) -> String {
        let revoked_certs = revoked
            .iter()
            .map(|pair| RevokedCertParams {
                serial_number: SerialNumber::from(pair.serial),
                revocation_time: date_time_ymd(2026, 1, 1),
                reason_code: None,
                invalidity_date: None,
            })
            .collect();
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(LAST_YEAR, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

/// The authorities of the server and of its callers, which need not be the same.
pub struct Pki {
    pub server: Authority,
    pub callers: Authority,
}

impl Pki {
    pub fn new() -> Self {
        Self {
            server: Authority::new("authority of servers"),
            callers: Authority::new("authority of callers"),
        }
    }

    /// Serves with TLS and calls as the caller that the installation knows.
    pub fn write(&self, files: &Files) {
        files.serve_tls(&self.server.server(), &self.callers);
        files.call_as(&self.callers.caller(&[CALLER]), &self.server);
    }

    pub async fn start(&self) -> TestApp {
        self.start_with("").await
    }

    /// The same with these keys in `[grpc]`.
    pub async fn start_with(&self, keys: &str) -> TestApp {
        let clock = Arc::new(SystemClock::new());
        TestApp::start_with(Script::new(), clock, |files| {
            self.write(files);
            files.change("service.toml", "[grpc]", &format!("[grpc]\n{keys}"));
        })
        .await
    }
}

fn san(name: &str) -> SanType {
    match name.parse() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) if name.contains(':') => SanType::URI(name.try_into().unwrap()),
        Err(_) => SanType::DnsName(name.try_into().unwrap()),
    }
}

impl Files {
    /// Serves with TLS: this server, to whom this authority has given a certificate.
    pub fn serve_tls(&self, server: &Pair, clients: &Authority) {
        std::fs::create_dir(self.path("tls")).unwrap();
        self.put("tls/server.pem", &server.certificate);
        self.secret("tls/server.key", &server.key);
        self.put("tls/ca.pem", &clients.pem);
        self.put("tls/revoked.pem", &clients.revocations(&[]));
        let tls = "listen = \"127.0.0.1:0\"\n\n[grpc.tls]\ncertificate_file = \"tls/server.pem\"\n\
             private_key_file = \"tls/server.key\"\nclient_ca_file = \"tls/ca.pem\"\n\
             revocation_file = \"tls/revoked.pem\"\nreload_seconds = 1\n\n[admin]";
        self.change("service.toml", "listen = \"127.0.0.1:0\"\n\n[admin]", tls);
        let san = format!("certificate_san = \"{CALLER}\"");
        self.change("service.toml", "loopback = true", &san);
    }

    /// What the clients of [`super::TestApp`] show.
    pub fn call_as(&self, caller: &Pair, server: &Authority) {
        self.put("tls/caller.pem", &caller.certificate);
        self.secret("tls/caller.key", &caller.key);
        self.put("tls/server-ca.pem", &server.pem);
    }
}

/// The name of the caller that the installation knows.
pub const CALLER: &str = "spiffe://backend.test/otp";
