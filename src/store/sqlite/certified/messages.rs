//! Certified messages in the database: recorded, settled, read.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::{
    domain::{
        AccountId, CallerName, Dir3, Reason, Reference, Sender,
        certified::{
            CertifiedId, CertifiedKind, CertifiedMessage, CertifiedMessageState,
            CertifiedRecipient, CertifiedSubmission, MessageGroup, PlatformState, SendTime,
        },
    },
    store::{
        CertifiedBegun, CertifiedReceipt, NewCertified, RequestKey,
        sealing::{Fingerprint, RecipientHash},
        sqlite::{
            rows::{micros, optional_text, optional_time, text, time, unreadable},
            transactions::closure_of,
            writer::Unit,
        },
    },
};

/// A new message with its numbers sealed: what the writing thread may see.
pub(super) struct SealedCertified {
    pub(super) new: NewCertified,
    pub(super) fingerprint: Fingerprint,
    /// Hash and sealed number of each recipient.
    pub(super) recipients: Vec<(RecipientHash, Vec<u8>)>,
}

const COLUMNS: &str = "seq, id, caller, administration, account, kind, sender, reference, state, reason, gateway_code, \
     message_group, messages, not_sent, credits_used, credits_needed, send_time, create_time, update_time";

fn message(row: &Row<'_>) -> rusqlite::Result<(i64, CertifiedMessage)> {
    let count = |column| -> rusqlite::Result<Option<u64>> {
        let count: Option<i64> = row.get(column)?;
        Ok(count.and_then(|count| u64::try_from(count).ok()))
    };
    let kind = CertifiedKind::of_number(row.get(5)?).ok_or_else(|| unreadable(5))?;
    let message = CertifiedMessage {
        id: CertifiedId::from_bytes(row.get(1)?),
        caller: text(row, 2, |text| CallerName::parse(text).ok())?,
        administration: text(row, 3, |text| Dir3::parse(text).ok())?,
        account: text(row, 4, |text| AccountId::parse(text).ok())?,
        kind,
        sender: text(row, 6, |text| Sender::from_stored(text).ok())?,
        reference: optional_text(row, 7, |text| Reference::parse(text).ok())?,
        state: text(row, 8, CertifiedMessageState::parse)?,
        submission: CertifiedSubmission {
            reason: optional_text(row, 9, Reason::parse)?,
            code: row.get(10)?,
            group: count(11)?.and_then(MessageGroup::new),
            messages: count(12)?,
            not_sent: count(13)?,
            credits_used: row.get(14)?,
            credits_needed: row.get(15)?,
        },
        send_time: optional_time(row, 16)?,
        create_time: time(row, 17)?,
        update_time: time(row, 18)?,
        recipients: Vec::new(),
    };
    Ok((row.get(0)?, message))
}

