//! What the platform tells of certified messages: matched, kept once, read in pages, forgotten in pieces.

use std::num::NonZeroU32;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::messages::signed;
use crate::{
    domain::{
        AccountId, Dir3,
        certified::{CertifiedId, CertifiedNews, MessageGroup, PlatformState},
    },
    store::{
        CertifiedEffect, ChangePlace, NewCertifiedEvent,
        sealing::{Fingerprint, RecipientHash},
        sqlite::{
            log::{Log, Standing},
            rows::{micros, optional_time, text, time},
            writer::Unit,
        },
    },
};

/// The words of a kind in the table.
pub(super) const STATE: &str = "state";
pub(super) const ATTACHMENT: &str = "attachment";
pub(super) const REPLY: &str = "reply";

/// The message and the recipient that an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target {
    seq: i64,
    /// Its id: what is kept of an event is sealed for it.
    pub(super) id: CertifiedId,
    place: u32,
}

/// Finds what an event is about: by our own reference, else by the platform's number and the number of the citizen.
pub(super) fn target(
    connection: &Connection,
    new: &NewCertifiedEvent,
    recipient: Option<&RecipientHash>,
) -> rusqlite::Result<Result<Target, CertifiedEffect>> {
    let account = new.account.as_str();
    if let Some(id) = new.event.message {
        let seq: Option<i64> = connection
            .prepare_cached("SELECT seq FROM certified_messages WHERE id = ?1 AND account = ?2")?
            .query_row(params![id.as_bytes(), account], |row| row.get(0))
            .optional()?;
        let Some(seq) = seq else {
            return Ok(Err(CertifiedEffect::Unknown));
        };
        return Ok(place_of(connection, seq, recipient)?
            .map(|place| Target { seq, id, place })
            .ok_or(CertifiedEffect::AnotherRecipient));
    }
    let Some(group) = new.event.group else {
        return Ok(Err(CertifiedEffect::Unknown));
    };
    // To a number that a group has already the platform sends no second: what it is known to have taken comes first.
    let with_group: Vec<(i64, CertifiedId)> = connection
        .prepare_cached(
            "SELECT seq, id FROM certified_messages WHERE account = ?1 AND message_group = ?2 \
             ORDER BY state <> 'SENT', seq",
        )?
        .query_map(params![account, signed(group.number())], |row| {
            Ok((row.get(0)?, CertifiedId::from_bytes(row.get(1)?)))
        })?
        .collect::<rusqlite::Result<_>>()?;
    for (seq, id) in &with_group {
        if let Some(place) = place_of(connection, *seq, recipient)? {
            return Ok(Ok(Target {
                seq: *seq,
                id: *id,
                place,
            }));
        }
    }
    Ok(Err(if with_group.is_empty() {
        CertifiedEffect::Unknown
    } else {
        CertifiedEffect::AnotherRecipient
    }))
}

/// Which recipient of the message that is; an event that names nobody can be about the only one.
fn place_of(
    connection: &Connection,
    seq: i64,
    recipient: Option<&RecipientHash>,
) -> rusqlite::Result<Option<u32>> {
    if let Some(hash) = recipient {
        return connection
            .prepare_cached(
                "SELECT place FROM certified_recipients WHERE message = ?1 AND recipient_hash = ?2",
            )?
            .query_row(params![seq, hash], |row| row.get(0))
            .optional();
    }
    let recipients: i64 = connection
        .prepare_cached("SELECT count(*) FROM certified_recipients WHERE message = ?1")?
        .query_row(params![seq], |row| row.get(0))?;
    Ok((recipients == 1).then_some(0))
}

/// An event with what is a citizen's sealed: what the writing thread may see.
pub(super) struct SealedEvent {
    pub(super) new: NewCertifiedEvent,
    pub(super) target: Target,
    pub(super) digest: Fingerprint,
    pub(super) detail: Option<Vec<u8>>,
}

/// Keeps an event, and lets it settle its message and move on its recipient.
pub(super) fn apply(
    unit: &mut Unit<'_>,
    sealed: &SealedEvent,
) -> rusqlite::Result<CertifiedEffect> {
    let Target { seq, place, .. } = sealed.target;
    let connection = unit.connection;
    let events: u32 = connection
        .prepare_cached("SELECT events FROM certified_messages WHERE seq = ?1")?
        .query_row(params![seq], |row| row.get(0))?;
    let known: Option<i64> = connection
        .prepare_cached("SELECT seq FROM certified_events WHERE message = ?1 AND digest = ?2")?
        .query_row(params![seq, sealed.digest], |row| row.get(0))
        .optional()?;
    let event = &sealed.new.event;
    // Believed also where it is no longer kept.
    let settled = settle(connection, sealed)?;
    let mut is_known = known.is_some();
    if let CertifiedNews::State { state, .. } = &event.news {
        let when = event.time.unwrap_or(sealed.new.receive_time);
        let before = move_on(connection, (seq, place), *state, when)?;
        // A report tells again what a callback has told, with a time of its own.
        is_known |= sealed.new.was_asked && before == Some(state.number());
    }
    if is_known {
        return Ok(CertifiedEffect::Repeated);
    }
    if events >= sealed.new.limit.get() {
        return Ok(CertifiedEffect::TooMany);
    }
    insert(connection, sealed)?;
    connection
        .prepare_cached("UPDATE certified_messages SET events = events + 1 WHERE seq = ?1")?
        .execute(params![seq])?;
    unit.note_certified_event();
    Ok(CertifiedEffect::Kept { settled })
}

