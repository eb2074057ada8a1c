//! The citizen's mobile number.

use std::{fmt, str::FromStr as _};

use rlibphonenumber::{PhoneNumber, PhoneNumberType};
use thiserror::Error;

/// Whether a recipient's number is Spanish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Destination {
    /// A number of region ES.
    National,
    /// Any other number.
    International,
}

impl Destination {
    /// The name used in tables, metrics and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::National => "NATIONAL",
            Self::International => "INTERNATIONAL",
        }
    }
}

/// Region of a number: two letters of ISO 3166-1.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Region([u8; 2]);

impl Region {
    /// Spain.
    pub const ES: Self = Self(*b"ES");

    /// Parses two capital letters.
    pub fn parse(text: &str) -> Option<Self> {
        let letters: [u8; 2] = text.as_bytes().try_into().ok()?;
        letters
            .iter()
            .all(u8::is_ascii_uppercase)
            .then_some(Self(letters))
    }

    /// The two letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("??")
    }

    /// Whether numbers of this region are Spanish ones.
    pub fn destination(self) -> Destination {
        if self == Self::ES {
            Destination::National
        } else {
            Destination::International
        }
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A mobile number that a code may go to. Which regions an account allows is the account's business, not the number's.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Recipient {
    e164: Box<str>,
    region: Region,
}

/// Why a text is not a number that a code may go to. Names the rule, never the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RecipientError {
    /// Not `^\+[1-9][0-9]{6,14}$`, or no such number exists.
    #[error("is not an existing number in the form +34600000000")]
    Malformed,
    /// A fixed line, or another number that takes no SMS.
    #[error("is not a mobile number")]
    NotMobile,
    /// Premium rate, shared cost, toll-free, personal numbers and the like.
    #[error("is a premium or special number")]
    PremiumOrSpecial,
    /// A satellite or other number of no country.
    #[error("belongs to no country")]
    NonGeographic,
}

impl Recipient {
    /// Parses an E.164 number and accepts it only if it is mobile and belongs to a country (rule 5.1).
    ///
    /// `tests/vectors/phone.csv`, made with the reference implementation, is the yardstick.
    pub fn parse(text: &str) -> Result<Self, RecipientError> {
        if !is_e164(text) {
            return Err(RecipientError::Malformed);
        }
        let number = PhoneNumber::from_str(text).map_err(|_| RecipientError::Malformed)?;
        if is_non_geographic(number.country_code) {
            return Err(RecipientError::NonGeographic);
        }
        if !number.is_valid() {
            return Err(RecipientError::Malformed);
        }
        match number.get_type() {
            PhoneNumberType::Mobile | PhoneNumberType::FixedLineOrMobile => {}
            PhoneNumberType::FixedLine
            | PhoneNumberType::VoIP
            | PhoneNumberType::VoiceMail
            | PhoneNumberType::UAN
            | PhoneNumberType::Pager => return Err(RecipientError::NotMobile),
            _ => return Err(RecipientError::PremiumOrSpecial),
        }
        let region = number
            .get_region_code()
            .and_then(|region| Region::parse(region.as_region_str().as_ref()))
            .ok_or(RecipientError::NonGeographic)?;
        if region == Region::ES && !is_spanish_mobile(text) {
            return Err(RecipientError::NotMobile);
        }
        Ok(Self {
            e164: text.into(),
            region,
        })
    }

    /// Takes back a number that was parsed before it was stored.
    pub fn from_stored(e164: &str, region: Region) -> Self {
        Self {
            e164: e164.into(),
            region,
        }
    }

    /// The full number: only for the gateway, for sealing and for keyed hashing.
    pub fn expose_e164(&self) -> &str {
        &self.e164
    }

    /// The nine digits of a Spanish number; `None` for others.
    pub fn expose_national_digits(&self) -> Option<&str> {
        match self.destination() {
            Destination::National => self.e164.strip_prefix("+34"),
            Destination::International => None,
        }
    }

    /// The region that the number belongs to.
    pub fn region(&self) -> Region {
        self.region
    }

    /// Spanish or not.
    pub fn destination(&self) -> Destination {
        self.region.destination()
    }

    /// The number for people's eyes: country code and the last three digits (rule 2.5).
    pub fn masked(&self) -> String {
        mask(&self.e164)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Recipient({})", self.masked())
    }
}

fn mask(e164: &str) -> String {
    let country = PhoneNumber::from_str(e164).map_or(String::new(), |n| n.country_code.to_string());
    let last = &e164[e164.len().saturating_sub(3)..];
    format!("+{country}•••••{last}")
}

fn is_e164(text: &str) -> bool {
    let Some(digits) = text.strip_prefix('+') else {
        return false;
    };
    (7..=15).contains(&digits.len())
        && !digits.starts_with('0')
        && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Country codes that belong to no country: universal freephone 800, shared cost 808, satellite 870, 881 and 882/883,
/// personal 878, disaster relief 888, premium 979. `libphonenumber` calls some of them mobile (rule 5.1).
fn is_non_geographic(country_code: i32) -> bool {
    matches!(country_code, 800 | 808 | 870 | 878 | 881..=883 | 888 | 979)
}

/// `^\+34(6\d{8}|7[1-48]\d{7})$` (rule 5.1); length and digits are known to be right.
fn is_spanish_mobile(e164: &str) -> bool {
    let national = e164.strip_prefix("+34").unwrap_or_default().as_bytes();
    national.len() == 9
        && (national[0] == b'6'
            || (national[0] == b'7' && matches!(national[1], b'1'..=b'4' | b'8')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_only_the_country_and_the_last_three_digits() {
        let recipient = Recipient::parse("+34600000078").unwrap();
        assert_eq!(recipient.masked(), "+34•••••078");
        assert_eq!(format!("{recipient:?}"), "Recipient(+34•••••078)");
    }

    #[test]
    fn a_national_number_has_nine_digits() {
        let national = Recipient::parse("+34600000078").unwrap();
        assert_eq!(national.expose_national_digits(), Some("600000078"));
        let abroad = Recipient::parse("+351912345678").unwrap();
        assert_eq!(abroad.expose_national_digits(), None);
        assert_eq!(abroad.region().as_str(), "PT");
    }
}