/// The message that a condition finds, with its recipients.
fn find(
    connection: &Connection,
    condition: &str,
    values: &[&dyn rusqlite::ToSql],
) -> rusqlite::Result<Option<CertifiedMessage>> {
    let found = connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM certified_messages WHERE {condition}"
        ))?
        .query_row(values, message)
        .optional()?;
    let Some((seq, mut message)) = found else {
        return Ok(None);
    };
    message.recipients = connection
        .prepare_cached(
            "SELECT masked, state, state_time FROM certified_recipients WHERE message = ?1 ORDER BY place",
        )?
        .query_map(params![seq], |row| {
            Ok(CertifiedRecipient {
                masked: row.get::<_, String>(0)?.into_boxed_str(),
                state: row.get::<_, Option<i64>>(1)?.map(PlatformState::new),
                state_time: optional_time(row, 2)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Some(message))
}

pub(super) fn by_id(
    connection: &Connection,
    id: CertifiedId,
) -> rusqlite::Result<Option<CertifiedMessage>> {
    find(connection, "id = ?1", &[id.as_bytes()])
}

/// What is known of a request id.
pub(super) fn receipt_of(
    connection: &Connection,
    key: &RequestKey,
    fingerprint: &Fingerprint,
) -> rusqlite::Result<Option<CertifiedReceipt>> {
    let known: Option<(Fingerprint, [u8; 16])> = connection
        .prepare_cached(
            "SELECT fingerprint, id FROM certified_messages WHERE caller = ?1 AND request_id = ?2",
        )?
        .query_row(
            params![key.caller.as_str(), key.request_id.as_bytes()],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    Ok(match known {
        Some((same, id)) if same == *fingerprint => by_id(connection, CertifiedId::from_bytes(id))?
            .map(|message| CertifiedReceipt::Same(Box::new(message))),
        Some(_) => Some(CertifiedReceipt::Reused),
        None => None,
    })
}

/// Records a message, unless its request id is taken or its account takes nothing.
pub(super) fn begin(
    unit: &mut Unit<'_>,
    sealed: &SealedCertified,
) -> rusqlite::Result<CertifiedBegun> {
    let connection = unit.connection;
    let NewCertified { message, key, .. } = &sealed.new;
    if let Some(known) = receipt_of(connection, key, &sealed.fingerprint)? {
        return Ok(CertifiedBegun::Known(known));
    }
    if let Some(closure) = closure_of(connection, &message.account)? {
        return Ok(CertifiedBegun::LaneClosed(closure));
    }
    let group = message.submission.group.map(MessageGroup::number);
    connection
        .prepare_cached(
            "INSERT INTO certified_messages (id, caller, request_id, fingerprint, administration, account, kind, sender, \
             reference, state, message_group, send_time, create_time, update_time) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?13)",
        )?
        .execute(params![
            message.id.as_bytes(),
            key.caller.as_str(),
            key.request_id.as_bytes(),
            sealed.fingerprint,
            message.administration.as_str(),
            message.account.as_str(),
            message.kind.number(),
            message.sender.as_str(),
            message.reference.as_ref().map(Reference::as_str),
            message.state.as_str(),
            group.map(signed),
            message.send_time.map(micros),
            micros(message.create_time),
        ])?;
    let seq = connection.last_insert_rowid();
    let mut insert = connection.prepare_cached(
        "INSERT INTO certified_recipients (message, place, masked, recipient_hash, sealed_recipient) \
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let recipients = message.recipients.iter().zip(&sealed.recipients);
    for (place, (recipient, (hash, sealed))) in (0_u32..).zip(recipients) {
        insert.execute(params![seq, place, recipient.masked, hash, sealed])?;
    }
    Ok(CertifiedBegun::Recorded)
}

/// Records what became of handing over. Where an event has said meanwhile that the platform has it, it stays `SENT`, and what is
/// new about it is added.
pub(super) fn settle(
    unit: &mut Unit<'_>,
    id: CertifiedId,
    state: CertifiedMessageState,
    submission: &CertifiedSubmission,
    now: Timestamp,
) -> rusqlite::Result<Option<CertifiedMessage>> {
    let connection = unit.connection;
    connection
        .prepare_cached(
            "UPDATE certified_messages SET \
             reason = CASE WHEN state = 'SENDING' THEN ?3 ELSE reason END, \
             gateway_code = CASE WHEN state = 'SENDING' THEN ?4 ELSE gateway_code END, \
             state = CASE WHEN state = 'SENDING' THEN ?2 ELSE state END, \
             message_group = coalesce(?5, message_group), messages = coalesce(?6, messages), \
             not_sent = coalesce(?7, not_sent), credits_used = coalesce(?8, credits_used), \
             credits_needed = coalesce(?9, credits_needed), update_time = max(update_time, ?10) \
             WHERE id = ?1 AND state IN ('SENDING', 'SENT')",
        )?
        .execute(params![
            id.as_bytes(),
            state.as_str(),
            submission.reason.as_ref().map(Reason::as_str),
            submission.code,
            submission.group.map(|group| signed(group.number())),
            submission.messages.map(signed),
            submission.not_sent.map(signed),
            submission.credits_used,
            submission.credits_needed,
            micros(now),
        ])?;
    by_id(connection, id)
}

/// The platform cancels and moves by the number, so all that wait under it share that.
const ITSELF_OR_WAITING_WITH_IT: &str = "id = ?1 OR state = 'SENT' AND send_time > ?2 AND (account, message_group) = \
     (SELECT account, message_group FROM certified_messages WHERE id = ?1)";

pub(super) fn cancelled(
    unit: &mut Unit<'_>,
    id: CertifiedId,
    now: Timestamp,
) -> rusqlite::Result<Option<CertifiedMessage>> {
    unit.connection
        .prepare_cached(&format!(
            "UPDATE certified_messages SET state = 'CANCELLED', reason = NULL, update_time = max(update_time, ?2) \
             WHERE {ITSELF_OR_WAITING_WITH_IT}"
        ))?
        .execute(params![id.as_bytes(), micros(now)])?;
    by_id(unit.connection, id)
}

pub(super) fn moved(
    unit: &mut Unit<'_>,
    id: CertifiedId,
    send_time: SendTime,
    now: Timestamp,
) -> rusqlite::Result<Option<CertifiedMessage>> {
    unit.connection
        .prepare_cached(&format!(
            "UPDATE certified_messages SET send_time = ?3, update_time = max(update_time, ?2) \
             WHERE {ITSELF_OR_WAITING_WITH_IT}"
        ))?
        .execute(params![
            id.as_bytes(),
            micros(now),
            micros(send_time.moment())
        ])?;
    by_id(unit.connection, id)
}

/// The sealed number of a recipient.
pub(super) fn recipient(
    connection: &Connection,
    id: CertifiedId,
    place: u32,
) -> rusqlite::Result<Option<Vec<u8>>> {
    connection
        .prepare_cached(
            "SELECT r.sealed_recipient FROM certified_messages m JOIN certified_recipients r ON r.message = m.seq \
             WHERE m.id = ?1 AND r.place = ?2",
        )?
        .query_row(params![id.as_bytes(), place], |row| row.get(0))
        .optional()
}

/// Nobody can say what became of a message whose process is gone while it was handed over.
pub(super) fn recover(unit: &mut Unit<'_>, now: Timestamp) -> rusqlite::Result<u64> {
    let settled = unit.connection.execute(
        "UPDATE certified_messages SET state = 'UNCERTAIN', reason = ?1, update_time = max(update_time, ?2) \
         WHERE state = 'SENDING'",
        params![Reason::ATTEMPT_INTERRUPTED, micros(now)],
    )?;
    Ok(settled as u64)
}

/// Numbers of the platform are far below 2^63; what is beyond could not be asked for again anyway.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
