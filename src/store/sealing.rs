//! Sealing of codes and numbers at rest, and keyed hashes where machines compare.
//!
//! One key file holds the installation's master key; three keys are derived from it (HKDF-SHA-256): one that seals
//! (AES-256-GCM), one that finds numbers again (HMAC-SHA-256; a bare hash of a Spanish mobile falls in minutes) and one
//! that compares requests.

use std::{fmt, path::Path};

use aes_gcm::{
    Aes256Gcm, Nonce,
    aead::{Aead as _, Generate as _, KeyInit as _, Payload},
};
use hmac::{Hmac, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;
use thiserror::Error;
use zeroize::Zeroizing;

use super::{
    Content,
    key_file::{self, KEY_BYTES},
};
use crate::domain::{
    AccountId, CredentialsVersion, DeliveryId, Recipient, Region, ReportPath, ReportedNumber,
    SecretText, certified::CertifiedId,
};

pub use key_file::KeyFileError;

const NONCE_BYTES: usize = 12;
/// `u32` key id, then the nonce, then the sealed bytes with their tag.
const HEADER_BYTES: usize = 4 + NONCE_BYTES;

/// A sealed value could not be opened: another key sealed it, or it was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("sealed with another key, or changed since")]
pub struct OpenError;

/// Seals, opens and compares with the keys of one installation.
pub struct Sealer {
    key_id: u32,
    cipher: Aes256Gcm,
    recipients: Hmac<Sha256>,
    fingerprints: Hmac<Sha256>,
    credentials: Hmac<Sha256>,
    report_paths: Hmac<Sha256>,
    check: [u8; 16],
}

/// Keyed hash of a number: the same number has the same hash in one installation and means nothing elsewhere.
pub type RecipientHash = [u8; 32];

/// Keyed hash of what a request said.
pub type Fingerprint = [u8; 32];

impl Sealer {
    /// Reads the key file, or makes it (mode 0600, on the disk before it is used) where there is none.
    pub fn from_file(path: &Path) -> Result<Self, KeyFileError> {
        let (key_id, key) = key_file::read_or_make(path)?;
        Ok(Self::from_key(key_id, &key))
    }

    /// A sealer with this master key.
    pub fn from_key(key_id: u32, master: &[u8; KEY_BYTES]) -> Self {
        let hkdf = hkdf::Hkdf::<Sha256>::new(Some(b"clave-otp v1"), master);
        let derive = |purpose: &[u8]| {
            let mut key = Zeroizing::new([0_u8; KEY_BYTES]);
            // 32 bytes are far below the 8,160 that HKDF-SHA-256 can give, its only failure.
            hkdf.expand(purpose, key.as_mut_slice())
                .expect("32 bytes are within HKDF's limit");
            key
        };
        let keyed = |purpose: &[u8]| {
            // HMAC takes keys of any length.
            <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(derive(purpose).as_slice())
                .expect("HMAC takes any key length")
        };
        let mut check = [0_u8; 16];
        check.copy_from_slice(
            &keyed(b"key check")
                .chain_update(key_id.to_be_bytes())
                .finalize()
                .into_bytes()[..16],
        );
        Self {
            key_id,
            cipher: Aes256Gcm::new(derive(b"seal").as_slice().try_into().expect("32 bytes")),
            recipients: keyed(b"recipients"),
            fingerprints: keyed(b"fingerprints"),
            credentials: keyed(b"credentials"),
            report_paths: keyed(b"report paths"),
            check,
        }
    }

    /// Tells one key from another without telling the key; kept in the store so that a wrong key is seen at start.
    pub fn check_value(&self) -> &[u8; 16] {
        &self.check
    }

    /// Keyed hash of a number.
    pub fn recipient_hash(&self, recipient: &Recipient) -> RecipientHash {
        self.number_hash(recipient.expose_e164())
    }

    /// Keyed hash of a number as a gateway names it: that of the recipient if it is the same number.
    pub fn reported_hash(&self, number: &ReportedNumber) -> RecipientHash {
        self.number_hash(number.expose_e164())
    }

    fn number_hash(&self, e164: &str) -> RecipientHash {
        self.recipients
            .clone()
            .chain_update(e164.as_bytes())
            .finalize()
            .into_bytes()
            .into()
    }

    /// The unguessable part of an account's report address: 128 bits that follow from the installation's key, so that nothing
    /// needs to be kept, and that another `version` makes new.
    pub fn report_path(&self, account: &AccountId, version: u32) -> ReportPath {
        let hash = self
            .report_paths
            .clone()
            .chain_update(version.to_be_bytes())
            .chain_update(account.as_str())
            .finalize()
            .into_bytes();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash[..16]);
        ReportPath::from_bytes(bytes)
    }

    /// Keyed hash of what a request said: comparing it tells a repeat from another request, and without the key it tells
    /// nothing about the code.
    pub fn fingerprint(&self, content: &Content) -> Fingerprint {
        self.fingerprints
            .clone()
            .chain_update(content.as_bytes())
            .finalize()
            .into_bytes()
            .into()
    }

    /// Tells one set of credentials from another.
    pub fn credentials_version(
        &self,
        user: &SecretString,
        password: &SecretString,
    ) -> CredentialsVersion {
        let hash = self
            .credentials
            .clone()
            .chain_update((user.expose_secret().len() as u64).to_be_bytes())
            .chain_update(user.expose_secret())
            .chain_update(password.expose_secret())
            .finalize()
            .into_bytes();
        let mut version = [0; 16];
        version.copy_from_slice(&hash[..16]);
        CredentialsVersion::from_bytes(version)
    }

    /// Seals a text for one delivery; it opens for no other.
    pub fn seal_text(&self, id: DeliveryId, text: &SecretText) -> Vec<u8> {
        self.seal(id.as_bytes(), b"text", text.expose().as_bytes())
    }

    /// Opens a text sealed for this delivery.
    pub fn open_text(&self, id: DeliveryId, sealed: &[u8]) -> Result<SecretText, OpenError> {
        let clear = self.open(id.as_bytes(), b"text", sealed)?;
        let text = std::str::from_utf8(&clear).map_err(|_| OpenError)?;
        Ok(SecretText::new(text.to_owned()))
    }

    /// Seals a number for one delivery.
    pub fn seal_recipient(&self, id: DeliveryId, recipient: &Recipient) -> Vec<u8> {
        self.seal_number(id.as_bytes(), b"recipient", recipient)
    }

    /// Seals the number of a recipient of a certified message.
    pub fn seal_certified_recipient(&self, id: CertifiedId, recipient: &Recipient) -> Vec<u8> {
        self.seal_number(id.as_bytes(), b"certified recipient", recipient)
    }

    /// Seals what a citizen said or did, for one certified message.
    pub fn seal_certified_detail(&self, id: CertifiedId, detail: &str) -> Vec<u8> {
        self.seal(id.as_bytes(), b"certified detail", detail.as_bytes())
    }

    fn seal_number(&self, id: &[u8; 16], field: &[u8], recipient: &Recipient) -> Vec<u8> {
        let mut clear = Zeroizing::new(String::with_capacity(18));
        clear.push_str(recipient.region().as_str());
        clear.push_str(recipient.expose_e164());
        self.seal(id, field, clear.as_bytes())
    }

    /// Opens a number sealed for this delivery.
    pub fn open_recipient(&self, id: DeliveryId, sealed: &[u8]) -> Result<Recipient, OpenError> {
        self.open_number(id.as_bytes(), b"recipient", sealed)
    }

    /// Opens the number of a recipient of a certified message.
    pub fn open_certified_recipient(
        &self,
        id: CertifiedId,
        sealed: &[u8],
    ) -> Result<Recipient, OpenError> {
        self.open_number(id.as_bytes(), b"certified recipient", sealed)
    }

    /// Opens what a citizen said or did.
    pub fn open_certified_detail(
        &self,
        id: CertifiedId,
        sealed: &[u8],
    ) -> Result<Zeroizing<String>, OpenError> {
        let clear = self.open(id.as_bytes(), b"certified detail", sealed)?;
        let text = std::str::from_utf8(&clear).map_err(|_| OpenError)?;
        Ok(Zeroizing::new(text.to_owned()))
    }

    fn open_number(
        &self,
        id: &[u8; 16],
        field: &[u8],
        sealed: &[u8],
    ) -> Result<Recipient, OpenError> {
        let clear = self.open(id, field, sealed)?;
        let text = std::str::from_utf8(&clear).map_err(|_| OpenError)?;
        let (region, e164) = text.split_at_checked(2).ok_or(OpenError)?;
        Ok(Recipient::from_stored(
            e164,
            Region::parse(region).ok_or(OpenError)?,
        ))
    }

    fn seal(&self, id: &[u8; 16], field: &[u8], clear: &[u8]) -> Vec<u8> {
        // A random nonce repeats with odds of one in a million only after 2^38 values, a thousand years of codes.
        let nonce = Nonce::generate();
        let sealed = self
            .cipher
            .encrypt(
                &nonce,
                Payload {
                    msg: clear,
                    aad: &bound_to(id, field),
                },
            )
            // Fails only for inputs of 64 GiB.
            .expect("texts and numbers are short");
        let mut bytes = Vec::with_capacity(HEADER_BYTES + sealed.len());
        bytes.extend_from_slice(&self.key_id.to_be_bytes());
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&sealed);
        bytes
    }

    fn open(
        &self,
        id: &[u8; 16],
        field: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let (key_id, rest) = sealed.split_at_checked(4).ok_or(OpenError)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_BYTES).ok_or(OpenError)?;
        if key_id != self.key_id.to_be_bytes() {
            return Err(OpenError);
        }
        let nonce = Nonce::try_from(nonce).map_err(|_| OpenError)?;
        self.cipher
            .decrypt(
                &nonce,
                Payload {
                    msg: sealed,
                    aad: &bound_to(id, field),
                },
            )
            .map(Zeroizing::new)
            .map_err(|_| OpenError)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Sealer(key {})", self.key_id)
    }
}

