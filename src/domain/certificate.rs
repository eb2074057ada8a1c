//! What a certificate says: whom it names, how strong its key is, how long it is good (rules 2.1 and 2.2).
//!
//! Must not know: who signed it, whether anybody trusts it.

use jiff::Timestamp;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, pem::PemObject as _};
use thiserror::Error;
use x509_cert::{
    Certificate,
    crl::CertificateList,
    der::{
        Decode as _,
        asn1::{AnyRef, ObjectIdentifier, UintRef},
    },
    ext::pkix::{SubjectAltName, name::GeneralName},
    spki::SubjectPublicKeyInfoOwned,
    time::Time,
};

/// Shortest RSA modulus, in bits (rule 2.1).
const LEAST_RSA_BITS: usize = 3072;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
/// P-256, P-384 and P-521; every other curve is shorter, or none that a Spanish administration may use (CCN-STIC-807).
const GOOD_CURVES: [ObjectIdentifier; 3] = [
    ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7"),
    ObjectIdentifier::new_unwrap("1.3.132.0.34"),
    ObjectIdentifier::new_unwrap("1.3.132.0.35"),
];
/// MD5 and SHA-1 with RSA, SHA-1 with ECDSA.
const BROKEN_SIGNATURES: [ObjectIdentifier; 3] = [
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.4"),
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.5"),
    ObjectIdentifier::new_unwrap("1.2.840.10045.4.1"),
];

/// What one certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// The DNS and URI names that it is for, in its order.
    pub names: Vec<Box<str>>,
    /// From when it is good.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
    /// What is too weak about it, if anything is.
    pub weakness: Option<Weakness>,
}

/// Why a certificate is refused whoever signed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Weakness {
    /// The RSA key is too short.
    #[error("its RSA key has {bits} bits; at least {LEAST_RSA_BITS} are needed")]
    ShortRsa {
        /// What it has.
        bits: usize,
    },
    /// The key is on another curve than the three of NIST.
    #[error("its key is on none of the curves P-256, P-384 and P-521")]
    Curve,
    /// The key is of another kind.
    #[error("its key is neither RSA nor EC nor Ed25519")]
    Kind,
    /// It is signed with a hash that can be forged.
    #[error("it is signed with MD5 or SHA-1")]
    Signature,
}

/// Why a text is no certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotACertificate {
    /// There is none in it.
    #[error("holds none in PEM form")]
    None,
    /// What is there cannot be read.
    #[error("holds something that is not X.509")]
    Malformed,
}

impl CertificateFacts {
    /// Reads one certificate in its binary form.
    pub fn from_der(der: &[u8]) -> Result<Self, NotACertificate> {
        let certificate = Certificate::from_der(der).map_err(|_| NotACertificate::Malformed)?;
        Self::of(&certificate)
    }

    /// Reads all certificates of a PEM file, in its order: one at least.
    pub fn from_pem(pem: &[u8]) -> Result<Vec<Self>, NotACertificate> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let chain = chain.map_err(|_| NotACertificate::Malformed)?;
        if chain.is_empty() {
            return Err(NotACertificate::None);
        }
        chain.iter().map(|der| Self::from_der(der)).collect()
    }

    fn of(certificate: &Certificate) -> Result<Self, NotACertificate> {
        let facts = certificate.tbs_certificate();
        let names = facts
            .get_extension::<SubjectAltName>()
            .map_err(|_| NotACertificate::Malformed)?
            .map(|(_, names)| names.0.iter().filter_map(name).collect())
            .unwrap_or_default();
        let signature = &certificate.signature_algorithm().oid;
        let weakness = if BROKEN_SIGNATURES.contains(signature) {
            Some(Weakness::Signature)
        } else {
            weakness_of_key(facts.subject_public_key_info())
        };
        let validity = facts.validity();
        Ok(Self {
            names,
            not_before: moment(validity.not_before),
            not_after: moment(validity.not_after),
            weakness,
        })
    }
}

/// Until when a certificate is good, whatever else it says.
pub fn end_of(der: &[u8]) -> Result<Timestamp, NotACertificate> {
    let certificate: Certificate =
        Certificate::from_der(der).map_err(|_| NotACertificate::Malformed)?;
    Ok(moment(certificate.tbs_certificate().validity().not_after))
}

