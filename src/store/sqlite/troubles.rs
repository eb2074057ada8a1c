//! What `SQLite` says → what it means for the store.

use rusqlite::{Error, ErrorCode};

use crate::store::{StoreError, Trouble};

/// Why a transaction or a question failed.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    /// The store does not work.
    Trouble(Trouble),
    /// A row holds what no version of this program writes; the store itself works.
    Row(String),
}

impl Failure {
    pub(super) fn of(error: &Error) -> Self {
        match error {
            Error::FromSqlConversionFailure(..)
            | Error::InvalidColumnType(..)
            | Error::IntegralValueOutOfRange(..) => Self::Row(error.to_string()),
            other => Self::Trouble(trouble(other)),
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Trouble(trouble) => Self::Unavailable(trouble),
            Failure::Row(reason) => Self::Corrupt(reason),
        }
    }
}

/// The trouble behind an error. `SQLite` tells a read-only file system and a limit on file sizes as errors of the disk.
pub(super) fn trouble(error: &Error) -> Trouble {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Trouble::Full,
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Trouble::ReadOnly,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Trouble::Locked,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Trouble::Damaged,
        Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) => Trouble::Disk,
        _ => Trouble::Other,
    }
}
