//! Deliveries that one account cannot send go to another account of their administration.

use jiff::Timestamp;
use rusqlite::params;

use crate::{
    domain::DeliveryId,
    store::{
        HandOver, Neighbour, Which,
        sqlite::{
            rows::{self, micros},
            to_signed,
            writer::Unit,
        },
        ways::{self, StoredWay},
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
    expire_time: Timestamp,
}

/// Moves what waits and was never sent, as its own ways allow.
pub(in crate::store::sqlite) fn hand_over(
    unit: &mut Unit<'_>,
    request: &HandOver,
    after: i64,
) -> rusqlite::Result<HandedOver> {
    let has_place =
        |to: &Neighbour| unit.waiting_for(&to.account) < u64::from(to.queue_limit.get());
    if !request.to.iter().any(has_place) {
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
        let target = request.to.iter().find_map(|neighbour| {
            let way =
                ways::from_stored(ways).find(|way| way.account == neighbour.account.as_str())?;
            let has_place =
                unit.waiting_for(&neighbour.account) < u64::from(neighbour.queue_limit.get());
            has_place.then_some((neighbour, way))
        });
        if let Some((neighbour, way)) = target {
            move_one(unit, request, candidate.id, (neighbour, &way))?;
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
            "SELECT id, ways, expire_time, seq, NOT maybe_sent AND attempts >= ?2 \
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
                })
            },
        )?
        .collect()
}

fn move_one(
    unit: &mut Unit<'_>,
    request: &HandOver,
    id: DeliveryId,
    (neighbour, way): (&Neighbour, &StoredWay<'_>),
) -> rusqlite::Result<()> {
    unit.connection
        .prepare_cached(
            "UPDATE deliveries SET account = ?2, sender = ?3, effective_sender = ?4, not_before = 0, update_time = ?5 \
             WHERE id = ?1",
        )?
        .execute(params![
            id.as_bytes(),
            way.account,
            way.sender,
            way.effective_sender,
            micros(request.now),
        ])?;
    unit.note_change(id);
    unit.note_waiting(&request.from, -1);
    unit.note_waiting(&neighbour.account, 1);
    Ok(())
}
