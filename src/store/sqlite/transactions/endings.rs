//! A delivery ends without having been sent: its time is over, or it is withdrawn.

use jiff::Timestamp;
use rusqlite::params;

use crate::{
    domain::{AccountId, DeliveryId, DeliveryState, Reason},
    store::{
        Cancellation,
        sqlite::{
            reads,
            rows::{self, micros},
            writer::Unit,
        },
    },
};

/// What waits for its one resend may have been sent, so it cannot be called unsent.
const EXPIRE: &str = "UPDATE deliveries INDEXED BY deliveries_expiring \
     SET state = CASE WHEN maybe_sent THEN 7 ELSE 6 END, \
     reason = CASE WHEN maybe_sent THEN ?1 ELSE ?2 END, sealed_text = NULL, update_time = ?3 \
     WHERE state = 1 AND expire_time <= ?3 RETURNING id, account";

/// Ends one waiting delivery that its lane found too late.
pub(super) fn expire(unit: &mut Unit<'_>, id: DeliveryId, now: Timestamp) -> rusqlite::Result<()> {
    unit.connection
        .prepare_cached(
            "UPDATE deliveries SET state = CASE WHEN maybe_sent THEN 7 ELSE 6 END, \
             reason = CASE WHEN maybe_sent THEN ?1 ELSE ?2 END, sealed_text = NULL, update_time = ?3 WHERE id = ?4",
        )?
        .execute(params![
            Reason::GATEWAY_OUTCOME_UNKNOWN,
            Reason::TIME_RAN_OUT,
            micros(now),
            id.as_bytes()
        ])?;
    unit.note_change(id);
    Ok(())
}

/// Ends every waiting delivery whose time is over, whichever lane it is in.
pub(in crate::store::sqlite) fn expire_overdue(
    unit: &mut Unit<'_>,
    now: Timestamp,
) -> rusqlite::Result<u64> {
    let connection = unit.connection;
    let expired: Vec<(DeliveryId, AccountId)> = connection
        .prepare_cached(EXPIRE)?
        .query_map(
            params![
                Reason::GATEWAY_OUTCOME_UNKNOWN,
                Reason::TIME_RAN_OUT,
                micros(now)
            ],
            |row| {
                Ok((
                    DeliveryId::from_bytes(row.get(0)?),
                    rows::text(row, 1, |text| AccountId::parse(text).ok())?,
                ))
            },
        )?
        .collect::<rusqlite::Result<_>>()?;
    for (id, account) in &expired {
        unit.note_change(*id);
        unit.note_waiting(account, -1);
    }
    Ok(expired.len() as u64)
}

/// Withdraws a delivery that has not been submitted.
pub(in crate::store::sqlite) fn cancel(
    unit: &mut Unit<'_>,
    id: DeliveryId,
    now: Timestamp,
) -> rusqlite::Result<Cancellation> {
    let withdrawn = unit
        .connection
        .prepare_cached(
            "UPDATE deliveries SET state = 8, sealed_text = NULL, update_time = ?2 WHERE id = ?1 AND state = 1 AND NOT maybe_sent",
        )?
        .execute(params![id.as_bytes(), micros(now)])?;
    let Some(delivery) = reads::delivery(unit.connection, id)? else {
        return Ok(Cancellation::NotFound);
    };
    if withdrawn > 0 {
        unit.note_change(id);
        unit.note_waiting(&delivery.account, -1);
    }
    // Asking twice is no failure: the answer to the first may have been lost.
    Ok(match delivery.state {
        DeliveryState::Cancelled => Cancellation::Cancelled(delivery),
        state => Cancellation::TooLate(state),
    })
}
