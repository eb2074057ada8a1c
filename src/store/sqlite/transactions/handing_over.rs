//! Deliveries that one account cannot send go to another account of their administration.

use jiff::Timestamp;
use rusqlite::params;

use crate::{
    domain::{AccountId, DeliveryId, Destination, Sender},
    store::{
        HandOver, Neighbour, Which,
        sqlite::{
            rows::{self, micros},
            to_signed,
            writer::Unit,
        },
        ways,
    },
};

/// Most deliveries that one transaction looks at, so that it holds up nobody; the next one goes on after the last of them.
const MOST_AT_ONCE: usize = 500;

/// What one transaction came to.
pub(in crate::store::sqlite) struct HandedOver {
    pub(in crate::store::sqlite) moved: u64,
    /// Where the next transaction goes on, unless all have been looked at.
    pub(in crate::store::sqlite) go_on_after: Option<i64>,
}

struct Candidate {
    seq: i64,
    /// Whether it may go elsewhere at all.
    is_movable: bool,
    id: DeliveryId,
    ways: Option<String>,
    destination: Destination,
    expire_time: Timestamp,
}

/// Where a delivery goes on, and how.
#[derive(Debug)]
pub(super) struct Onward<'a> {
    account: &'a AccountId,
    sender: Sender,
    effective_sender: String,
}

/// The first of the neighbours that is one of a delivery's own ways and may send it today, and that may take it besides.
pub(super) fn onward<'a>(
    ways: &str,
    destination: Destination,
    neighbours: &'a [Neighbour],
    may_take: impl Fn(&Neighbour) -> bool,
) -> Option<Onward<'a>> {
    neighbours.iter().find_map(|neighbour| {
        let account = &neighbour.account;
        let way = ways::from_stored(ways).find(|way| way.account == account.as_str())?;
        let sender = neighbour.lawful.sender(&way.sender, destination)?;
        may_take(neighbour).then(|| Onward {
            account,
            sender: sender.clone(),
            effective_sender: effective_sender(sender, destination, way.effective_sender),
        })
    })
}

/// What the citizen sees: at home the sender itself, which may be another than when the way was kept.
fn effective_sender(sender: &Sender, destination: Destination, kept: &str) -> String {
    match destination {
        Destination::National => sender.as_str(),
        Destination::International => kept,
    }
    .to_owned()
}

/// Whether it can send just now, and has a place.
pub(super) fn takes(unit: &Unit<'_>, neighbour: &Neighbour) -> bool {
    neighbour.is_well
        && unit.waiting_for(&neighbour.account) < u64::from(neighbour.queue_limit.get())
}

/// Moves what waits and was never sent, as its own ways allow.
pub(in crate::store::sqlite) fn hand_over(
    unit: &mut Unit<'_>,
    request: &HandOver,
    after: i64,
) -> rusqlite::Result<HandedOver> {
    if !request.to.iter().any(|neighbour| takes(unit, neighbour)) {
        return Ok(HandedOver {
            moved: 0,
            go_on_after: None,
        });
    }
    let mut moved = 0;
    let candidates = candidates(unit, request, after)?;
    let last = candidates.last().map(|candidate| candidate.seq);
    let go_on_after = last.filter(|_| candidates.len() == MOST_AT_ONCE);
    for candidate in candidates {
        let ways = candidate
            .ways
            .as_deref()
            .filter(|_| candidate.is_movable && candidate.expire_time > request.now);
        let Some(ways) = ways else { continue };
        let may_take = |neighbour: &Neighbour| takes(unit, neighbour);
        if let Some(way) = onward(ways, candidate.destination, &request.to, may_take) {
            move_to(unit, candidate.id, &way, request.now)?;
            unit.note_waiting(&request.from, -1);
            moved += 1;
        }
    }
    Ok(HandedOver { moved, go_on_after })
}

fn candidates(unit: &Unit<'_>, request: &HandOver, after: i64) -> rusqlite::Result<Vec<Candidate>> {
    let least_attempts = match request.which {
        Which::AllThatWait => 0,
        Which::WhatWasTried => 1,
    };
    unit.connection
        .prepare_cached(
            "SELECT id, ways, expire_time, seq, NOT maybe_sent AND attempts >= ?2, destination \
             FROM deliveries INDEXED BY deliveries_waiting \
             WHERE account = ?1 AND state = 1 AND seq > ?4 ORDER BY seq LIMIT ?3",
        )?
        .query_map(
            params![
                request.from.as_str(),
                least_attempts,
                to_signed(MOST_AT_ONCE),
                after,
            ],
            |row| {
                Ok(Candidate {
                    id: DeliveryId::from_bytes(row.get(0)?),
                    ways: row.get(1)?,
                    expire_time: rows::time(row, 2)?,
                    seq: row.get(3)?,
                    is_movable: row.get(4)?,
                    destination: rows::text(row, 5, rows::destination)?,
                })
            },
        )?
        .collect()
}

/// Puts a waiting delivery into the queue of another account, due at once.
pub(super) fn move_to(
    unit: &mut Unit<'_>,
    id: DeliveryId,
    way: &Onward<'_>,
    now: Timestamp,
) -> rusqlite::Result<()> {
    unit.connection
        .prepare_cached(
            "UPDATE deliveries SET account = ?2, sender = ?3, effective_sender = ?4, not_before = 0, update_time = ?5 \
             WHERE id = ?1",
        )?
        .execute(params![
            id.as_bytes(),
            way.account.as_str(),
            way.sender.as_str(),
            way.effective_sender,
            micros(now),
        ])?;
    unit.note_change(id);
    unit.note_waiting(way.account, 1);
    Ok(())
}
