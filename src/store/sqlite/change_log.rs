//! The log of changes in the database: read in pages, forgotten in pieces. Triggers write it (`0001_deliveries.sql`).

use std::num::NonZeroU32;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    rows::{self, DELIVERY_COLUMN_COUNT, micros},
    writer::Unit,
};
use crate::store::{Change, ChangePage, ChangePlace, ForgottenChanges, StoreId};

/// The columns of [`rows::DELIVERY_COLUMNS`], those that change as they were then. `CROSS JOIN` keeps the order of the tables:
/// the log is walked, and each delivery is found by its key.
const AFTER: &str = "SELECT d.id, d.caller, d.administration, c.account, c.state, c.reason, c.effective_sender, d.destination, \
     d.masked_recipient, d.purpose, d.language, d.encoding, d.segments, c.attempts, c.gateway_message_id, c.gateway_code, \
     d.reference, d.create_time, d.expire_time, c.submit_time, c.report_time, c.update_time, c.report_deadline, c.seq \
     FROM changes c CROSS JOIN deliveries d ON d.seq = c.delivery WHERE c.seq > ?1 ORDER BY c.seq LIMIT ?2";

/// The newest entry is never forgotten, so this is always the end.
const END: &str = "SELECT seq, update_time FROM changes ORDER BY seq DESC LIMIT 1";

pub(super) fn store_id(connection: &Connection) -> rusqlite::Result<StoreId> {
    connection
        .query_row("SELECT store_id FROM installation", [], |row| row.get(0))
        .map(StoreId::from_bytes)
}

/// The last place.
pub(super) fn end(connection: &Connection) -> rusqlite::Result<ChangePlace> {
    let last = connection
        .prepare_cached(END)?
        .query_row([], |row| {
            Ok(ChangePlace {
                number: row.get(0)?,
                mark: row.get(1)?,
            })
        })
        .optional()?;
    Ok(last.unwrap_or_default())
}

/// What follows a place. The page is read before the place is looked for: the log only loses its beginning, so a place that is
/// good afterwards was good before, and nothing behind it is missing.
pub(super) fn after(
    connection: &Connection,
    place: ChangePlace,
    limit: NonZeroU32,
) -> rusqlite::Result<ChangePage> {
    let changes = connection
        .prepare_cached(AFTER)?
        .query_map(params![place.number, limit.get()], |row| {
            let delivery = rows::delivery(row)?;
            Ok(Change {
                place: ChangePlace {
                    number: row.get(DELIVERY_COLUMN_COUNT)?,
                    mark: micros(delivery.update_time),
                },
                delivery,
            })
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let known: Option<i64> = connection
        .prepare_cached("SELECT update_time FROM changes WHERE seq = ?1")?
        .query_row(params![place.number], |row| row.get(0))
        .optional()?;
    if let Some(mark) = known {
        return Ok(if mark == place.mark {
            ChangePage::Changes(changes)
        } else {
            ChangePage::Unknown
        });
    }
    let oldest: Option<i64> = connection
        .prepare_cached("SELECT min(seq) FROM changes")?
        .query_row([], |row| row.get(0))?;
    Ok(match oldest {
        // Its own entry is gone, but nothing behind it.
        Some(oldest) if place.number == oldest - 1 => ChangePage::Changes(changes),
        Some(oldest) if place.number < oldest => ChangePage::Forgotten,
        None if place.number == 0 => ChangePage::Changes(changes),
        _ => ChangePage::Unknown,
    })
}

/// Deletes entries from before a moment, the oldest first, at most `limit` of them and never the newest: numbers go on behind
/// it. An entry whose time lies ahead, from when the clock was wrong, goes with the older ones that follow it.
pub(super) fn forget(
    unit: &Unit<'_>,
    before: Timestamp,
    limit: NonZeroU32,
) -> rusqlite::Result<ForgottenChanges> {
    let connection = unit.connection;
    let last_old: Option<i64> = connection
        .prepare_cached(
            "SELECT max(seq) FROM (SELECT seq, update_time FROM changes ORDER BY seq LIMIT ?2) \
             WHERE update_time < ?1 AND seq < (SELECT max(seq) FROM changes)",
        )?
        .query_row(params![micros(before), limit.get()], |row| row.get(0))?;
    let forgotten = match last_old {
        None => 0,
        Some(last) => connection
            .prepare_cached("DELETE FROM changes WHERE seq <= ?1")?
            .execute(params![last])?,
    };
    // Numbers have no gaps: nothing deletes but this.
    let kept: Option<i64> = connection
        .prepare_cached(
            "SELECT (SELECT max(seq) FROM changes) - (SELECT min(seq) FROM changes) + 1",
        )?
        .query_row([], |row| row.get(0))?;
    Ok(ForgottenChanges {
        forgotten: forgotten as u64,
        kept: kept.unwrap_or_default().unsigned_abs(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_with_the_columns_of_a_delivery_in_their_order() {
        let columns = AFTER.split(" FROM ").next().unwrap();
        let columns = columns
            .replace("SELECT ", "")
            .replace("d.", "")
            .replace("c.", "");
        assert_eq!(columns, format!("{}, seq", rows::DELIVERY_COLUMNS));
    }
}