/// What a sealed value is bound to, so that a row cannot be given another's text or number.
fn bound_to(id: &[u8; 16], field: &[u8]) -> Vec<u8> {
    [id.as_slice(), field].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer() -> Sealer {
        Sealer::from_key(1, &[7; KEY_BYTES])
    }

    fn id() -> DeliveryId {
        DeliveryId::new(jiff::Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_report_address_follows_from_key_account_and_version_and_from_nothing_else() {
        let path = |key: u8, account: &str, version| {
            let account = AccountId::parse(account).unwrap();
            Sealer::from_key(1, &[key; KEY_BYTES])
                .report_path(&account, version)
                .expose()
        };
        let mut paths = std::collections::BTreeSet::new();
        for key in [7, 8] {
            for account in ["madrid-mn", "madrid-mn2"] {
                for version in [1, 2] {
                    let made = path(key, account, version);
                    assert_eq!(made, path(key, account, version), "after a restart too");
                    paths.insert(made);
                }
            }
        }
        assert_eq!(paths.len(), 8);
    }

    #[test]
    fn what_is_sealed_opens_for_its_own_delivery_alone() {
        let (sealer, id) = (sealer(), id());
        let bytes = sealer.seal_text(id, &SecretText::new("su código es 748291".into()));
        assert!(!String::from_utf8_lossy(&bytes).contains("748291"));
        let opened = sealer.open_text(id, &bytes).unwrap();
        assert_eq!(opened.expose(), "su código es 748291");
        assert!(sealer.open_text(self::id(), &bytes).is_err());
        assert!(sealer.open_recipient(id, &bytes).is_err());
        assert!(
            Sealer::from_key(1, &[8; KEY_BYTES])
                .open_text(id, &bytes)
                .is_err()
        );
        assert!(
            Sealer::from_key(2, &[7; KEY_BYTES])
                .open_text(id, &bytes)
                .is_err()
        );
    }

    #[test]
    fn a_number_comes_back_with_its_region() {
        let (sealer, id) = (sealer(), id());
        let recipient = Recipient::parse("+351912345678").unwrap();
        let bytes = sealer.seal_recipient(id, &recipient);
        assert_eq!(sealer.open_recipient(id, &bytes), Ok(recipient));
    }

    #[test]
    fn a_changed_or_cut_value_does_not_open() {
        let (sealer, id) = (sealer(), id());
        let bytes = sealer.seal_text(id, &SecretText::new("text".into()));
        for length in 0..bytes.len() {
            assert!(sealer.open_text(id, &bytes[..length]).is_err());
        }
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            assert!(sealer.open_text(id, &changed).is_err());
        }
    }
}
