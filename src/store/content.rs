//! What a request said, in a form whose keyed fingerprint can be compared and kept.

use std::fmt;

use zeroize::Zeroizing;

use super::ContentParts;

/// Every field of a request, each with its length before it, so that no two requests share a form. Holds the code: wiped
/// when dropped, never printed, never kept; only its keyed fingerprint is.
#[derive(Clone)]
pub struct Content(Zeroizing<Vec<u8>>);

impl Content {
    /// Writes the parts one after the other.
    pub fn of(parts: &ContentParts<'_>) -> Self {
        let expire_time = parts.expire_time.as_nanosecond().to_be_bytes();
        let fields: [&[u8]; 9] = [
            parts.administration.as_str().as_bytes(),
            parts.recipient.expose_e164().as_bytes(),
            parts.code.expose().as_bytes(),
            parts.purpose.as_str().as_bytes(),
            parts.language.as_bytes(),
            &expire_time,
            parts
                .origin
                .map_or(b"", |origin| origin.as_str().as_bytes()),
            parts
                .sender
                .map_or(b"", |sender| sender.as_str().as_bytes()),
            parts
                .reference
                .map_or(b"", |reference| reference.as_str().as_bytes()),
        ];
        Self::of_fields(&fields)
    }

    /// Writes these fields one after the other.
    pub fn of_fields(fields: &[&[u8]]) -> Self {
        // Room for all at once: growing would leave copies of the code behind.
        let length = fields.iter().map(|field| field.len() + 8).sum();
        let mut bytes = Zeroizing::new(Vec::with_capacity(length));
        for field in fields {
            bytes.extend_from_slice(&(field.len() as u64).to_be_bytes());
            bytes.extend_from_slice(field);
        }
        Self(bytes)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Content(•••)")
    }
}
