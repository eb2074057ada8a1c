//! The TLS of the gRPC port: one profile, the callers' certificates, and both exchanged while the service runs.
//!
//! Must not know: files, who the callers are.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use jiff::Timestamp;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig,
    SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::CryptoProvider,
    pki_types::{
        CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime, pem::PemObject as _,
    },
    server::{
        NoServerSessionStorage, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    version::{TLS12, TLS13},
};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

use crate::domain::{CertificateFacts, NotACertificate, Weakness, end_of, next_revocation_list};

/// The contents of the files of `[grpc.tls]`, all PEM.
pub struct TlsMaterial {
    /// The server's certificate, and those between it and its authority.
    pub certificates: Vec<u8>,
    /// Its private key.
    pub private_key: Zeroizing<Vec<u8>>,
    /// The authorities that sign callers' certificates.
    pub client_authorities: Vec<u8>,
    /// The lists of revoked certificates of those authorities.
    pub revocations: Option<Vec<u8>>,
}

impl fmt::Debug for TlsMaterial {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "TlsMaterial({} bytes of certificates)",
            self.certificates.len()
        )
    }
}

/// Why the material cannot be used; names the key of the configuration.
#[derive(Debug, Error)]
pub enum TlsProblem {
    /// A file holds no certificate.
    #[error("grpc.tls.{file}: {problem}: name a PEM file")]
    NotACertificate {
        /// Its key.
        file: &'static str,
        /// What is wrong.
        problem: NotACertificate,
    },
    /// A certificate is too weak.
    #[error(
        "grpc.tls.{file}: a certificate is too weak: {weakness} (ENS, CCN-STIC-807): have another one issued"
    )]
    Weak {
        /// Its key.
        file: &'static str,
        /// Why.
        weakness: Weakness,
    },
    /// The private key cannot be read.
    #[error(
        "grpc.tls.private_key_file: holds no private key in PEM form (PKCS #8, PKCS #1 or SEC 1)"
    )]
    PrivateKey,
    /// The key is not that of the certificate, or of a kind that cannot be used.
    #[error(
        "grpc.tls.private_key_file: is not the key of grpc.tls.certificate_file, or of a kind that cannot be used: {0}"
    )]
    Pair(rustls::Error),
    /// An authority or a list cannot be used.
    #[error("grpc.tls.client_ca_file or grpc.tls.revocation_file: {0}")]
    Authorities(String),
}

/// Until when the material is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsExpiry {
    /// The first of the server's certificates to expire.
    pub certificate: Timestamp,
    /// The first of the callers' authorities to expire.
    pub client_authority: Timestamp,
    /// When a list of revoked certificates is to be replaced, where there is one that says so.
    pub revocations: Option<Timestamp>,
}

/// What the port speaks TLS with; the material may be replaced at any time.
#[derive(Debug)]
pub struct ServerTls {
    current: RwLock<Arc<Current>>,
}

struct Current {
    config: Arc<ServerConfig>,
    verifier: Arc<Discreet>,
    expiry: TlsExpiry,
    /// Counts replacements: who was verified by an earlier material is verified again.
    generation: u64,
}

impl fmt::Debug for Current {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Current({})", self.generation)
    }
}

impl ServerTls {
    /// Checks the material as a whole.
    pub fn new(material: &TlsMaterial) -> Result<Self, TlsProblem> {
        Ok(Self {
            current: RwLock::new(Arc::new(Current::of(material, 0)?)),
        })
    }

    /// Uses other material from now on, also for who is connected: their next call is judged by it. Where it cannot be used the
    /// old one stays.
    pub fn replace(&self, material: &TlsMaterial) -> Result<(), TlsProblem> {
        let made = Current::of(material, self.current().generation + 1)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(made);
        Ok(())
    }

    /// Until when the present material is good.
    pub fn expiry(&self) -> TlsExpiry {
        self.current().expiry
    }

