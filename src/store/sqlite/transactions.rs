//! What is written: each function is one named transaction, run by the writer within its group.

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, params};

use super::{
    reads,
    rows::{self, as_kept, micros},
    writer::Unit,
};
use crate::{
    domain::{
        AccountId, AttemptToken, CredentialsVersion, Delivery, DeliveryId, DeliveryState,
        GatewayMessageId, Reason, Reference,
    },
    store::{
        Acceptance, Cancellation, LaneClosing, LeaseRequest, NewDelivery, Receipt, Settlement,
        sealing::{Fingerprint, RecipientHash},
    },
};

/// A new delivery with its secrets sealed: what the writing thread may see.
pub(super) struct SealedDelivery {
    pub(super) new: NewDelivery,
    pub(super) fingerprint: Fingerprint,
    pub(super) recipient_hash: RecipientHash,
    pub(super) sealed_recipient: Vec<u8>,
    pub(super) sealed_text: Vec<u8>,
}

/// A leased row, still sealed.
pub(super) struct SealedWork {
    pub(super) id: DeliveryId,
    pub(super) sealed_recipient: Vec<u8>,
    pub(super) sealed_text: Vec<u8>,
    pub(super) sender: String,
    pub(super) expire_time: Timestamp,
    pub(super) create_time: Timestamp,
    pub(super) segments: u8,
    pub(super) attempt: u32,
}

/// What a lease found.
pub(super) struct SealedLease {
    pub(super) work: Vec<SealedWork>,
    pub(super) next_due: Option<Timestamp>,
}

/// Stores the delivery, unless its request id is taken or its account's queue is full.
pub(super) fn accept(unit: &mut Unit<'_>, sealed: &SealedDelivery) -> rusqlite::Result<Acceptance> {
    let new = &sealed.new;
    let earlier =
        |unit: &Unit<'_>| reads::receipt_of(unit.connection, &new.key, &sealed.fingerprint);
    if let Some(refusal) = not_now(unit, new)? {
        // A repeat takes no place in the queue, so it is answered whatever the lane's state.
        return Ok(earlier(unit)?.map_or(refusal, Acceptance::from));
    }
    if insert(unit, sealed)? == 0 {
        return Ok(match earlier(unit)? {
            Some(receipt) => receipt.into(),
            // The only other unique column is the id, which is random.
            None => Acceptance::Reused,
        });
    }
    unit.note_waiting(&new.account, 1);
    unit.note_change(new.id);
    Ok(Acceptance::Stored(stored(new)))
}

/// Why the account takes nothing new just now.
fn not_now(unit: &Unit<'_>, new: &NewDelivery) -> rusqlite::Result<Option<Acceptance>> {
    if unit.waiting_for(&new.account) >= u64::from(new.queue_limit.get()) {
        return Ok(Some(Acceptance::QueueFull));
    }
    let closed = rejected_credentials(unit, &new.account)?.is_some();
    Ok(closed.then_some(Acceptance::CredentialsRejected))
}

