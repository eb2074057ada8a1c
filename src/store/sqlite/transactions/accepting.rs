//! A delivery comes in, on the first of its ways that takes it.

use rusqlite::params;

use super::lanes::{closure_of, is_in_time};
use crate::{
    domain::{AccountId, Delivery, DeliveryId, DeliveryState, Reference},
    store::{
        Acceptance, NewDelivery, Receipt, Way,
        sealing::{Fingerprint, RecipientHash},
        sqlite::{
            reads,
            rows::{self, as_kept, micros},
            writer::Unit,
        },
    },
};

/// A new delivery with its secrets sealed: what the writing thread may see.
pub(in crate::store::sqlite) struct SealedDelivery {
    pub(in crate::store::sqlite) new: NewDelivery,
    pub(in crate::store::sqlite) masked_recipient: Box<str>,
    pub(in crate::store::sqlite) fingerprint: Fingerprint,
    pub(in crate::store::sqlite) recipient_hash: RecipientHash,
    pub(in crate::store::sqlite) sealed_recipient: Vec<u8>,
    pub(in crate::store::sqlite) sealed_text: Vec<u8>,
    /// The ways as one text, where there are several.
    pub(in crate::store::sqlite) ways: Option<String>,
}

/// Stores the delivery, unless its request id is taken or its account's queue is full.
pub(in crate::store::sqlite) fn accept(
    unit: &mut Unit<'_>,
    sealed: &SealedDelivery,
) -> rusqlite::Result<Acceptance> {
    let new = &sealed.new;
    let earlier =
        |unit: &Unit<'_>| reads::receipt_of(unit.connection, &new.key, &sealed.fingerprint);
    let way = match open_way(unit, new)? {
        Ok(way) => way,
        // A repeat takes no place in the queue, so it is answered whatever the lane's state.
        Err(refusal) => return Ok(earlier(unit)?.map_or(refusal, Acceptance::from)),
    };
    if insert(unit, sealed, way)? == 0 {
        return Ok(match earlier(unit)? {
            Some(receipt) => receipt.into(),
            // The only other unique column is the id, which is random.
            None => Acceptance::Reused,
        });
    }
    supersede_older(unit, sealed)?;
    unit.note_waiting(&way.account, 1);
    unit.note_change(new.id);
    Ok(Acceptance::Stored(stored(sealed, way)))
}

/// The first way that takes the delivery; where none does, why the first of all does not.
fn open_way<'a>(
    unit: &Unit<'_>,
    new: &'a NewDelivery,
) -> rusqlite::Result<Result<&'a Way, Acceptance>> {
    let Some(refusal) = not_now(unit, new, &new.way)? else {
        return Ok(Ok(&new.way));
    };
    for way in &new.other_ways {
        if not_now(unit, new, way)?.is_none() {
            return Ok(Ok(way));
        }
    }
    Ok(Err(refusal))
}

/// Why the account of a way takes nothing new just now.
fn not_now(unit: &Unit<'_>, new: &NewDelivery, way: &Way) -> rusqlite::Result<Option<Acceptance>> {
    let waiting = unit.waiting_for(&way.account);
    if waiting >= u64::from(way.queue_limit.get()) {
        return Ok(Some(Acceptance::QueueFull));
    }
    if let Some(closure) = closure_of(unit.connection, &way.account)? {
        return Ok(Some(Acceptance::LaneClosed(closure)));
    }
    let in_time = is_in_time(unit, &way.account, new.create_time, new.expire_time);
    Ok((!in_time).then_some(Acceptance::CannotArriveInTime))
}

/// An older code for the same citizen and purpose is worth nothing any more: what waits is not sent, and what is being sent
/// is not sent again.
fn supersede_older(unit: &mut Unit<'_>, sealed: &SealedDelivery) -> rusqlite::Result<()> {
    let new = &sealed.new;
    let connection = unit.connection;
    let older: Vec<(DeliveryId, AccountId, DeliveryState)> = connection
        .prepare_cached(
            "UPDATE deliveries INDEXED BY deliveries_pending SET superseded = 1, \
             update_time = max(update_time, ?5), \
             state = CASE WHEN state = 1 AND maybe_sent THEN 7 WHEN state = 1 THEN 9 ELSE state END, \
             sealed_text = CASE state WHEN 1 THEN NULL ELSE sealed_text END \
             WHERE recipient_hash = ?1 AND administration = ?2 AND purpose = ?3 AND id <> ?4 AND state <= 2 \
             RETURNING id, account, state",
        )?
        .query_map(
            params![
                sealed.recipient_hash,
                new.administration.as_str(),
                new.purpose.as_str(),
                new.id.as_bytes(),
                micros(new.create_time),
            ],
            |row| {
                Ok((
                    DeliveryId::from_bytes(row.get(0)?),
                    rows::text(row, 1, |text| AccountId::parse(text).ok())?,
                    rows::state(row, 2)?,
                ))
            },
        )?
        .collect::<rusqlite::Result<_>>()?;
    for (id, account, state) in &older {
        if *state != DeliveryState::Sending {
            unit.note_change(*id);
            unit.note_waiting(account, -1);
        }
    }
    Ok(())
}

/// `OR FAIL`: where a statement fails the whole group is rolled back, so `SQLite` need not be ready to undo this one alone. With
/// the trigger that writes the log, being ready would copy every page that the row touches, and cost half as much again.
fn insert(unit: &Unit<'_>, sealed: &SealedDelivery, way: &Way) -> rusqlite::Result<usize> {
    let new = &sealed.new;
    unit.connection
        .prepare_cached(
            "INSERT OR FAIL INTO deliveries (id, caller, request_id, fingerprint, administration, account, state, sender, \
             effective_sender, destination, masked_recipient, recipient_hash, sealed_recipient, sealed_text, purpose, \
             language, encoding, segments, reference, create_time, expire_time, update_time, ways, region) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, \
             ?20, ?22, ?23) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            new.id.as_bytes(),
            new.key.caller.as_str(),
            new.key.request_id.as_bytes(),
            sealed.fingerprint,
            new.administration.as_str(),
            way.account.as_str(),
            DeliveryState::Accepted.to_stored(),
            way.sender.as_str(),
            way.effective_sender.as_str(),
            new.recipient.destination().as_str(),
            sealed.masked_recipient,
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
            sealed.ways,
            new.recipient.region().as_str(),
        ])
}

/// The delivery as it is read again after it was stored.
fn stored(sealed: &SealedDelivery, way: &Way) -> Delivery {
    let new = &sealed.new;
    Delivery {
        id: new.id,
        caller: new.key.caller.clone(),
        administration: new.administration.clone(),
        account: way.account.clone(),
        state: DeliveryState::Accepted,
        reason: None,
        sender: way.effective_sender.clone(),
        destination: new.recipient.destination(),
        masked_recipient: sealed.masked_recipient.clone(),
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