    /// Speaks TLS on a new connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.current().config))
    }

    /// Whether the certificate is good at `now`, judged by the present material.
    pub(super) fn trusts(&self, peer: &PeerCertificate, now: Timestamp) -> bool {
        let current = self.current();
        let mut trust = peer.trust.lock().unwrap_or_else(PoisonError::into_inner);
        if trust.is_some_and(|trust| trust.generation == current.generation && now < trust.until) {
            return true;
        }
        let seconds = u64::try_from(now.as_second()).unwrap_or_default();
        let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let Some((own, between)) = peer.chain.split_first() else {
            return false;
        };
        let is_good = current
            .verifier
            .verify_client_cert(own, between, at)
            .is_ok();
        let ends = peer.ends.iter().chain(&current.verifier.ends);
        // What has ended already was of no use to the peer, or it would not be good.
        let next = ends.copied().filter(|end| *end > now).min();
        *trust = is_good.then_some(Trust {
            generation: current.generation,
            until: next.unwrap_or(now),
        });
        is_good
    }

    fn current(&self) -> Arc<Current> {
        let current = self.current.read();
        Arc::clone(&current.unwrap_or_else(PoisonError::into_inner))
    }
}

impl Current {
    fn of(material: &TlsMaterial, generation: u64) -> Result<Self, TlsProblem> {
        let certificate = judged(&material.certificates, "certificate_file")?;
        let client_authority = judged(&material.client_authorities, "client_ca_file")?;
        let revocations = material.revocations.as_deref().map(|pem| {
            next_revocation_list(pem).map_err(|problem| TlsProblem::NotACertificate {
                file: "revocation_file",
                problem,
            })
        });
        let verifier = Arc::new(verifier(material)?);
        let key = PrivateKeyDer::from_pem_slice(&material.private_key)
            .map_err(|_| TlsProblem::PrivateKey)?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(TlsProblem::Pair)?
            .with_client_cert_verifier(verifier.clone())
            .with_single_cert(
                pem_certificates(&material.certificates, "certificate_file")?,
                key,
            )
            .map_err(TlsProblem::Pair)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        // A resumed session would not present its certificate again; connections are kept for long, so little is lost.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self {
            config: Arc::new(config),
            verifier,
            expiry: TlsExpiry {
                certificate,
                client_authority,
                revocations: revocations.transpose()?.flatten(),
            },
            generation,
        })
    }
}

/// The end of the first certificate that expires; none of them may be weak.
fn judged(pem: &[u8], file: &'static str) -> Result<Timestamp, TlsProblem> {
    let chain = CertificateFacts::from_pem(pem)
        .map_err(|problem| TlsProblem::NotACertificate { file, problem })?;
    if let Some(weakness) = chain.iter().find_map(|facts| facts.weakness) {
        return Err(TlsProblem::Weak { file, weakness });
    }
    let first = chain.iter().map(|facts| facts.not_after).min();
    first.ok_or(TlsProblem::NotACertificate {
        file,
        problem: NotACertificate::None,
    })
}

fn pem_certificates(
    pem: &[u8],
    file: &'static str,
) -> Result<Vec<CertificateDer<'static>>, TlsProblem> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    chain.map_err(|_| TlsProblem::NotACertificate {
        file,
        problem: NotACertificate::Malformed,
    })
}

