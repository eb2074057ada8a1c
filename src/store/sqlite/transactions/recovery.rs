//! What a process that is gone left behind.

use rusqlite::params;

use super::reporting;
use crate::{
    domain::{DeliveryId, Reason},
    store::{
        Recovered, Recovery,
        sqlite::{rows::micros, writer::Unit},
    },
};

/// How far the clock may have gone back without anyone being wrong, in microseconds.
const CLOCK_SLACK: i64 = 2_000_000;

/// Nobody can say what became of attempts whose process is gone, nor whether a code from the future is late.
pub(in crate::store::sqlite) fn recover(
    unit: &mut Unit<'_>,
    recovery: &Recovery,
) -> rusqlite::Result<Recovered> {
    let now = micros(recovery.now);
    unit.connection.execute(
        "UPDATE attempts SET end_time = ?1, outcome = 'UNCERTAIN', reason = ?2 \
         WHERE outcome IS NULL AND delivery IN (SELECT seq FROM deliveries WHERE state = 2)",
        params![now, Reason::ATTEMPT_INTERRUPTED],
    )?;
    let mut recovered = Recovered {
        reported: reporting::settle_interrupted(unit, recovery.now)?,
        ..Recovered::default()
    };
    for account in &recovery.resend_once {
        let again = unit.connection.execute(
            "UPDATE deliveries SET state = 1, maybe_sent = 1, reason = ?2, attempt_token = NULL, update_time = ?1 \
             WHERE state = 2 AND account = ?3 AND NOT maybe_sent AND NOT superseded AND expire_time > ?1",
            params![now, Reason::ATTEMPT_INTERRUPTED, account.as_str()],
        )?;
        unit.note_waiting(account, super::super::to_signed(again));
        recovered.waiting += again as u64;
    }
    recovered.uncertain = unit.connection.execute(
        "UPDATE deliveries SET state = 7, reason = ?2, sealed_text = NULL, attempt_token = NULL, update_time = ?1 \
         WHERE state = 2",
        params![now, Reason::ATTEMPT_INTERRUPTED],
    )? as u64;
    let from_the_future = expire_from_the_future(unit, now)?;
    recovered.from_the_future = from_the_future.len() as u64;
    Ok(recovered)
}

fn expire_from_the_future(unit: &mut Unit<'_>, now: i64) -> rusqlite::Result<Vec<DeliveryId>> {
    let connection = unit.connection;
    let expired: Vec<(DeliveryId, String)> = connection
        .prepare(
            "UPDATE deliveries SET state = CASE WHEN maybe_sent THEN 7 ELSE 6 END, reason = ?2, sealed_text = NULL, update_time = ?1 \
             WHERE state = 1 AND update_time > ?3 RETURNING id, account",
        )?
        .query_map(
            params![now, Reason::CLOCK_WENT_BACK, now + CLOCK_SLACK],
            |row| Ok((DeliveryId::from_bytes(row.get(0)?), row.get(1)?)),
        )?
        .collect::<rusqlite::Result<_>>()?;
    for (_, account) in &expired {
        if let Ok(account) = crate::domain::AccountId::parse(account) {
            unit.note_waiting(&account, -1);
        }
    }
    Ok(expired.into_iter().map(|(id, _)| id).collect())
}
