//! An attempt begins, ends, or is found abandoned.

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, params};

use super::{
    endings::expire,
    lanes::closure_of,
    lawful::{Fate, Law},
    reporting,
};
use crate::{
    domain::{
        AccountId, AttemptToken, DeliveryId, DeliveryState, GatewayMessageId, Reason, Region,
    },
    store::{
        LaneClosure, LeaseRequest, Settlement, Unlawful,
        sqlite::{
            rows::{self, micros},
            to_signed,
            writer::Unit,
        },
    },
};

/// Most due deliveries that one lease sets aside, because they are too late or may not go out here, so that one account holds up
/// nobody. No key: it bounds how long the writing thread is busy with one account, and is seen by nobody; the lane comes again at
/// once, since what was left is due.
const MOST_SET_ASIDE: usize = 500;

/// A leased row, still sealed.
pub(in crate::store::sqlite) struct SealedWork {
    /// Its place in the order of acceptance.
    pub(super) seq: i64,
    pub(in crate::store::sqlite) id: DeliveryId,
    pub(in crate::store::sqlite) sealed_recipient: Vec<u8>,
    pub(in crate::store::sqlite) sealed_text: Vec<u8>,
    pub(in crate::store::sqlite) sender: String,
    /// Of its number.
    pub(super) region: Region,
    pub(in crate::store::sqlite) expire_time: Timestamp,
    pub(in crate::store::sqlite) create_time: Timestamp,
    pub(in crate::store::sqlite) segments: u8,
    pub(in crate::store::sqlite) attempt: u32,
    pub(in crate::store::sqlite) maybe_sent: bool,
}

/// What a lease found.
pub(in crate::store::sqlite) struct SealedLease {
    pub(in crate::store::sqlite) work: Vec<SealedWork>,
    pub(in crate::store::sqlite) closed: Option<LaneClosure>,
    pub(in crate::store::sqlite) next_due: Option<Timestamp>,
    pub(in crate::store::sqlite) unlawful: Unlawful,
}

/// Takes the due work of a lane. Expiry comes before anything else; the attempt is recorded before anyone can send.
pub(in crate::store::sqlite) fn lease(
    unit: &mut Unit<'_>,
    request: &LeaseRequest,
    token: AttemptToken,
) -> rusqlite::Result<SealedLease> {
    if let Some(closure) = closure_of(unit.connection, &request.account)? {
        return Ok(SealedLease {
            work: Vec::new(),
            closed: Some(closure),
            next_due: None,
            unlawful: Unlawful::default(),
        });
    }
    let mut law = Law::new(request);
    let (mut work, mut set_aside, mut left) = (Vec::new(), 0, 0);
    let mut last = 0;
    // What is too late, or may not go out here, makes room for more. Each turn goes on behind the one before, so no row is read
    // twice, and what waits again is not met again.
    loop {
        let limit = (request.limit.get() as usize - work.len()).min(MOST_SET_ASIDE - set_aside);
        if limit == 0 {
            break;
        }
        let due = due_of_account(unit, request, last, limit)?;
        let found = due.len();
        for mut due in due {
            last = due.seq;
            let fate = if due.expire_time <= request.must_outlive {
                expire(unit, due.id, request.now)?;
                Fate::Leaves
            } else {
                law.fate(unit, &mut due)?
            };
            left += usize::from(fate != Fate::Waits);
            if fate == Fate::Goes {
                begin_attempt(unit, &due, token, request)?;
                work.push(due);
            } else {
                set_aside += 1;
            }
        }
        if found < limit {
            break;
        }
    }
    unit.note_waiting(&request.account, -to_signed(left));
    let next_due = if work.is_empty() {
        next_due(unit, &request.account)?
    } else {
        None
    };
    Ok(SealedLease {
        work,
        closed: None,
        next_due,
        unlawful: law.unlawful,
    })
}

