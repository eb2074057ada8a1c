//! Page tokens: a place in a list, good for that list alone.

use std::fmt;

use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::store::{ListFilter, Sequence};

/// A place in a list: opaque to callers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageToken {
    place: i64,
    list: u32,
}

/// Why a page token is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "is not a token of this list: begin again without one, or keep the filters of the first page"
)]
pub struct PageTokenError;

impl PageToken {
    /// The token of a place in the list of this filter.
    pub fn new(place: Sequence, filter: &ListFilter) -> Self {
        Self {
            place: place.0,
            list: list_of(filter),
        }
    }

    /// Parses a token.
    pub fn parse(text: &str) -> Result<Self, PageTokenError> {
        let (list, place) = text.split_once('-').ok_or(PageTokenError)?;
        Ok(Self {
            place: i64::from_str_radix(place, 16).map_err(|_| PageTokenError)?,
            list: u32::from_str_radix(list, 16).map_err(|_| PageTokenError)?,
        })
    }

    /// The place, if the token belongs to the list of this filter.
    pub fn place_in(&self, filter: &ListFilter) -> Result<Sequence, PageTokenError> {
        if self.list == list_of(filter) {
            Ok(Sequence(self.place))
        } else {
            Err(PageTokenError)
        }
    }
}

impl fmt::Display for PageToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:08x}-{:x}", self.list, self.place)
    }
}

/// Tells lists apart; not a secret: what a caller may see is checked on every page.
fn list_of(filter: &ListFilter) -> u32 {
    let digest = Sha256::digest(format!("{filter:?}"));
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Reference;

    #[test]
    fn a_token_is_good_for_its_own_list_alone() {
        let all = ListFilter::default();
        let token = PageToken::new(Sequence(4711), &all);
        let read = PageToken::parse(&token.to_string()).unwrap();
        assert_eq!(read.place_in(&all), Ok(Sequence(4711)));
        let other = ListFilter {
            reference: Some(Reference::parse("a").unwrap()),
            ..ListFilter::default()
        };
        assert_eq!(read.place_in(&other), Err(PageTokenError));
    }

    #[test]
    fn something_else_is_no_token() {
        for text in ["", "-", "1", "zz-1", "1-zz", "123456789-1"] {
            assert!(PageToken::parse(text).is_err(), "{text}");
        }
    }
}
