//! The log of changes, as the port tells it: places in it, entries, pages.
//!
//! Must not know: who reads it, how it is kept.

use uuid::Uuid;

use crate::domain::Delivery;

/// Tells one store from another: random, made with the store and kept in it. A restored backup has the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreId(Uuid);

impl StoreId {
    /// An id that no other store has.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// The id from its 16 bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// Its 16 bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

/// A place in the log: right behind one entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChangePlace {
    /// Number of the entry, in the order of commits; 0 before the first.
    pub number: i64,
    /// When the entry's delivery changed, in microseconds since 1970: tells the entry from another of the same number, as
    /// there is one after a backup was restored. 0 before the first.
    pub mark: i64,
}

/// One entry: a delivery as one change left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The place right behind it.
    pub place: ChangePlace,
    /// The delivery as of this change.
    pub delivery: Delivery,
}

/// What follows a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangePage {
    /// The next entries in their order; none at the end of the log.
    Changes(Vec<Change>),
    /// Entries behind this place are not kept any more: what followed is lost to the log.
    Forgotten,
    /// This log has no such place.
    Unknown,
}

/// How far a piece of forgetting came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForgottenChanges {
    /// Entries deleted.
    pub forgotten: u64,
    /// Entries left.
    pub kept: u64,
}