fn begin_attempt(
    unit: &mut Unit<'_>,
    sealed: &SealedWork,
    token: AttemptToken,
    request: &LeaseRequest,
) -> rusqlite::Result<()> {
    let now = request.now;
    // The deadline stays where nobody records an outcome: a report may settle what the next start calls uncertain.
    unit.connection
        .prepare_cached(
            "UPDATE deliveries SET state = 2, attempts = ?2, attempt_token = ?3, update_time = ?4, report_deadline = ?5 \
             WHERE id = ?1",
        )?
        .execute(params![
            sealed.id.as_bytes(),
            sealed.attempt,
            token.as_bytes(),
            micros(now),
            request.report_deadline.map(micros),
        ])?;
    unit.connection
        .prepare_cached(
            "INSERT INTO attempts (delivery, number, account, start_time, sender, effective_sender) \
             SELECT seq, attempts, account, ?2, sender, effective_sender FROM deliveries WHERE id = ?1",
        )?
        .execute(params![sealed.id.as_bytes(), micros(now)])?;
    unit.note_change(sealed.id);
    Ok(())
}

fn due_of_account(
    unit: &Unit<'_>,
    request: &LeaseRequest,
    after: i64,
    limit: usize,
) -> rusqlite::Result<Vec<SealedWork>> {
    unit.connection
        .prepare_cached(
            "SELECT id, sealed_recipient, sealed_text, sender, expire_time, create_time, segments, attempts + 1, \
             maybe_sent, region, seq \
             FROM deliveries INDEXED BY deliveries_waiting \
             WHERE account = ?1 AND state = 1 AND not_before <= ?2 AND seq > ?4 ORDER BY seq LIMIT ?3",
        )?
        .query_map(
            params![
                request.account.as_str(),
                micros(request.now),
                to_signed(limit),
                after,
            ],
            |row| {
                Ok(SealedWork {
                    id: DeliveryId::from_bytes(row.get(0)?),
                    // A missing text opens to an error later, which fails this delivery alone.
                    sealed_recipient: row.get::<_, Option<_>>(1)?.unwrap_or_default(),
                    sealed_text: row.get::<_, Option<_>>(2)?.unwrap_or_default(),
                    sender: row.get(3)?,
                    expire_time: rows::time(row, 4)?,
                    create_time: rows::time(row, 5)?,
                    segments: row.get(6)?,
                    attempt: row.get(7)?,
                    maybe_sent: row.get(8)?,
                    region: rows::region(row, 9)?,
                    seq: row.get(10)?,
                })
            },
        )?
        .collect()
}

fn next_due(unit: &Unit<'_>, account: &AccountId) -> rusqlite::Result<Option<Timestamp>> {
    let soonest: Option<i64> = unit
        .connection
        .prepare_cached(
            "SELECT min(not_before) FROM deliveries INDEXED BY deliveries_waiting WHERE account = ?1 AND state = 1",
        )?
        .query_row(params![account.as_str()], |row| row.get(0))?;
    Ok(soonest.and_then(|micros| Timestamp::from_microsecond(micros).ok()))
}