/// Judges callers' certificates. That of an authority is never looked at for its end by the verifier of rustls, which knows only
/// its name and key: so there is one verifier for each time between two ends, with the authorities that are good then.
fn verifier(material: &TlsMaterial) -> Result<Discreet, TlsProblem> {
    let unusable = |error: &dyn fmt::Display| TlsProblem::Authorities(error.to_string());
    let authorities = pem_certificates(&material.client_authorities, "client_ca_file")?;
    let ends = CertificateFacts::from_pem(&material.client_authorities).map_err(|problem| {
        TlsProblem::NotACertificate {
            file: "client_ca_file",
            problem,
        }
    })?;
    let lists: Result<Vec<_>, _> = material
        .revocations
        .as_deref()
        .map_or(Ok(Vec::new()), |pem| {
            CertificateRevocationListDer::pem_slice_iter(pem).collect()
        });
    let lists = lists.map_err(|error| unusable(&error))?;
    let authorities: Vec<_> = ends
        .iter()
        .map(|facts| facts.not_after)
        .zip(authorities)
        .collect();
    let mut ends: Vec<Timestamp> = authorities.iter().map(|(end, _)| *end).collect();
    ends.sort_unstable();
    ends.dedup();
    let mut verifiers = Vec::with_capacity(ends.len());
    for end in &ends {
        let mut roots = RootCertStore::empty();
        for (_, authority) in authorities.iter().filter(|(its_end, _)| its_end >= end) {
            roots
                .add(authority.clone())
                .map_err(|error| unusable(&error))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
            .with_crls(lists.clone())
            .build()
            .map_err(|error| unusable(&error))?;
        verifiers.push(verifier);
    }
    let any = verifiers
        .first()
        .cloned()
        .ok_or(TlsProblem::NotACertificate {
            file: "client_ca_file",
            problem: NotACertificate::None,
        })?;
    Ok(Discreet {
        ends,
        verifiers,
        any,
    })
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Checks everything that the verifier of rustls checks, and the strength of the key; tells a peer that it is refused and never why
/// (rule 2.2).
#[derive(Debug)]
struct Discreet {
    /// When authorities expire, in order.
    ends: Vec<Timestamp>,
    /// For each end, the one that is used before it: with the authorities that are good until then.
    verifiers: Vec<Arc<dyn ClientCertVerifier>>,
    /// For what is the same in all of them.
    any: Arc<dyn ClientCertVerifier>,
}

impl Discreet {
    /// The one to judge by; `None` once all authorities have expired.
    fn at(&self, now: UnixTime) -> Option<&dyn ClientCertVerifier> {
        let is_over =
            |end: &Timestamp| u64::try_from(end.as_second()).is_ok_and(|end| end <= now.as_secs());
        let passed = self.ends.partition_point(is_over);
        self.verifiers.get(passed).map(|verifier| &**verifier)
    }
}

fn refused() -> rustls::Error {
    rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)
}

impl ClientCertVerifier for Discreet {
    /// The names of the authorities are nobody's business.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let facts = CertificateFacts::from_der(own);
        if facts.is_ok_and(|facts| facts.weakness.is_none()) {
            let Some(judge) = self.at(now) else {
                tracing::debug!(
                    "grpc: a client's certificate was refused: all authorities have expired"
                );
                return Err(refused());
            };
            let verified = judge.verify_client_cert(own, between, now);
            verified.map_err(|error| {
                tracing::debug!(%error, "grpc: a client's certificate was refused");
                refused()
            })
        } else {
            tracing::debug!(
                "grpc: a client's certificate was refused: its key or signature is too weak"
            );
            Err(refused())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let verified = self
            .any
            .verify_tls12_signature(message, certificate, signature);
        verified.map_err(|_| refused())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let verified = self
            .any
            .verify_tls13_signature(message, certificate, signature);
        verified.map_err(|_| refused())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.any.supported_verify_schemes()
    }
}

/// The certificate with which a peer has shown who it is.
#[derive(Debug)]
pub(super) struct PeerCertificate {
    chain: Vec<CertificateDer<'static>>,
    pub(super) names: Vec<Box<str>>,
    /// When each certificate of the chain ends.
    ends: Vec<Timestamp>,
    /// Why it need not be verified anew; `None` where it must be.
    trust: Mutex<Option<Trust>>,
}

/// By which material a certificate was found good, and until when that holds: until the next thing ends that it may rest on.
#[derive(Debug, Clone, Copy)]
struct Trust {
    generation: u64,
    until: Timestamp,
}

impl PeerCertificate {
    /// The peer's own certificate first; `None` where there is none, or one that cannot be read.
    pub(super) fn of(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let facts = CertificateFacts::from_der(chain.first()?).ok()?;
        let ends: Result<Vec<_>, _> = chain.iter().map(|der| end_of(der)).collect();
        Some(Self {
            chain: chain.iter().map(|der| der.clone().into_owned()).collect(),
            names: facts.names,
            ends: ends.ok()?,
            trust: Mutex::new(None),
        })
    }
}