/// When the lists of revoked certificates in a PEM file are to be replaced by newer ones, the first of them; `None` where none
/// says so.
pub fn next_revocation_list(pem: &[u8]) -> Result<Option<Timestamp>, NotACertificate> {
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(pem).collect();
    let lists = lists.map_err(|_| NotACertificate::Malformed)?;
    if lists.is_empty() {
        return Err(NotACertificate::None);
    }
    let next_of = |list: &CertificateRevocationListDer<'_>| {
        let list: CertificateList =
            CertificateList::from_der(list).map_err(|_| NotACertificate::Malformed)?;
        Ok(list.tbs_cert_list.next_update.map(moment))
    };
    let all: Result<Vec<_>, _> = lists.iter().map(next_of).collect();
    Ok(all?.into_iter().flatten().min())
}

/// Other kinds of names recognise nobody here.
fn name(name: &GeneralName) -> Option<Box<str>> {
    match name {
        GeneralName::DnsName(text) | GeneralName::UniformResourceIdentifier(text) => {
            Some(text.as_str().into())
        }
        _ => None,
    }
}

fn moment(time: Time) -> Timestamp {
    let seconds = i64::try_from(time.to_unix_duration().as_secs());
    let moment = seconds
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok());
    // Later than any clock here can show: the end of time.
    moment.unwrap_or(Timestamp::MAX)
}

fn weakness_of_key(key: &SubjectPublicKeyInfoOwned) -> Option<Weakness> {
    match key.algorithm.oid {
        RSA => {
            let bits = key.subject_public_key.as_bytes().and_then(rsa_bits);
            let bits = bits.unwrap_or_default();
            (bits < LEAST_RSA_BITS).then_some(Weakness::ShortRsa { bits })
        }
        EC => {
            let curve = key
                .algorithm
                .parameters
                .as_ref()
                .and_then(|curve| curve.decode_as::<ObjectIdentifier>().ok());
            let is_good = curve.is_some_and(|curve| GOOD_CURVES.contains(&curve));
            (!is_good).then_some(Weakness::Curve)
        }
        ED25519 => None,
        _ => Some(Weakness::Kind),
    }
}

/// The length of the modulus: the first number of the sequence (RFC 8017, A.1.1).
fn rsa_bits(key: &[u8]) -> Option<usize> {
    let sequence = AnyRef::from_der(key).ok()?;
    let modulus = UintRef::from_der_partial(sequence.value()).ok()?.0;
    let bytes = modulus.as_bytes();
    let first = bytes.first()?;
    Some(bytes.len() * 8 - first.leading_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_told_and_never_panics() {
        assert_eq!(CertificateFacts::from_pem(b""), Err(NotACertificate::None));
        let begin = "-----BEGIN CERTIFICATE-----\n";
        let end = "\n-----END CERTIFICATE-----\n";
        for body in ["", "AAAA", "MIIB", "not base64!"] {
            let pem = format!("{begin}{body}{end}");
            let read = CertificateFacts::from_pem(pem.as_bytes());
            assert_eq!(read, Err(NotACertificate::Malformed), "{body}");
        }
        assert_eq!(next_revocation_list(b"x"), Err(NotACertificate::None));
    }

    #[test]
    fn names_of_other_kinds_recognise_nobody() {
        let mut params = rcgen::CertificateParams::new(["a.test".to_owned()]).unwrap();
        params.subject_alt_names.extend([
            rcgen::SanType::IpAddress("127.0.0.1".parse().unwrap()),
            rcgen::SanType::Rfc822Name("a@b.test".try_into().unwrap()),
            rcgen::SanType::URI("spiffe://b.test/x".try_into().unwrap()),
        ]);
        params.not_after = rcgen::date_time_ymd(2030, 5, 17);
        let key = rcgen::KeyPair::generate().unwrap();
        let made = params.self_signed(&key).unwrap();
        let facts = CertificateFacts::from_der(made.der()).unwrap();
        let names: Vec<&str> = facts.names.iter().map(|name| &**name).collect();
        assert_eq!(names, ["a.test", "spiffe://b.test/x"]);
        assert_eq!(facts.not_after.to_string(), "2030-05-17T00:00:00Z");
        assert_eq!(facts.weakness, None);
    }

    #[test]
    fn the_length_of_a_modulus_is_counted_without_its_leading_zeros() {
        // SEQUENCE { INTEGER 0x0080_0001, INTEGER 3 }: 24 bits, written with a zero so that it is positive.
        let key = [0x30, 9, 2, 4, 0, 0x80, 0, 1, 2, 1, 3];
        assert_eq!(rsa_bits(&key), Some(24));
        for end in 0..key.len() - 3 {
            assert_eq!(rsa_bits(&key[..end]), None, "{end}");
        }
    }
}
