//! What is asked of the platform and of the recipient.

use std::{fmt, time::Duration};

use thiserror::Error;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{FileContent, LibraryFileName, text::forms_a_tag};
use crate::domain::IdError;

/// Identifies a certified message of ours: `certifiedMessages/{id}`; travels as the platform's `Referenciausuario`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CertifiedId(Uuid);

impl CertifiedId {
    /// What a reference begins with that names a certified message and not a delivery.
    const PREFIX: &'static str = "c-";

    /// A new id made at `now`.
    pub fn new(now: jiff::Timestamp) -> Self {
        let seconds = u64::try_from(now.as_second()).unwrap_or_default();
        let nanoseconds = u32::try_from(now.subsec_nanosecond()).unwrap_or_default();
        let moment = uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanoseconds);
        Self(Uuid::new_v7(moment))
    }

    /// The id from its 16 bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// Its 16 bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// Parses the resource name.
    pub fn parse_name(name: &str) -> Result<Self, IdError> {
        name.strip_prefix("certifiedMessages/")
            .and_then(|id| Uuid::try_parse(id).ok())
            .map(Self)
            .ok_or(IdError::new("must be certifiedMessages/{id}"))
    }

    /// The resource name.
    pub fn name(&self) -> String {
        format!("certifiedMessages/{}", self.0)
    }

    /// As the platform is given it.
    pub fn reference(&self) -> String {
        format!("{}{}", Self::PREFIX, self.0)
    }

    /// Back from the platform; `None` for what is no reference of a certified message.
    pub fn from_reference(text: &str) -> Option<Self> {
        let id = text.trim().strip_prefix(Self::PREFIX)?;
        Uuid::try_parse(id).ok().map(Self)
    }
}

impl fmt::Display for CertifiedId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The platform's number of a message or of a group of messages: `Idmensaje`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageGroup(u64);

impl MessageGroup {
    /// A number above zero.
    pub const fn new(number: u64) -> Option<Self> {
        if number == 0 {
            None
        } else {
            Some(Self(number))
        }
    }

    /// The number.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// What kind of message: `Tipocontrato` (API 7.0; confidence A).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CertifiedKind {
    /// A certified SMS.
    Certified,
    /// A contract closed by an answer.
    ContractByReply,
    /// A contract in a PDF, accepted with a button.
    ContractByAcceptance,
    /// A contract in a PDF, accepted and signed by hand on the screen.
    ContractBySignature,
    /// Signed by hand, with the signer's identity verified by video and document.
    ContractByVerifiedSignature,
}

impl CertifiedKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::Certified,
        Self::ContractByReply,
        Self::ContractByAcceptance,
        Self::ContractBySignature,
        Self::ContractByVerifiedSignature,
    ];

    /// The platform's number of it.
    pub const fn number(self) -> u32 {
        match self {
            Self::Certified => 0,
            Self::ContractByReply => 1,
            Self::ContractByAcceptance => 18,
            Self::ContractBySignature => 50,
            Self::ContractByVerifiedSignature => 16434,
        }
    }

    /// The kind of that number.
    pub fn of_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// Whether it is of no use without a PDF.
    pub const fn needs_pdf(self) -> bool {
        matches!(
            self,
            Self::ContractByAcceptance
                | Self::ContractBySignature
                | Self::ContractByVerifiedSignature
        )
    }

    /// Whether it is a contract.
    pub const fn is_contract(self) -> bool {
        !matches!(self, Self::Certified)
    }
}

/// Number of an identity document, as the recipient must tell it. Masks itself.
#[derive(Clone, PartialEq, Eq)]
pub struct IdentityNumber(Zeroizing<String>);

impl IdentityNumber {
    /// Parses 5 to 15 letters and digits: which documents the platform takes is not told.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let plain =
            (5..=15).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        plain
            .then(|| Self(Zeroizing::new(text.to_ascii_uppercase())))
            .ok_or(IdError::new("must be 5 to 15 letters and digits"))
    }

    /// The number: only for the platform.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for IdentityNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("IdentityNumber(•••)")
    }
}

