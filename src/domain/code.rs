//! The secret parts of a delivery: the one-time code and the text that carries it.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

/// Shortest and longest accepted code, in characters. Real lengths are not public (rule 3.1), so the range is wide.
const CODE_CHARACTERS: std::ops::RangeInclusive<usize> = 3..=12;

/// A one-time code: 3 to 12 of `A-Z a-z 0-9`. Never printed; wiped from memory when dropped.
#[derive(Clone)]
pub struct OneTimeCode(SecretString);

/// Why a text is not a one-time code. Says nothing about the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("must be 3 to 12 characters of A-Z, a-z and 0-9")]
pub struct OneTimeCodeError;

impl OneTimeCode {
    /// Longest code that is accepted, in characters; templates must leave room for it.
    pub const MAX_CHARACTERS: usize = *CODE_CHARACTERS.end();

    /// Takes the secret as it came and keeps it only if it is well formed.
    pub fn parse(secret: SecretString) -> Result<Self, OneTimeCodeError> {
        let text = secret.expose_secret();
        let well_formed = CODE_CHARACTERS.contains(&text.len())
            && text
                .bytes()
                .all(|character| character.is_ascii_alphanumeric());
        if well_formed {
            Ok(Self(secret))
        } else {
            Err(OneTimeCodeError)
        }
    }

    /// The code in clear: only for composing a text and for the keyed fingerprint of a request.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for OneTimeCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("OneTimeCode(•••)")
    }
}

/// A text that carries a code: as secret as the code.
#[derive(Clone)]
pub struct SecretText(SecretString);

impl SecretText {
    /// Takes a composed text.
    pub fn new(text: String) -> Self {
        Self(SecretString::from(text))
    }

    /// The text in clear: only for sealing it and for the bytes that go to a gateway.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretText(•••)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_codes_of_three_to_twelve_letters_and_digits() {
        for good in ["123", "748291", "AbC123", "123456789012"] {
            assert!(OneTimeCode::parse(good.into()).is_ok(), "{good}");
        }
        for bad in ["", "12", "1234567890123", "12 456", "12345é", "12-456"] {
            assert!(OneTimeCode::parse(bad.into()).is_err(), "{bad}");
        }
    }

    #[test]
    fn prints_no_secret() {
        let code = OneTimeCode::parse("748291".into()).unwrap();
        let text = SecretText::new("su código es 748291".into());
        assert!(!format!("{code:?} {text:?}").contains("748291"));
    }
}
