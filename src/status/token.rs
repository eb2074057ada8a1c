//! Resume tokens: a place in the log of changes of one store, opaque to callers.

use std::fmt;

use thiserror::Error;

use crate::store::{ChangePlace, StoreId};

/// Changes with the form of the token, so that a later form is told from this one.
const VERSION: &str = "1";

/// Where to go on: good for this installation's store alone, whatever is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResumeToken {
    store: StoreId,
    place: ChangePlace,
}

/// Why a resume token is of no use here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "is not a token of this installation's store as it is now: begin again without one, and ask ListDeliveries for what changed meanwhile"
)]
pub struct ResumeTokenError;

impl ResumeToken {
    /// The token of a place.
    pub fn new(store: StoreId, place: ChangePlace) -> Self {
        Self { store, place }
    }

    /// Parses a token.
    pub fn parse(text: &str) -> Result<Self, ResumeTokenError> {
        Self::read(text).ok_or(ResumeTokenError)
    }

    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, store) = (parts.next()?, parts.next()?);
        let (number, mark) = (parts.next()?, parts.next()?);
        let is_hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
        // What follows reads signs too, and texts of any length.
        if version != VERSION || parts.next().is_some() || store.len() != 32 || !is_hex(store) {
            return None;
        }
        let number_of = |part: &str| is_hex(part).then(|| i64::from_str_radix(part, 16).ok())?;
        Some(Self {
            store: StoreId::from_bytes(u128::from_str_radix(store, 16).ok()?.to_be_bytes()),
            place: ChangePlace {
                number: number_of(number)?,
                mark: number_of(mark)?,
            },
        })
    }

    /// The place, if it is one of this store.
    pub fn place_in(&self, store: StoreId) -> Result<ChangePlace, ResumeTokenError> {
        if self.store == store {
            Ok(self.place)
        } else {
            Err(ResumeTokenError)
        }
    }
}

impl fmt::Display for ResumeToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { store, place } = self;
        let store = u128::from_be_bytes(*store.as_bytes());
        write!(
            formatter,
            "{VERSION}-{store:032x}-{:x}-{:x}",
            place.number, place.mark
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_own_store_alone() {
        let (store, place) = (
            StoreId::from_bytes([3; 16]),
            ChangePlace {
                number: 4711,
                mark: 1_700_000_000_000_000,
            },
        );
        let token = ResumeToken::parse(&ResumeToken::new(store, place).to_string()).unwrap();
        assert_eq!(token.place_in(store), Ok(place));
        assert_eq!(token.place_in(StoreId::random()), Err(ResumeTokenError));
    }

    #[test]
    fn something_else_is_no_token() {
        let store = "0".repeat(32);
        for text in [
            String::new(),
            "-".into(),
            "1".into(),
            format!("2-{store}-1-1"),
            format!("1-{store}-1"),
            format!("1-{store}-1-1-1"),
            format!("1-{store}-+1-1"),
            format!("1-{store}--1-1"),
            format!("1-{store}-ffffffffffffffff-1"),
            format!("1-{store}-é-1"),
            "1-+0000000000000000000000000000000-1-1".into(),
        ] {
            assert!(ResumeToken::parse(&text).is_err(), "{text}");
        }
        assert!(ResumeToken::parse(&format!("1-{store}-1-1")).is_ok());
    }
}