fn rejected_credentials(
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
pub(super) fn close_lane(
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
pub(super) fn open_lane(
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

fn insert(unit: &Unit<'_>, sealed: &SealedDelivery) -> rusqlite::Result<usize> {
    let new = &sealed.new;
    unit.connection
        .prepare_cached(
            "INSERT INTO deliveries (id, caller, request_id, fingerprint, administration, account, state, sender, \
             effective_sender, destination, masked_recipient, recipient_hash, sealed_recipient, sealed_text, purpose, \
             language, encoding, segments, reference, create_time, expire_time, update_time) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, \
             ?20) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            new.id.as_bytes(),
            new.key.caller.as_str(),
            new.key.request_id.as_bytes(),
            sealed.fingerprint,
            new.administration.as_str(),
            new.account.as_str(),
            DeliveryState::Accepted.to_stored(),
            new.sender.as_str(),
            new.effective_sender.as_str(),
            new.recipient.destination().as_str(),
            new.recipient.masked(),
            sealed.recipient_hash,
            sealed.sealed_recipient,
            sealed.sealed_text,
            new.purpose.as_str(),
            new.language.tag(),
            new.encoding.as_str(),
            new.segments,
            new.reference.as_ref().map(Reference::as_str),
            micros(new.create_time),
            micros(new.expire_time),
        ])
}

/// The delivery as it is read again after it was stored.
fn stored(new: &NewDelivery) -> Delivery {
    Delivery {
        id: new.id,
        caller: new.key.caller.clone(),
        administration: new.administration.clone(),
        account: new.account.clone(),
        state: DeliveryState::Accepted,
        reason: None,
        sender: new.effective_sender.clone(),
        destination: new.recipient.destination(),
        masked_recipient: new.recipient.masked().into_boxed_str(),
        purpose: new.purpose,
        language: new.language,
        encoding: new.encoding,
        segments: new.segments,
        attempts: 0,
        gateway_message_id: None,
        gateway_code: None,
        reference: new.reference.clone(),
        create_time: as_kept(new.create_time),
        expire_time: as_kept(new.expire_time),
        submit_time: None,
        report_time: None,
        update_time: as_kept(new.create_time),
        report_deadline: None,
    }
}

impl From<Receipt> for Acceptance {
    fn from(receipt: Receipt) -> Self {
        match receipt {
            Receipt::Same(delivery) => Self::Replayed(delivery),
            Receipt::Reused => Self::Reused,
        }
    }
}

/// Takes the due work of a lane. Expiry comes before anything else; the attempt is recorded before anyone can send.
pub(super) fn lease(
    unit: &mut Unit<'_>,
    request: &LeaseRequest,
    token: AttemptToken,
) -> rusqlite::Result<SealedLease> {
    expire_of_account(unit, request)?;
    let work = due_of_account(unit, request)?;
    let now = micros(request.now);
    for taken in &work {
        unit.connection
            .prepare_cached(
                "UPDATE deliveries SET state = ?2, attempts = ?3, attempt_token = ?4, update_time = ?5 WHERE id = ?1",
            )?
            .execute(params![
                taken.id.as_bytes(),
                DeliveryState::Sending.to_stored(),
                taken.attempt,
                token.as_bytes(),
                now,
            ])?;
        unit.connection
            .prepare_cached(
                "INSERT INTO attempts (delivery, number, account, start_time) \
                 SELECT seq, attempts, account, ?2 FROM deliveries WHERE id = ?1",
            )?
            .execute(params![taken.id.as_bytes(), now])?;
        unit.note_change(taken.id);
    }
    unit.note_waiting(&request.account, -to_signed(work.len()));
    let next_due = if work.is_empty() {
        next_due(unit, &request.account)?
    } else {
        None
    };
    Ok(SealedLease { work, next_due })
}

fn due_of_account(unit: &Unit<'_>, request: &LeaseRequest) -> rusqlite::Result<Vec<SealedWork>> {
    unit.connection
        .prepare_cached(
            "SELECT id, sealed_recipient, sealed_text, sender, expire_time, create_time, segments, attempts + 1 \
             FROM deliveries INDEXED BY deliveries_waiting \
             WHERE account = ?1 AND state = 1 AND not_before <= ?2 ORDER BY seq LIMIT ?3",
        )?
        .query_map(
            params![
                request.account.as_str(),
                micros(request.now),
                request.limit.get()
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

const EXPIRE: &str =
    "UPDATE deliveries SET state = 6, reason = ?1, sealed_text = NULL, update_time = ?2";

fn expire_of_account(unit: &mut Unit<'_>, request: &LeaseRequest) -> rusqlite::Result<()> {
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
pub(super) fn expire_overdue(unit: &mut Unit<'_>, now: Timestamp) -> rusqlite::Result<u64> {
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

/// Records what became of one leased delivery, if it is still held under this token.
pub(super) fn settle(
    unit: &mut Unit<'_>,
    token: AttemptToken,
    id: DeliveryId,
    settlement: &Settlement,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let row = SettledRow::of(settlement);
    let held: Option<(i64, u32, AccountId)> = unit
        .connection
        .prepare_cached(
            "UPDATE deliveries SET state = ?4, reason = ?5, gateway_code = ?6, gateway_message_id = ?7, \
             not_before = ?8, report_deadline = ?9, attempt_token = NULL, update_time = ?3, \
             submit_time = CASE WHEN ?10 THEN ?3 ELSE submit_time END, \
             sealed_text = CASE WHEN ?4 = 1 THEN sealed_text END \
             WHERE id = ?1 AND state = 2 AND attempt_token = ?2 RETURNING seq, attempts, account",
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
            ],
            |found| {
                Ok((
                    found.get(0)?,
                    found.get(1)?,
                    rows::text(found, 2, |text| AccountId::parse(text).ok())?,
                ))
            },
        )
        .optional()?;
    let Some((seq, attempt, account)) = held else {
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
    if row.state == DeliveryState::Accepted {
        unit.note_waiting(&account, 1);
    }
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

/// Withdraws a delivery that has not been submitted.
pub(super) fn cancel(
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

/// Nobody can say what became of attempts whose process is gone.
pub(super) fn recover_interrupted(unit: &mut Unit<'_>, now: Timestamp) -> rusqlite::Result<u64> {
    unit.connection
        .prepare_cached(
            "UPDATE attempts SET end_time = ?1, outcome = 'UNCERTAIN', reason = ?2 \
             WHERE outcome IS NULL AND delivery IN (SELECT seq FROM deliveries WHERE state = 2)",
        )?
        .execute(params![micros(now), Reason::ATTEMPT_INTERRUPTED])?;
    let interrupted = unit
        .connection
        .prepare_cached(
            "UPDATE deliveries SET state = 7, reason = ?2, sealed_text = NULL, attempt_token = NULL, update_time = ?1 \
             WHERE state = 2",
        )?
        .execute(params![micros(now), Reason::ATTEMPT_INTERRUPTED])?;
    Ok(interrupted as u64)
}

/// Counts of rows are far below 2^63.
fn to_signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
