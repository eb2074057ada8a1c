//! The certificates of a platform in a run: one that is right, and one of another host, both of one authority.
//!
//! Must not know: who listens, who calls.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio_rustls::TlsAcceptor;

/// Where the right one is of.
const HERE: &str = "127.0.0.1";
/// Where the wrong one is of.
const ELSEWHERE: &str = "elsewhere.test";

/// Both, and who signed them.
pub(super) struct Certificates {
    authority_pem: String,
    right: TlsAcceptor,
    wrong: TlsAcceptor,
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Certificates")
    }
}

impl Certificates {
    /// Makes them; the keys are kept nowhere.
    pub(super) fn make() -> Result<Self, String> {
        let problem = |error: rcgen::Error| format!("cannot make certificates: {error}");
        let mut params = params("clave-otp chaos authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(problem)?;
        let authority_pem = params.self_signed(&key).map_err(problem)?.pem();
        let issuer = Issuer::new(params, key);
        Ok(Self {
            authority_pem,
            right: acceptor(HERE, &issuer)?,
            wrong: acceptor(ELSEWHERE, &issuer)?,
        })
    }

    pub(super) fn authority_pem(&self) -> &str {
        &self.authority_pem
    }

    pub(super) fn right(&self) -> &TlsAcceptor {
        &self.right
    }

    pub(super) fn wrong(&self) -> &TlsAcceptor {
        &self.wrong
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    // Good for as long as there are runs.
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2099, 1, 1);
    params
}

fn acceptor(host: &str, issuer: &Issuer<'_, KeyPair>) -> Result<TlsAcceptor, String> {
    let problem = |error: rcgen::Error| format!("cannot make a certificate: {error}");
    let mut params = params(host);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.subject_alt_names = CertificateParams::new([host.to_owned()])
        .map_err(problem)?
        .subject_alt_names;
    let key = KeyPair::generate().map_err(problem)?;
    let certificate = params.signed_by(&key, issuer).map_err(problem)?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .map_err(|error| error.to_string())?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