/// How the recipient proves who they are before the attachment opens: `Identificar` (certified SMS alone).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identification {
    /// Not at all.
    Open,
    /// By the number that got the message.
    Phone,
    /// By a PIN that the platform sends.
    OneTimePin,
    /// By telling the number of their document.
    Document(IdentityNumber),
    /// With a certificate of that document.
    Certificate(IdentityNumber),
}

/// Days in which the recipient may accept or refuse before they see the content: `Aceptacion`, 1 to 15 (certified SMS alone).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcceptanceDays(u8);

impl AcceptanceDays {
    /// 1 to 15 days.
    pub const fn new(days: u8) -> Option<Self> {
        if days >= 1 && days <= 15 {
            Some(Self(days))
        } else {
            None
        }
    }

    /// The days.
    pub const fn days(self) -> u8 {
        self.0
    }
}

/// How long the platform tries to reach the handset: `Vpd`, `Vph`, `Vpm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    minutes: u32,
}

/// Why a duration is no validity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("must be at least one minute and at most 20 days")]
pub struct ValidityError;

impl Validity {
    /// Whole minutes, rounded down: 1 minute to 20 days.
    pub fn new(duration: Duration) -> Result<Self, ValidityError> {
        let minutes = u32::try_from(duration.as_secs() / 60).map_err(|_| ValidityError)?;
        if (1..=20 * 24 * 60).contains(&minutes) {
            Ok(Self { minutes })
        } else {
            Err(ValidityError)
        }
    }

    /// Days, hours and minutes.
    pub const fn parts(self) -> (u32, u32, u32) {
        (
            self.minutes / (24 * 60),
            self.minutes / 60 % 24,
            self.minutes % 60,
        )
    }
}

/// A recipient's own values for the places in a text: 1 to 10. Mask themselves.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Variables(Vec<Zeroizing<String>>);

impl Variables {
    /// At most ten values, none of which forms a tag of the platform or holds a control character; at most 160 characters each.
    pub fn parse<'a>(values: impl IntoIterator<Item = &'a str>) -> Result<Self, IdError> {
        let values: Vec<Zeroizing<String>> = values
            .into_iter()
            .map(|value| Zeroizing::new(value.to_owned()))
            .collect();
        let is_plain = |value: &Zeroizing<String>| {
            value.chars().count() <= 160
                && !value.chars().any(char::is_control)
                && !forms_a_tag(value)
        };
        if values.len() <= 10 && values.iter().all(is_plain) {
            Ok(Self(values))
        } else {
            Err(IdError::new(
                "must be at most ten values of at most 160 characters, without tags of the platform",
            ))
        }
    }

    /// The values, the first is `Variable_1`: only for the platform.
    pub fn expose(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|value| value.as_str())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Variables({})", self.0.len())
    }
}

/// A document that goes with the message.
#[derive(Debug, Clone)]
pub enum Attachment {
    /// A file of the account's library: `(FILE:2:name)`.
    Library(LibraryFileName),
    /// A PDF within the request: `(BASE64:2:content)`.
    Inline(FileContent),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_comes_back_as_the_id_and_a_delivery_is_none() {
        let id = CertifiedId::new(jiff::Timestamp::UNIX_EPOCH);
        assert_eq!(CertifiedId::from_reference(&id.reference()), Some(id));
        assert_eq!(CertifiedId::parse_name(&id.name()), Ok(id));
        assert_eq!(CertifiedId::from_reference(&id.to_string()), None);
    }

    #[test]
    fn a_validity_is_days_hours_and_minutes() {
        let validity = |seconds| Validity::new(Duration::from_secs(seconds));
        assert_eq!(validity(60).unwrap().parts(), (0, 0, 1));
        assert_eq!(validity(3 * 86_400 + 3_700).unwrap().parts(), (3, 1, 1));
        assert!(validity(59).is_err() && validity(20 * 86_400 + 60).is_err());
    }

    #[test]
    fn nothing_of_a_citizen_is_printed() {
        let number = IdentityNumber::parse("00000000T").unwrap();
        let printed = format!("{:?}", Identification::Document(number));
        assert!(!printed.contains("0000"), "{printed}");
        let variables = Variables::parse(["Pedro"]).unwrap();
        assert!(!format!("{variables:?}").contains("Pedro"));
        assert!(Variables::parse(["(FILE:2:a.pdf)"]).is_err());
        assert!(Variables::parse(["a"; 11]).is_err());
    }
}
