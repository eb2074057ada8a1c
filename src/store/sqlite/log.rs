//! A log that watchers read by places: where it ends, whether a place still stands in it, forgotten in pieces.
//!
//! Must not know: what its entries say.

use std::num::NonZeroU32;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{rows::micros, writer::Unit};
use crate::store::{ChangePlace, ForgottenChanges};

/// A table whose `seq` has no gaps, because nothing deletes but [`Log::forget`].
pub(super) struct Log {
    pub(super) table: &'static str,
    /// The column with the time of an entry: it tells a place of this log from one of another.
    pub(super) time: &'static str,
}

/// Where a place stands.
pub(super) enum Standing {
    /// Nothing behind it is missing.
    Here,
    /// Entries behind it are not kept any more.
    Forgotten,
    /// This log has no such place.
    Unknown,
}

impl Log {
    /// The last place: the newest entry is never forgotten, so this is always the end.
    pub(super) fn end(&self, connection: &Connection) -> rusqlite::Result<ChangePlace> {
        let Self { table, time } = self;
        let last = connection
            .prepare_cached(&format!(
                "SELECT seq, {time} FROM {table} ORDER BY seq DESC LIMIT 1"
            ))?
            .query_row([], |row| {
                Ok(ChangePlace {
                    number: row.get(0)?,
                    mark: row.get(1)?,
                })
            })
            .optional()?;
        Ok(last.unwrap_or_default())
    }

    /// To be asked after what follows the place has been read: the log only loses its beginning, so a place that is good
    /// afterwards was good before.
    pub(super) fn standing(
        &self,
        connection: &Connection,
        place: ChangePlace,
    ) -> rusqlite::Result<Standing> {
        let Self { table, time } = self;
        let known: Option<i64> = connection
            .prepare_cached(&format!("SELECT {time} FROM {table} WHERE seq = ?1"))?
            .query_row(params![place.number], |row| row.get(0))
            .optional()?;
        if let Some(mark) = known {
            return Ok(if mark == place.mark {
                Standing::Here
            } else {
                Standing::Unknown
            });
        }
        let oldest: Option<i64> = connection
            .prepare_cached(&format!("SELECT min(seq) FROM {table}"))?
            .query_row([], |row| row.get(0))?;
        Ok(match oldest {
            // Its own entry is gone, but nothing behind it.
            Some(oldest) if place.number == oldest - 1 => Standing::Here,
            Some(oldest) if place.number < oldest => Standing::Forgotten,
            None if place.number == 0 => Standing::Here,
            _ => Standing::Unknown,
        })
    }

    /// Deletes entries from before a moment, the oldest first, at most `limit` of them and never the newest: numbers go on
    /// behind it. An entry whose time lies ahead, from when the clock was wrong, goes with the older ones that follow it.
    pub(super) fn forget(
        &self,
        unit: &Unit<'_>,
        before: Timestamp,
        limit: NonZeroU32,
    ) -> rusqlite::Result<ForgottenChanges> {
        let Self { table, time } = self;
        let connection = unit.connection;
        let last_old: Option<i64> = connection
            .prepare_cached(&format!(
                "SELECT max(seq) FROM (SELECT seq, {time} AS time FROM {table} ORDER BY seq LIMIT ?2) \
                 WHERE time < ?1 AND seq < (SELECT max(seq) FROM {table})"
            ))?
            .query_row(params![micros(before), limit.get()], |row| row.get(0))?;
        let forgotten = match last_old {
            None => 0,
            Some(last) => connection
                .prepare_cached(&format!("DELETE FROM {table} WHERE seq <= ?1"))?
                .execute(params![last])?,
        };
        let kept: Option<i64> = connection
            .prepare_cached(&format!("SELECT max(seq) - min(seq) + 1 FROM {table}"))?
            .query_row([], |row| row.get(0))?;
        Ok(ForgottenChanges {
            forgotten: forgotten as u64,
            kept: kept.unwrap_or_default().unsigned_abs(),
        })
    }
}
