//! Distinct types for distinct ids, so that none can be passed for another.

use std::fmt;

use thiserror::Error;
use uuid::Uuid;

/// Why a text is not the id it should be; names the rule, never the text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct IdError(&'static str);

impl IdError {
    pub(in crate::domain) const fn new(rule: &'static str) -> Self {
        Self(rule)
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Box<str>);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// Identifies a contracted SMS account in this installation: `madrid-mn`.
    AccountId
}
text_id! {
    /// Identifies an authenticated client of the gRPC API.
    CallerName
}
text_id! {
    /// The caller's own id of a delivery, at most 64 characters.
    Reference
}
text_id! {
    /// The id that a gateway gave to a message it took.
    GatewayMessageId
}
text_id! {
    /// Host name of the page that asks for the code, for the origin-bound last line (rule 4.4).
    OriginHost
}

fn is_slug(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.'))
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
}

impl AccountId {
    /// Parses an account id: 1 to 63 of `a-z 0-9 - _ .`, beginning with a letter or digit.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        if is_slug(text) {
            Ok(Self(text.into()))
        } else {
            Err(IdError(
                "must be 1 to 63 of a-z, 0-9, '-', '_' and '.', beginning with a letter or digit",
            ))
        }
    }
}

impl CallerName {
    /// Parses a caller's name: the same alphabet as an account id.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        if is_slug(text) {
            Ok(Self(text.into()))
        } else {
            Err(IdError(
                "must be 1 to 63 of a-z, 0-9, '-', '_' and '.', beginning with a letter or digit",
            ))
        }
    }
}

impl Reference {
    /// Parses a caller's reference: 1 to 64 printable characters.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let characters = text.chars().count();
        if (1..=64).contains(&characters) && !text.chars().any(char::is_control) {
            Ok(Self(text.into()))
        } else {
            Err(IdError(
                "must be at most 64 characters without control characters",
            ))
        }
    }
}

impl GatewayMessageId {
    /// Longest id that is kept, in bytes; gateways are not trusted to be brief.
    pub const MAX_BYTES: usize = 128;

    /// Keeps the id of a gateway if it is short and printable; `None` otherwise.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let usable = (1..=Self::MAX_BYTES).contains(&text.len())
            && text.chars().all(|c| c.is_ascii_graphic());
        usable.then(|| Self(text.into()))
    }
}

impl OriginHost {
    /// Parses a host name: dot-separated labels of letters, digits and hyphens, at most 63 characters in all, because
    /// the line that carries it must fit into one segment.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let label_is_good = |label: &str| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        if text.len() <= 63 && text.contains('.') && text.split('.').all(label_is_good) {
            Ok(Self(text.into()))
        } else {
            Err(IdError(
                "must be a host name in lower case, at most 63 characters",
            ))
        }
    }
}

/// Identifies a delivery: time-ordered (UUID version 7), so that the newest come last in an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryId(Uuid);

impl DeliveryId {
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

    /// Parses the resource name `deliveries/{id}`.
    pub fn parse_name(name: &str) -> Result<Self, IdError> {
        name.strip_prefix("deliveries/")
            .and_then(|id| Self::parse(id).ok())
            .ok_or(IdError("must be deliveries/{id}"))
    }

    /// Parses the id alone, as it travels in requests to gateways.
    pub fn parse(id: &str) -> Result<Self, IdError> {
        Uuid::try_parse(id)
            .map(Self)
            .map_err(|_| IdError("must be the id of a delivery"))
    }

    /// The resource name `deliveries/{id}`.
    pub fn name(&self) -> String {
        format!("deliveries/{}", self.0)
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The caller's id of one request; repeats with the same id are one delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId(Uuid);

impl RequestId {
    /// Parses a UUID; the nil UUID is refused because every forgetful client would share it.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        match Uuid::try_parse(text) {
            Ok(uuid) if !uuid.is_nil() => Ok(Self(uuid)),
            _ => Err(IdError("must be a UUID, one for each code")),
        }
    }

    /// Its 16 bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

/// Proves that an outcome belongs to the attempt that was recorded: made anew for each lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AttemptToken(Uuid);

impl AttemptToken {
    /// A token that nobody else holds.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// Its 16 bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

/// Tells one set of credentials from another without telling them: a keyed hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CredentialsVersion([u8; 16]);

impl CredentialsVersion {
    /// A version from its 16 bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_name_survives_a_round_trip() {
        let id = DeliveryId::new(jiff::Timestamp::UNIX_EPOCH);
        assert_eq!(DeliveryId::parse_name(&id.name()), Ok(id));
        assert!(DeliveryId::parse_name(&id.to_string()).is_err());
    }

    #[test]
    fn a_request_id_is_a_uuid_of_its_own() {
        assert!(RequestId::parse("6f1ed002-ab5c-4d3e-8a0e-1e2d3c4b5a69").is_ok());
        assert!(RequestId::parse("00000000-0000-0000-0000-000000000000").is_err());
        assert!(RequestId::parse("1").is_err());
    }

    #[test]
    fn an_origin_is_a_plain_host_name() {
        for good in ["clave.gob.es", "sede.example.gob.es"] {
            assert!(OriginHost::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "localhost",
            "Clave.gob.es",
            "a b.es",
            "clave.gob.es/x",
            ".es",
            "-a.es",
        ] {
            assert!(OriginHost::parse(bad).is_err(), "{bad}");
        }
    }
}