/// Records what became of one leased delivery, if it is still held under this token.
pub(in crate::store::sqlite) fn settle(
    unit: &mut Unit<'_>,
    token: AttemptToken,
    id: DeliveryId,
    settlement: &Settlement,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let row = SettledRow::of(settlement);
    let held: Option<(i64, u32, AccountId, DeliveryState)> = unit
        .connection
        .prepare_cached(
            "UPDATE deliveries SET maybe_sent = maybe_sent OR ?11, \
             state = CASE WHEN (?4 IN (5, 6) OR (?4 = 1 AND superseded)) AND (maybe_sent OR ?11 OR EXISTS ( \
             SELECT 1 FROM reports INDEXED BY reports_of_delivery WHERE delivery = deliveries.seq AND news = 'delivered')) THEN 7 \
             WHEN ?4 = 1 AND superseded THEN 9 ELSE ?4 END, \
             reason = ?5, gateway_code = ?6, gateway_message_id = ?7, \
             not_before = ?8, report_deadline = coalesce(?9, report_deadline), attempt_token = NULL, update_time = ?3, \
             submit_time = CASE WHEN ?10 THEN ?3 ELSE submit_time END, \
             sealed_text = CASE WHEN ?4 = 1 AND NOT superseded THEN sealed_text END \
             WHERE id = ?1 AND state = 2 AND attempt_token = ?2 \
             RETURNING seq, attempts, account, state",
        )?
        .query_row(
            params![
                id.as_bytes(),
                token.as_bytes(),
                micros(now),
                row.state.to_stored(),
                row.reason,
                row.code,
                row.message_id,
                row.not_before,
                row.report_deadline,
                row.state == DeliveryState::Sent,
                row.maybe_sent,
            ],
            |found| {
                Ok((
                    found.get(0)?,
                    found.get(1)?,
                    rows::text(found, 2, |text| AccountId::parse(text).ok())?,
                    rows::state(found, 3)?,
                ))
            },
        )
        .optional()?;
    let Some((seq, attempt, account, state)) = held else {
        tracing::warn!(delivery = %id, "store: an outcome came for a delivery that is not held any more; left alone");
        return Ok(());
    };
    unit.connection
        .prepare_cached(
            "UPDATE attempts SET end_time = ?3, outcome = ?4, reason = ?5, gateway_code = ?6 \
             WHERE delivery = ?1 AND number = ?2",
        )?
        .execute(params![
            seq,
            attempt,
            micros(now),
            row.outcome,
            row.reason,
            row.code
        ])?;
    unit.note_change(id);
    if state == DeliveryState::Accepted {
        unit.note_waiting(&account, 1);
    }
    // Whatever this account's protocol tells: a report of an earlier attempt, elsewhere, may have come meanwhile.
    reporting::after_outcome(unit, seq, &account, row.message_id, now)?;
    Ok(())
}

/// A settlement as columns.
struct SettledRow<'a> {
    state: DeliveryState,
    outcome: &'static str,
    reason: Option<&'a str>,
    code: Option<i64>,
    message_id: Option<&'a str>,
    not_before: i64,
    report_deadline: Option<i64>,
    maybe_sent: bool,
}

impl<'a> SettledRow<'a> {
    fn of(settlement: &'a Settlement) -> Self {
        let base = Self {
            state: DeliveryState::Failed,
            outcome: "FAILED",
            reason: None,
            code: None,
            message_id: None,
            not_before: 0,
            report_deadline: None,
            maybe_sent: false,
        };
        match settlement {
            Settlement::Sent {
                message_id,
                report_deadline,
            } => Self {
                state: DeliveryState::Sent,
                outcome: "SENT",
                message_id: message_id.as_ref().map(GatewayMessageId::as_str),
                report_deadline: report_deadline.map(micros),
                ..base
            },
            Settlement::Failed { reason, code } => Self {
                reason: Some(reason.as_str()),
                code: *code,
                ..base
            },
            Settlement::Waiting {
                not_before,
                reason,
                code,
            } => Self {
                state: DeliveryState::Accepted,
                outcome: "NOT_SENT",
                reason: Some(reason.as_str()),
                code: *code,
                not_before: micros(*not_before),
                ..base
            },
            Settlement::Resending { not_before, reason } => Self {
                state: DeliveryState::Accepted,
                outcome: "UNCERTAIN",
                reason: Some(reason.as_str()),
                not_before: micros(*not_before),
                maybe_sent: true,
                ..base
            },
            Settlement::Expired => Self {
                state: DeliveryState::Expired,
                outcome: "NOT_SENT",
                reason: Some(Reason::TIME_RAN_OUT),
                ..base
            },
            Settlement::Uncertain {
                reason,
                report_deadline,
            } => Self {
                state: DeliveryState::Uncertain,
                outcome: "UNCERTAIN",
                reason: Some(reason.as_str()),
                report_deadline: report_deadline.map(micros),
                ..base
            },
        }
    }
}
