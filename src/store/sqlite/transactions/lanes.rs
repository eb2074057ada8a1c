//! A lane closes, because its operator paused it or its gateway rejects the account's credentials, and opens again.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::{
    domain::{AccountId, CredentialsVersion},
    store::{
        ClosingCause, LaneClosing, LaneClosure,
        sqlite::{rows::micros, writer::Unit},
    },
};

/// Why a lane takes nothing, where it does not.
pub(in crate::store::sqlite) fn closure_of(
    connection: &Connection,
    account: &AccountId,
) -> rusqlite::Result<Option<LaneClosure>> {
    let known: Option<(bool, bool, bool)> = connection
        .prepare_cached(
            "SELECT rejected_credentials IS NOT NULL, no_credit, paused FROM lanes WHERE account = ?1",
        )?
        .query_row(params![account.as_str()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    Ok(match known {
        // Told first: resuming alone would not help for long.
        Some((true, ..)) => Some(LaneClosure::CredentialsRejected),
        Some((false, true, _)) => Some(LaneClosure::NoCredit),
        Some((false, false, true)) => Some(LaneClosure::Paused),
        _ => None,
    })
}

/// Whether one more delivery that expires then is expected to be with the account's gateway in time, behind all that waits
/// there. A lane that has not reported is believed.
pub(super) fn is_in_time(
    unit: &Unit<'_>,
    account: &AccountId,
    now: Timestamp,
    expire_time: Timestamp,
) -> bool {
    let waiting = unit.waiting_for(account);
    let report = unit.lanes.report(account);
    report.map_or(now < expire_time, |report| {
        report.is_in_time(waiting, now, expire_time)
    })
}

/// Closes a lane: its account takes nothing new and its gateway is asked no more, or sees these credentials no more.
pub(in crate::store::sqlite) fn close_lane(
    unit: &mut Unit<'_>,
    closing: &LaneClosing,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let account = closing.account.as_str();
    match closing.cause {
        ClosingCause::Credentials(version) => unit
            .connection
            .prepare_cached(
                "INSERT INTO lanes (account, rejected_credentials, change_time) VALUES (?1, ?2, ?3) \
                 ON CONFLICT DO UPDATE SET rejected_credentials = ?2, change_time = ?3",
            )?
            .execute(params![account, version.as_bytes(), micros(now)]),
        ClosingCause::NoCredit => unit
            .connection
            .prepare_cached(
                "INSERT INTO lanes (account, no_credit, change_time) VALUES (?1, 1, ?2) \
                 ON CONFLICT DO UPDATE SET no_credit = 1, change_time = ?2",
            )?
            .execute(params![account, micros(now)]),
    }
    .map(drop)
}

/// Whether a lane may work with these credentials: others than the rejected ones open it again.
pub(in crate::store::sqlite) fn open_lane(
    unit: &mut Unit<'_>,
    account: &AccountId,
    credentials: CredentialsVersion,
) -> rusqlite::Result<bool> {
    unit.connection
        .prepare_cached(
            "UPDATE lanes SET rejected_credentials = NULL \
             WHERE account = ?1 AND rejected_credentials IS NOT ?2",
        )?
        .execute(params![account.as_str(), credentials.as_bytes()])?;
    let closure = closure_of(unit.connection, account)?;
    Ok(closure != Some(LaneClosure::CredentialsRejected))
}

/// Pauses a lane.
pub(in crate::store::sqlite) fn pause_lane(
    unit: &mut Unit<'_>,
    account: &AccountId,
    now: Timestamp,
) -> rusqlite::Result<()> {
    unit.connection
        .prepare_cached(
            "INSERT INTO lanes (account, paused, change_time) VALUES (?1, 1, ?2) \
             ON CONFLICT DO UPDATE SET paused = 1, change_time = ?2",
        )?
        .execute(params![account.as_str(), micros(now)])?;
    // So that it says of itself that it is closed.
    unit.note_bell(account);
    Ok(())
}

/// Opens a lane again, whatever closed it, and wakes it.
pub(in crate::store::sqlite) fn resume_lane(
    unit: &mut Unit<'_>,
    account: &AccountId,
) -> rusqlite::Result<()> {
    unit.connection
        .prepare_cached("DELETE FROM lanes WHERE account = ?1")?
        .execute(params![account.as_str()])?;
    unit.note_bell(account);
    Ok(())
}
