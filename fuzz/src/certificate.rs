//! Whatever a peer shows as its certificate: whom it names stands there, in the one place where names count.

use clave_otp::domain::{CertificateFacts, end_of};

/// `subjectAltName`, as its identifier is written (RFC 5280, 4.2.1.6).
const ALTERNATIVE_NAMES: &[u8] = &[0x06, 0x03, 0x55, 0x1d, 0x11];

/// How a DNS name and a URI begin there.
const TAGS: [u8; 2] = [0x82, 0x86];

/// Fails where a name is told that is not written there in full, with its length, as a DNS name or a URI, and in that order. The
/// names are looked for in the bytes: no other reader is needed.
pub fn check(der: &[u8]) {
    let Ok(facts) = CertificateFacts::from_der(der) else {
        return;
    };
    assert_eq!(end_of(der), Ok(facts.not_after));
    if facts.names.is_empty() {
        return;
    }
    let mut rest = behind(der, ALTERNATIVE_NAMES).expect("names and no alternative names");
    for name in &facts.names {
        let ways = TAGS
            .iter()
            .filter_map(|tag| behind(rest, &written(*tag, name)));
        // The first of the two ways: what follows may need all that is left.
        let next = ways.max_by_key(|left| left.len());
        rest =
            next.unwrap_or_else(|| panic!("{name:?} does not stand there, or not in this order"));
    }
}

/// What follows the first place where the bytes stand.
fn behind<'a>(bytes: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    let place = bytes
        .windows(wanted.len())
        .position(|some| some == wanted)?;
    Some(&bytes[place + wanted.len()..])
}

/// A name with its tag and its length, as DER has it.
fn written(tag: u8, name: &str) -> Vec<u8> {
    let length = name.len().to_be_bytes();
    let zeros = length.iter().take_while(|byte| **byte == 0).count();
    let digits = &length[zeros..];
    let mut all = vec![tag];
    if name.len() < 0x80 {
        all.push(digits.first().copied().unwrap_or(0));
    } else {
        all.push(0x80 | u8::try_from(digits.len()).expect("eight at most"));
        all.extend_from_slice(digits);
    }
    all.extend_from_slice(name.as_bytes());
    all
}
