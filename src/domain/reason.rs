//! Why a delivery stands where it stands, as stable words.

use std::fmt;

/// A stable word in capitals that tells why a delivery will not arrive, or why it is not known.
///
/// New words may come with new gateways; programs must treat an unknown one as "other".
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reason(Box<str>);

impl Reason {
    /// The recipient's number is wrong in the eyes of the gateway.
    pub const GATEWAY_REJECTED_NUMBER: &'static str = "GATEWAY_REJECTED_NUMBER";
    /// The gateway took the request but its answer was not understood, or the exchange broke.
    pub const GATEWAY_OUTCOME_UNKNOWN: &'static str = "GATEWAY_OUTCOME_UNKNOWN";
    /// The process ended between the start of the attempt and the record of its outcome.
    pub const ATTEMPT_INTERRUPTED: &'static str = "ATTEMPT_INTERRUPTED";
    /// The gateway answered with a fault for the whole request.
    pub const GATEWAY_FAULT: &'static str = "GATEWAY_FAULT";
    /// The gateway does not accept the account's credentials.
    pub const GATEWAY_CREDENTIALS_REJECTED: &'static str = "GATEWAY_CREDENTIALS_REJECTED";
    /// The gateway could not be reached: name, connection, TLS or time-out before anything was written.
    pub const GATEWAY_UNREACHABLE: &'static str = "GATEWAY_UNREACHABLE";
    /// More messages were handed over than one request may carry.
    pub const GATEWAY_BATCH_LIMIT: &'static str = "GATEWAY_BATCH_LIMIT";
    /// The text holds characters that the gateway's protocol cannot carry.
    pub const TEXT_UNREPRESENTABLE: &'static str = "TEXT_UNREPRESENTABLE";
    /// The stored text or number cannot be opened with the installation's key.
    pub const STORE_UNREADABLE: &'static str = "STORE_UNREADABLE";
    /// The machine's clock went back while no process ran, so nobody can say whether the code is late.
    pub const CLOCK_WENT_BACK: &'static str = "CLOCK_WENT_BACK";
    /// A report says that the message's validity ran out before the handset was reached.
    pub const REPORTED_EXPIRED: &'static str = "REPORTED_EXPIRED";
    /// A report says that the message was rejected after the gateway had taken it.
    pub const REPORTED_REJECTED: &'static str = "REPORTED_REJECTED";
    /// Between acceptance and submission its sender ceased to be usable, and no other way is left.
    pub const ALIAS_NOT_USABLE: &'static str = "ALIAS_NOT_USABLE";
    /// Between acceptance and submission its account ceased to send to the number's region, and no other way is left.
    pub const RECIPIENT_COUNTRY_NOT_ALLOWED: &'static str = "RECIPIENT_COUNTRY_NOT_ALLOWED";
    /// Its time ran out before a gateway took it.
    pub const TIME_RAN_OUT: &'static str = "TIME_RAN_OUT";

    /// One of the words above, or one from configuration; `None` unless it is 3 to 64 of `A-Z 0-9 _`, beginning with a
    /// letter.
    pub fn parse(word: &str) -> Option<Self> {
        let well_formed = (3..=64).contains(&word.len())
            && word.starts_with(|first: char| first.is_ascii_uppercase())
            && word
                .bytes()
                .all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_'));
        well_formed.then(|| Self(word.into()))
    }

    /// A word that is known to be well formed.
    pub fn known(word: &'static str) -> Self {
        Self(word.into())
    }

    /// What a gateway's numeric code means where nothing more is known: `GATEWAY_CODE_M7` for −7.
    pub fn gateway_code(code: i64) -> Self {
        let sign = if code < 0 { "M" } else { "" };
        Self(format!("GATEWAY_CODE_{sign}{}", code.unsigned_abs()).into())
    }

    /// An HTTP status in place of an answer.
    pub fn gateway_http(status: u16) -> Self {
        Self(format!("GATEWAY_HTTP_{status}").into())
    }

    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
