//! What the citizen sees as the origin of a message.

use std::fmt;

use thiserror::Error;

/// The one numeric sender of Mensajería Negocios, common to all its customers (guide, 2.1.1).
pub const COMMON_SENDER: &str = "217812";

/// What recipients abroad see instead of the account's own sender (guide, 2.1.2).
pub const INTERNATIONAL_SENDER: &str = "638444812";

/// An alphanumeric sender by the grammar of the CNMC registry: case-sensitive, compared byte for byte, never trimmed or
/// transliterated (rule 1.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Alias(Box<str>);

/// Why a text is not an alias.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AliasError {
    /// Not 3 to 11 characters long.
    #[error("an alias has 3 to 11 characters")]
    Length,
    /// Some character is outside the registry's alphabet.
    #[error("an alias is made of A-Z a-z ñ Ñ ç Ç 0-9, space and @ & - _ . +")]
    Alphabet,
    /// Digits alone.
    #[error("an alias is not made of digits alone; 217812 is the only numeric sender")]
    OnlyDigits,
    /// Space at an end, or two in a row.
    #[error("an alias has no space at its ends and no two in a row")]
    Spaces,
}

impl Alias {
    /// Parses an alias by the registry's grammar (Orden TDF/149/2025, Circular 1/2026; rule 1.1).
    pub fn parse(text: &str) -> Result<Self, AliasError> {
        if !(3..=11).contains(&text.chars().count()) {
            return Err(AliasError::Length);
        }
        let in_alphabet = |c: char| c.is_ascii_alphanumeric() || "ñÑçÇ @&-_.+".contains(c);
        if !text.chars().all(in_alphabet) {
            return Err(AliasError::Alphabet);
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(AliasError::OnlyDigits);
        }
        if text.starts_with(' ') || text.ends_with(' ') || text.contains("  ") {
            return Err(AliasError::Spaces);
        }
        Ok(Self(text.into()))
    }

    /// The alias, byte for byte as inscribed.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A sender that an account holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sender {
    /// An alphanumeric sender of the administration.
    Alias(Alias),
    /// The numeric sender common to all ([`COMMON_SENDER`]).
    Common,
    /// The number that recipients abroad see, where the account writes it in its requests. Comes from configuration alone:
    /// [`Sender::parse`] never makes one.
    International(InternationalNumber),
}

/// A number that recipients abroad see: digits only.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InternationalNumber(Box<str>);

impl InternationalNumber {
    /// Parses 3 to 15 digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits =
            (3..=15).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_digit());
        digits.then(|| Self(text.into()))
    }

    /// As shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Sender {
    /// Parses `217812` or an alias.
    pub fn parse(text: &str) -> Result<Self, AliasError> {
        if text == COMMON_SENDER {
            Ok(Self::Common)
        } else {
            Alias::parse(text).map(Self::Alias)
        }
    }

    /// Takes back what the store kept: what routing chose, the number shown abroad included.
    pub fn from_stored(text: &str) -> Result<Self, AliasError> {
        Self::parse(text).or_else(|error| {
            InternationalNumber::parse(text)
                .map(Self::International)
                .ok_or(error)
        })
    }

    /// The sender as a gateway takes it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Alias(alias) => alias.as_str(),
            Self::Common => COMMON_SENDER,
            Self::International(number) => number.as_str(),
        }
    }
}

impl fmt::Display for Sender {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What the citizen sees: one of the account's senders, or the number that the platform shows abroad.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EffectiveSender(Box<str>);

impl EffectiveSender {
    /// The sender as shown at home.
    pub fn national(sender: &Sender) -> Self {
        Self(sender.as_str().into())
    }

    /// The number shown abroad: 3 to 15 digits.
    pub fn international(number: &str) -> Option<Self> {
        InternationalNumber::parse(number).map(|number| Self(number.0))
    }

    /// Takes back what the store kept.
    pub fn from_stored(text: &str) -> Self {
        Self(text.into())
    }

    /// As shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stored_parses_back_as_the_same_sender() {
        let abroad = InternationalNumber::parse(INTERNATIONAL_SENDER).unwrap();
        for sender in [
            Sender::Common,
            Sender::parse("ClaveMadrid").unwrap(),
            Sender::International(abroad),
        ] {
            assert_eq!(Sender::from_stored(sender.as_str()), Ok(sender));
        }
        assert!(Sender::from_stored("12").is_err());
    }

    #[test]
    fn nobody_can_ask_for_the_number_shown_abroad() {
        let refused = Sender::parse(INTERNATIONAL_SENDER).unwrap_err();
        assert_eq!(refused, AliasError::OnlyDigits);
        assert_eq!(InternationalNumber::parse("+638444812"), None);
    }
}