/// Whatever is told of a message says that the platform has it. A report of a group does not where the number may stand in it
/// because of another message: to that number the platform sends no second one.
fn settle(connection: &Connection, sealed: &SealedEvent) -> rusqlite::Result<bool> {
    let Target { seq, place, .. } = sealed.target;
    let doubted = sealed.new.was_asked
        && connection
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM certified_messages m \
                 JOIN certified_messages other ON other.account = m.account AND other.message_group = m.message_group \
                 JOIN certified_recipients r ON r.message = other.seq \
                 WHERE m.seq = ?1 AND other.seq <> m.seq AND r.recipient_hash = \
                 (SELECT recipient_hash FROM certified_recipients WHERE message = ?1 AND place = ?2))",
            )?
            .query_row(params![seq, place], |row| row.get::<_, bool>(0))?;
    if doubted {
        return Ok(false);
    }
    let group = sealed.new.event.group.map(MessageGroup::number);
    let settled = connection
        .prepare_cached(
            "UPDATE certified_messages SET state = 'SENT', reason = NULL, message_group = coalesce(message_group, ?2), \
             update_time = max(update_time, ?3) WHERE seq = ?1 AND state IN ('SENDING', 'UNCERTAIN')",
        )?
        .execute(params![
            seq,
            group.map(signed),
            micros(sealed.new.receive_time)
        ])?;
    Ok(settled > 0)
}

/// A recipient's state moves on, never back; answers which it was.
fn move_on(
    connection: &Connection,
    (seq, place): (i64, u32),
    state: PlatformState,
    when: Timestamp,
) -> rusqlite::Result<Option<i64>> {
    let known: Option<i64> = connection
        .prepare_cached("SELECT state FROM certified_recipients WHERE message = ?1 AND place = ?2")?
        .query_row(params![seq, place], |row| row.get(0))?;
    // A state without meaning is better than none.
    let moves = known.is_none_or(|known| state.replaces(PlatformState::new(known)));
    if moves {
        connection
            .prepare_cached(
                "UPDATE certified_recipients SET state = ?3, state_time = ?4 WHERE message = ?1 AND place = ?2",
            )?
            .execute(params![seq, place, state.number(), micros(when)])?;
    }
    Ok(known)
}

fn insert(connection: &Connection, sealed: &SealedEvent) -> rusqlite::Result<()> {
    let event = &sealed.new.event;
    let (kind, number, seconds, file, protection) = match &event.news {
        CertifiedNews::State { state, seconds } => (STATE, state.number(), *seconds, None, None),
        CertifiedNews::Attachment(attachment) => (
            ATTACHMENT,
            attachment.kind.number(),
            None,
            Some(&*attachment.file),
            Some(attachment.protection.number()),
        ),
        CertifiedNews::Reply { is_certified, .. } => {
            (REPLY, i64::from(*is_certified), None, None, None)
        }
    };
    connection
        .prepare_cached(
            "INSERT INTO certified_events (message, place, digest, kind, number, seconds, file, protection, sealed_detail, \
             event_time, receive_time) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            sealed.target.seq,
            sealed.target.place,
            sealed.digest,
            kind,
            number,
            seconds,
            file,
            protection,
            sealed.detail,
            event.time.map(micros),
            micros(sealed.new.receive_time),
        ])
        .map(drop)
}

/// The log.
pub(super) const EVENTS: Log = Log {
    table: "certified_events",
    time: "receive_time",
};

/// An event as it stands in the database.
pub(super) struct Row {
    pub(super) place: ChangePlace,
    pub(super) message: CertifiedId,
    pub(super) administration: Dir3,
    pub(super) account: AccountId,
    pub(super) recipient: u32,
    pub(super) masked: String,
    pub(super) kind: String,
    pub(super) number: i64,
    pub(super) seconds: Option<u32>,
    pub(super) file: Option<String>,
    pub(super) protection: Option<i64>,
    pub(super) detail: Option<Vec<u8>>,
    pub(super) time: Option<Timestamp>,
    pub(super) receive_time: Timestamp,
}

/// A piece of the log.
pub(super) enum Page {
    Events(Vec<Row>),
    Forgotten,
    Unknown,
}

/// What follows a place.
pub(super) fn after(
    connection: &Connection,
    place: ChangePlace,
    limit: NonZeroU32,
) -> rusqlite::Result<Page> {
    let rows = connection
        .prepare_cached(
            "SELECT e.seq, m.id, m.administration, m.account, e.place, r.masked, e.kind, e.number, e.seconds, e.file, \
             e.protection, e.sealed_detail, e.event_time, e.receive_time FROM certified_events e \
             CROSS JOIN certified_messages m ON m.seq = e.message \
             CROSS JOIN certified_recipients r ON r.message = e.message AND r.place = e.place \
             WHERE e.seq > ?1 ORDER BY e.seq LIMIT ?2",
        )?
        .query_map(params![place.number, limit.get()], |row| {
            let receive_time = time(row, 13)?;
            Ok(Row {
                place: ChangePlace {
                    number: row.get(0)?,
                    mark: micros(receive_time),
                },
                message: CertifiedId::from_bytes(row.get(1)?),
                administration: text(row, 2, |text| Dir3::parse(text).ok())?,
                account: text(row, 3, |text| AccountId::parse(text).ok())?,
                recipient: row.get(4)?,
                masked: row.get(5)?,
                kind: row.get(6)?,
                number: row.get(7)?,
                seconds: row.get(8)?,
                file: row.get(9)?,
                protection: row.get(10)?,
                detail: row.get(11)?,
                time: optional_time(row, 12)?,
                receive_time,
            })
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(match EVENTS.standing(connection, place)? {
        Standing::Here => Page::Events(rows),
        Standing::Forgotten => Page::Forgotten,
        Standing::Unknown => Page::Unknown,
    })
}
