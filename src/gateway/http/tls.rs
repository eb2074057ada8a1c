//! The one TLS profile of all outgoing connections.
//!
//! Must not know: endpoints, time-outs, bodies.

use std::sync::{Arc, OnceLock};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, pem::PemObject as _},
    version::{TLS12, TLS13},
};
use rustls_platform_verifier::Verifier;

use super::HttpSetupError;

/// The one TLS profile (docs/adr/0010): TLS 1.2 and 1.3, the suites of ring (all ECDHE and AEAD), the system's root
/// certificates and those of `extra_ca_pem`.
pub(super) fn profile(extra_ca_pem: Option<&[u8]>) -> Result<ClientConfig, HttpSetupError> {
    /// Root certificates are read once and shared: an installation has hundreds of accounts.
    static SHARED: OnceLock<ClientConfig> = OnceLock::new();
    if let Some(pem) = extra_ca_pem {
        let roots = certificates(pem)?;
        let verifier = Verifier::new_with_extra_roots(roots, provider());
        return with(verifier.map_err(|_| HttpSetupError::ExtraCa)?);
    }
    if let Some(shared) = SHARED.get() {
        return Ok(shared.clone());
    }
    let made = with(Verifier::new(provider()).map_err(HttpSetupError::Tls)?)?;
    Ok(SHARED.get_or_init(|| made).clone())
}

fn with(verifier: Verifier) -> Result<ClientConfig, HttpSetupError> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(HttpSetupError::Tls)?
        // "Dangerous" is the name for any verifier that is handed in; this one checks everything.
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// For plain HTTP on loopback: trusts nobody, and does not need a machine that has root certificates.
pub(super) fn unused() -> Result<ClientConfig, HttpSetupError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(HttpSetupError::Tls)?;
    let config = builder
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    Ok(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, HttpSetupError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(HttpSetupError::ExtraCa),
    }
}
