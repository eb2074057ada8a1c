//! What is read: one delivery, a page of them, the receipt of a request.

use std::{num::NonZeroU32, sync::LazyLock};

use rusqlite::{Connection, OptionalExtension as _, ToSql, params};

use super::rows::{self, DELIVERY_COLUMN_COUNT, DELIVERY_COLUMNS, micros};
use crate::{
    domain::{AccountId, Delivery, DeliveryId},
    store::{ListFilter, Page, Receipt, RequestKey, Sequence, sealing::Fingerprint},
};

static BY_ID: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {DELIVERY_COLUMNS} FROM deliveries WHERE id = ?1"));

static BY_REQUEST: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {DELIVERY_COLUMNS}, fingerprint FROM deliveries WHERE caller = ?1 AND request_id = ?2"
    )
});

pub(super) fn delivery(
    connection: &Connection,
    id: DeliveryId,
) -> rusqlite::Result<Option<Delivery>> {
    connection
        .prepare_cached(&BY_ID)?
        .query_row(params![id.as_bytes()], rows::delivery)
        .optional()
}

/// Tells a repeat from another request under the same id.
pub(super) fn receipt_of(
    connection: &Connection,
    key: &RequestKey,
    fingerprint: &Fingerprint,
) -> rusqlite::Result<Option<Receipt>> {
    connection
        .prepare_cached(&BY_REQUEST)?
        .query_row(
            params![key.caller.as_str(), key.request_id.as_bytes()],
            |row| {
                let known: Fingerprint = row.get(DELIVERY_COLUMN_COUNT)?;
                if known == *fingerprint {
                    rows::delivery(row).map(Receipt::Same)
                } else {
                    Ok(Receipt::Reused)
                }
            },
        )
        .optional()
}

/// A page, newest first; asks for one row more than a page holds to know whether another follows.
pub(super) fn list(
    connection: &Connection,
    filter: &ListFilter,
    before: Option<Sequence>,
    limit: NonZeroU32,
) -> rusqlite::Result<Page> {
    let mut conditions = Vec::new();
    let mut values: Vec<Box<dyn ToSql>> = Vec::new();
    if let Some(administrations) = &filter.administrations {
        let places = vec!["?"; administrations.len()].join(", ");
        conditions.push(format!("administration IN ({places})"));
        for administration in administrations {
            values.push(Box::new(administration.as_str().to_owned()));
        }
    }
    if !filter.states.is_empty() {
        let places = vec!["?"; filter.states.len()].join(", ");
        conditions.push(format!("state IN ({places})"));
        for state in &filter.states {
            values.push(Box::new(state.to_stored()));
        }
    }
    if let Some(from) = filter.created_from {
        conditions.push("create_time >= ?".into());
        values.push(Box::new(micros(from)));
    }
    if let Some(until) = filter.created_until {
        conditions.push("create_time < ?".into());
        values.push(Box::new(micros(until)));
    }
    if let Some(reference) = &filter.reference {
        conditions.push("reference = ?".into());
        values.push(Box::new(reference.as_str().to_owned()));
    }
    if let Some(Sequence(before)) = before {
        conditions.push("seq < ?".into());
        values.push(Box::new(before));
    }
    let conditions = if conditions.is_empty() {
        "TRUE".to_owned()
    } else {
        conditions.join(" AND ")
    };
    let wanted = limit.get() as usize;
    let sql = format!(
        "SELECT {DELIVERY_COLUMNS}, seq FROM deliveries WHERE {conditions} ORDER BY seq DESC LIMIT {}",
        wanted + 1
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let found = statement.query_map(rusqlite::params_from_iter(values.iter()), |row| {
        Ok((
            rows::delivery(row)?,
            Sequence(row.get(DELIVERY_COLUMN_COUNT)?),
        ))
    })?;
    let mut found = found.collect::<rusqlite::Result<Vec<_>>>()?;
    let has_more = found.len() > wanted;
    found.truncate(wanted);
    let next = found
        .last()
        .filter(|_| has_more)
        .map(|(_, sequence)| *sequence);
    Ok(Page {
        deliveries: found.into_iter().map(|(delivery, _)| delivery).collect(),
        next,
    })
}

pub(super) fn waiting(connection: &Connection) -> rusqlite::Result<Vec<(AccountId, u64)>> {
    connection
        .prepare_cached(
            "SELECT account, count(*) FROM deliveries INDEXED BY deliveries_waiting WHERE state = 1 GROUP BY account",
        )?
        .query_map([], |row| {
            Ok((
                rows::text(row, 0, |text| AccountId::parse(text).ok())?,
                row.get::<_, i64>(1)?.unsigned_abs(),
            ))
        })?
        .collect()
}
