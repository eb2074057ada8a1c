//! A lane closes because its gateway rejects the account's credentials, and opens again with others.

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, params};

use crate::{
    domain::{AccountId, CredentialsVersion},
    store::{
        LaneClosing,
        sqlite::{rows::micros, writer::Unit},
    },
};

/// The credentials that closed a lane.
pub(super) fn rejected_credentials(
    unit: &Unit<'_>,
    account: &AccountId,
) -> rusqlite::Result<Option<CredentialsVersion>> {
    unit.connection
        .prepare_cached("SELECT credentials FROM closed_lanes WHERE account = ?1")?
        .query_row(params![account.as_str()], |row| {
            row.get(0).map(CredentialsVersion::from_bytes)
        })
        .optional()
}

/// Closes a lane: its account takes nothing new and its gateway sees these credentials no more.
pub(in crate::store::sqlite) fn close_lane(
    unit: &mut Unit<'_>,
    closing: &LaneClosing,
    now: Timestamp,
) -> rusqlite::Result<()> {
    unit.connection
        .prepare_cached(
            "INSERT OR REPLACE INTO closed_lanes (account, credentials, close_time) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![
            closing.account.as_str(),
            closing.credentials.as_bytes(),
            micros(now)
        ])
        .map(drop)
}

/// Whether a lane may work with these credentials.
pub(in crate::store::sqlite) fn open_lane(
    unit: &mut Unit<'_>,
    account: &AccountId,
    credentials: CredentialsVersion,
) -> rusqlite::Result<bool> {
    if rejected_credentials(unit, account)? == Some(credentials) {
        return Ok(false);
    }
    unit.connection
        .prepare_cached("DELETE FROM closed_lanes WHERE account = ?1")?
        .execute(params![account.as_str()])?;
    Ok(true)
}
