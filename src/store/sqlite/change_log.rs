//! The log of changes in the database: read in pages, forgotten in pieces ([`Log`]). Triggers write it (`0001_deliveries.sql`).

use std::num::NonZeroU32;

use rusqlite::{Connection, Row, params};

use super::{
    log::{Log, Standing},
    reads,
    rows::{self, DELIVERY_COLUMN_COUNT, micros},
};
use crate::domain::DeliveryId;
use crate::store::{Change, ChangePage, ChangePlace, StoreId};

/// The columns of [`rows::DELIVERY_COLUMNS`], those that change as they were then, and the number of the entry.
macro_rules! entry {
    () => {
        "SELECT d.id, d.caller, d.administration, c.account, c.state, c.reason, c.effective_sender, d.destination, \
         d.masked_recipient, d.purpose, d.language, d.encoding, d.segments, c.attempts, c.gateway_message_id, c.gateway_code, \
         d.reference, d.create_time, d.expire_time, c.submit_time, c.report_time, c.update_time, c.report_deadline, c.seq FROM "
    };
}

/// `CROSS JOIN` keeps the order of the tables: the log is walked, and each delivery is found by its key.
const AFTER: &str = concat!(
    entry!(),
    "changes c CROSS JOIN deliveries d ON d.seq = c.delivery WHERE c.seq > ?1 ORDER BY c.seq LIMIT ?2"
);

/// Of one delivery: the few entries behind the place are walked.
const OF_DELIVERY: &str = concat!(
    entry!(),
    "deliveries d CROSS JOIN changes c ON c.delivery = d.seq WHERE d.id = ?2 AND c.seq > ?1 ORDER BY c.seq"
);

/// The log.
pub(super) const CHANGES: Log = Log {
    table: "changes",
    time: "update_time",
};

pub(super) fn store_id(connection: &Connection) -> rusqlite::Result<StoreId> {
    connection
        .query_row("SELECT store_id FROM installation", [], |row| row.get(0))
        .map(StoreId::from_bytes)
}

fn change(row: &Row<'_>) -> rusqlite::Result<Change> {
    let delivery = rows::delivery(row)?;
    Ok(Change {
        place: ChangePlace {
            number: row.get(DELIVERY_COLUMN_COUNT)?,
            mark: micros(delivery.update_time),
        },
        delivery,
    })
}

/// What became of one delivery behind a place near the end.
pub(super) fn of_delivery(
    connection: &Connection,
    id: DeliveryId,
    place: ChangePlace,
) -> rusqlite::Result<Vec<Change>> {
    connection
        .prepare_cached(OF_DELIVERY)?
        .query_map(params![place.number, id.as_bytes()], change)?
        .collect()
}

/// A delivery with the end of the log at the same moment.
pub(super) fn delivery_now(
    connection: &Connection,
    id: DeliveryId,
) -> rusqlite::Result<Option<Change>> {
    let moment = connection.unchecked_transaction()?;
    let Some(delivery) = reads::delivery(&moment, id)? else {
        return Ok(None);
    };
    let place = CHANGES.end(&moment)?;
    Ok(Some(Change { place, delivery }))
}

/// What follows a place.
pub(super) fn after(
    connection: &Connection,
    place: ChangePlace,
    limit: NonZeroU32,
) -> rusqlite::Result<ChangePage> {
    let changes = connection
        .prepare_cached(AFTER)?
        .query_map(params![place.number, limit.get()], change)?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(match CHANGES.standing(connection, place)? {
        Standing::Here => ChangePage::Changes(changes),
        Standing::Forgotten => ChangePage::Forgotten,
        Standing::Unknown => ChangePage::Unknown,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_with_the_columns_of_a_delivery_in_their_order() {
        let columns = entry!()
            .replace(" FROM ", "")
            .replace("SELECT ", "")
            .replace("d.", "")
            .replace("c.", "");
        assert_eq!(columns, format!("{}, seq", rows::DELIVERY_COLUMNS));
    }
}
