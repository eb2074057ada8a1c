//! A delivery ends without having been sent: its time is over, or it is withdrawn.

use jiff::Timestamp;
use rusqlite::params;

use crate::{
    domain::{AccountId, DeliveryId, DeliveryState, Reason},
    store::{
        Cancellation, LeaseRequest,
        sqlite::{
            reads,
            rows::{self, micros},
            to_signed,
            writer::Unit,
        },
    },
};

const EXPIRE: &str =
    "UPDATE deliveries SET state = 6, reason = ?1, sealed_text = NULL, update_time = ?2";

/// Ends what the lane's gateway could not take in time any more.
pub(super) fn expire_of_account(
    unit: &mut Unit<'_>,
    request: &LeaseRequest,
) -> rusqlite::Result<()> {
    let connection = unit.connection;
    let expired: Vec<DeliveryId> = connection
        .prepare_cached(&format!(
            "{EXPIRE} WHERE account = ?3 AND state = 1 AND expire_time <= ?4 RETURNING id"
        ))?
        .query_map(
            params![
                Reason::TIME_RAN_OUT,
                micros(request.now),
                request.account.as_str(),
                micros(request.must_outlive),
            ],
            |row| row.get(0).map(DeliveryId::from_bytes),
        )?
        .collect::<rusqlite::Result<_>>()?;
    for id in &expired {
        unit.note_change(*id);
    }
    unit.note_waiting(&request.account, -to_signed(expired.len()));
    Ok(())
}

/// Ends every waiting delivery whose time is over, whichever lane it is in.
pub(in crate::store::sqlite) fn expire_overdue(
    unit: &mut Unit<'_>,
    now: Timestamp,
) -> rusqlite::Result<u64> {
    let connection = unit.connection;
    let expired: Vec<(DeliveryId, AccountId)> = connection
        .prepare_cached(&format!(
            "{EXPIRE} WHERE state = 1 AND expire_time <= ?2 RETURNING id, account"
        ))?
        .query_map(params![Reason::TIME_RAN_OUT, micros(now)], |row| {
            Ok((
                DeliveryId::from_bytes(row.get(0)?),
                rows::text(row, 1, |text| AccountId::parse(text).ok())?,
            ))
        })?
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
            "UPDATE deliveries SET state = 8, sealed_text = NULL, update_time = ?2 WHERE id = ?1 AND state = 1",
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
