//! What a gateway says later about a message that it was handed.

use std::fmt;

use subtle::ConstantTimeEq as _;

use super::{DeliveryId, GatewayMessageId, Reason};

/// What a gateway says later about one message.
///
/// It belongs to the delivery that our own reference names, where the protocol carried one; else to the one that was
/// accepted under its message id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Our own reference, where the protocol brings it back.
    pub delivery: Option<DeliveryId>,
    /// The gateway's id of the message.
    pub message_id: Option<GatewayMessageId>,
    /// Whom the gateway names as the recipient: a report about somebody else's message is not believed. `None` where it names
    /// nobody who can be read; adapters let that pass only where our own reference names the delivery.
    pub recipient: Option<ReportedNumber>,
    /// What it means to us.
    pub news: News,
    /// The gateway's own word, as it came.
    pub status: ReportedStatus,
}

/// What a report means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// The handset has it.
    Delivered,
    /// It will not arrive.
    Failed(Reason),
    /// Nothing is decided yet.
    Waiting,
    /// No word of the gateway's that we know: counted and kept, changes nothing.
    Unknown,
}

impl News {
    /// The name used in metrics and in the store.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed(_) => "failed",
            Self::Waiting => "waiting",
            Self::Unknown => "unknown",
        }
    }
}

/// The gateway's own word for what became of a message, short and printable: never an echo of a text or a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportedStatus(Box<str>);

impl ReportedStatus {
    /// Longest word that is kept, in bytes.
    const MAX_BYTES: usize = 32;

    /// Keeps the word if it is short and made of letters, digits, `_`, `-` and a sign, with fewer digits than a number or a
    /// code could have; otherwise `?`.
    pub fn of(word: &str) -> Self {
        let word = word.trim();
        let is_word = (1..=Self::MAX_BYTES).contains(&word.len())
            && word
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
            && word.bytes().filter(u8::is_ascii_digit).count() <= 4;
        Self(if is_word { word } else { "?" }.into())
    }

    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What digits without `+` or `00` in front are to a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BareDigits {
    /// Nine of them that may be a Spanish mobile number are one; others begin with the code of a country, as the nine of Andorra.
    National,
    /// They begin with the code of a country, however many they are.
    WithCountry,
}

/// A number in whatever form a gateway writes it, brought to E.164 as far as that can be told. Masks itself.
#[derive(Clone, PartialEq, Eq)]
pub struct ReportedNumber(Box<str>);

impl ReportedNumber {
    /// Reads `+34600000001`, `0034600000001`, `34600000001` and, as the protocol has it, `600000001`, each also in groups as
    /// people write it; `None` for what is no whole number.
    pub fn parse(text: &str, bare: BareDigits) -> Option<Self> {
        let between_groups = |c: char| matches!(c, ' ' | '\u{a0}' | '-' | '.' | '(' | ')');
        let text: String = text
            .trim()
            .chars()
            .filter(|c| !between_groups(*c))
            .collect();
        let foreign = text.strip_prefix('+').or_else(|| text.strip_prefix("00"));
        let digits = foreign.unwrap_or(&text);
        let is_number =
            (7..=15).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit());
        if !is_number {
            return None;
        }
        let is_national = bare == BareDigits::National
            && foreign.is_none()
            && digits.len() == 9
            && digits.starts_with(['6', '7']);
        let e164 = if is_national {
            format!("+34{digits}")
        } else {
            format!("+{digits}")
        };
        Some(Self(e164.into()))
    }

    /// The number as E.164: only for keyed hashing.
    pub fn expose_e164(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ReportedNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ReportedNumber(•••)")
    }
}

/// The unguessable part of an account's report address. Whoever knows it may report for the account: it masks itself, and is
/// compared in constant time.
#[derive(Clone, Copy)]
pub struct ReportPath([u8; 16]);

impl ReportPath {
    /// Of these 16 bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// As it stands in the address: 32 hexadecimal digits.
    pub fn expose(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.0))
    }

    /// Whether an address has it; the time that this takes tells nothing of where they differ.
    pub fn is(&self, text: &str) -> bool {
        self.expose().as_bytes().ct_eq(text.as_bytes()).into()
    }
}

impl fmt::Debug for ReportPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ReportPath(•••)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_number_is_the_same_number() {
        for form in [
            "+34600000001",
            "0034600000001",
            "34600000001",
            "600000001",
            " 600000001 ",
            "+34 600 000 001",
            "0034-600-000-001",
            "(+34) 600.000.001",
            "600\u{a0}00\u{a0}00\u{a0}01",
        ] {
            let number = ReportedNumber::parse(form, BareDigits::National).unwrap();
            assert_eq!(number.expose_e164(), "+34600000001", "{form:?}");
        }
        let abroad = ReportedNumber::parse("00351912345678", BareDigits::National).unwrap();
        assert_eq!(abroad.expose_e164(), "+351912345678");
        for (form, bare, e164) in [
            // Nine digits of Andorra and of New Caledonia.
            ("376312345", BareDigits::National, "+376312345"),
            ("376312345", BareDigits::WithCountry, "+376312345"),
            ("687712345", BareDigits::WithCountry, "+687712345"),
            ("34600000001", BareDigits::WithCountry, "+34600000001"),
            ("0034600000001", BareDigits::WithCountry, "+34600000001"),
        ] {
            let number = ReportedNumber::parse(form, bare).unwrap();
            assert_eq!(number.expose_e164(), e164, "{form} {bare:?}");
        }
        for no_number in [
            "",
            "+",
            "600",
            "60000000a",
            "+34 600 *** 001",
            "+34•••••001",
            "++34600000001",
            "oculto",
            " - ",
            "1234567890123456",
        ] {
            for bare in [BareDigits::National, BareDigits::WithCountry] {
                let parsed = ReportedNumber::parse(no_number, bare);
                assert!(parsed.is_none(), "{no_number:?}");
            }
        }
        assert!(!format!("{abroad:?}").contains("912"));
    }

    #[test]
    fn a_path_is_itself_alone_and_prints_nothing() {
        let path = ReportPath::from_bytes([0xa7; 16]);
        let text = path.expose();
        assert_eq!(text, "a7".repeat(16));
        assert!(path.is(&text));
        for other in [
            "",
            "a7",
            &text[1..],
            &format!("{text}0"),
            &text.replacen('a', "b", 1),
        ] {
            assert!(!path.is(other), "{other}");
        }
        assert!(!format!("{path:?}").contains("a7"));
    }

    #[test]
    fn only_a_word_is_kept_of_what_a_gateway_says() {
        for word in ["Delivered", "REJECTED", "-5", "1010", "UNDELIV_2"] {
            assert_eq!(ReportedStatus::of(word).as_str(), word);
        }
        for echo in [
            "",
            "su código es 748291",
            "34600000001",
            "a b",
            "x".repeat(33).as_str(),
        ] {
            assert_eq!(ReportedStatus::of(echo).as_str(), "?", "{echo:?}");
        }
    }
}
