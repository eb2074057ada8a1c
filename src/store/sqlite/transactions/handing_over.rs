//! Deliveries that one account cannot send go to another account of their administration.

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, params};

use super::lanes::{closure_of, is_in_time};
use crate::{
    domain::{AccountId, DeliveryId, Destination, Region, Sender},
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

/// Most deliveries that one transaction looks at, so that it holds up nobody: every account waits for the thread that moves them; the
/// next one goes on after the last of them. No key: it bounds how long that thread is busy at a time, and is seen by nobody; all of a
/// backlog is looked at all the same.
const MOST_AT_ONCE: usize = 50;

/// What one transaction came to.
pub(in crate::store::sqlite) struct HandedOver {
    pub(in crate::store::sqlite) moved: u64,
    /// Where the next transaction goes on, unless all have been looked at.
    pub(in crate::store::sqlite) go_on_after: Option<i64>,
}

struct Candidate {
    id: DeliveryId,
    ways: String,
    region: Region,
    expire_time: Timestamp,
}

/// What decides where a delivery may go on.
pub(super) struct Moving<'a> {
    /// Its ways, as kept.
    pub(super) ways: &'a str,
    /// Of its number.
    pub(super) region: Region,
    pub(super) expire_time: Timestamp,
}

/// Where a delivery goes on, and how.
#[derive(Debug)]
pub(super) struct Onward<'a> {
    account: &'a AccountId,
    sender: Sender,
    effective_sender: String,
}

/// The other accounts of an administration, as they stand in one transaction.
pub(super) struct Others<'a>(Vec<Other<'a>>);

struct Other<'a> {
    neighbour: &'a Neighbour,
    /// Whether it can send just now.
    is_well: bool,
}

impl<'a> Others<'a> {
    /// A lane's own report is as old as its last turn; whether it is closed is read where it is kept, as for a new code.
    pub(super) fn of(unit: &Unit<'_>, neighbours: &'a [Neighbour]) -> rusqlite::Result<Self> {
        let other = |neighbour: &'a Neighbour| {
            let is_well =
                neighbour.is_well && closure_of(unit.connection, &neighbour.account)?.is_none();
            Ok(Other { neighbour, is_well })
        };
        neighbours
            .iter()
            .map(other)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The first that is one of a delivery's own ways and may send it today, is well, has a place and is expected to have sent it
    /// in time, as for a new code.
    pub(super) fn onward(
        &self,
        unit: &Unit<'_>,
        moving: &Moving<'_>,
        now: Timestamp,
    ) -> Option<Onward<'a>> {
        let taking = self.0.iter().filter(|other| other.has_a_place(unit));
        let mut in_time = taking
            .filter(|other| is_in_time(unit, &other.neighbour.account, now, moving.expire_time));
        in_time.find_map(|other| onward(moving, other.neighbour))
    }

    /// Whether any of them may send it today, though perhaps not now.
    pub(super) fn is_any_lawful(&self, moving: &Moving<'_>) -> bool {
        let mut others = self.0.iter();
        others.any(|other| onward(moving, other.neighbour).is_some())
    }

    fn any_has_a_place(&self, unit: &Unit<'_>) -> bool {
        self.0.iter().any(|other| other.has_a_place(unit))
    }
}

impl Other<'_> {
    fn has_a_place(&self, unit: &Unit<'_>) -> bool {
        let waiting = || unit.waiting_for(&self.neighbour.account);
        self.is_well && waiting() < u64::from(self.neighbour.queue_limit.get())
    }
}

fn onward<'a>(moving: &Moving<'_>, neighbour: &'a Neighbour) -> Option<Onward<'a>> {
    let account = &neighbour.account;
    let way = ways::from_stored(moving.ways).find(|way| way.account == account.as_str())?;
    let sender = neighbour.lawful.sender(&way.sender, moving.region)?;
    let destination = moving.region.destination();
    Some(Onward {
        account,
        sender: sender.clone(),
        effective_sender: effective_sender(sender, destination, way.effective_sender),
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

/// Moves what waits and was never sent, as its own ways allow.
pub(in crate::store::sqlite) fn hand_over(
    unit: &mut Unit<'_>,
    request: &HandOver,
    after: i64,
) -> rusqlite::Result<HandedOver> {
    let mut handed_over = HandedOver {
        moved: 0,
        go_on_after: None,
    };
    let others = Others::of(unit, &request.to)?;
    if !others.any_has_a_place(unit) {
        return Ok(handed_over);
    }
    handed_over.go_on_after = end_of_part(unit, &request.from, after)?;
    let end = handed_over.go_on_after.unwrap_or(i64::MAX);
    for candidate in candidates(unit, request, after, end)? {
        let moving = Moving {
            ways: &candidate.ways,
            region: candidate.region,
            expire_time: candidate.expire_time,
        };
        if let Some(way) = others.onward(unit, &moving, request.now) {
            move_to(unit, candidate.id, &way, request.now)?;
            unit.note_waiting(&request.from, -1);
            handed_over.moved += 1;
        }
    }
    Ok(handed_over)
}

/// The last of those that one transaction looks at, where there are so many; whether they may move or not.
fn end_of_part(unit: &Unit<'_>, from: &AccountId, after: i64) -> rusqlite::Result<Option<i64>> {
    unit.connection
        .prepare_cached(
            "SELECT seq FROM deliveries INDEXED BY deliveries_waiting \
             WHERE account = ?1 AND state = 1 AND seq > ?2 ORDER BY seq LIMIT 1 OFFSET ?3",
        )?
        .query_row(
            params![from.as_str(), after, to_signed(MOST_AT_ONCE - 1)],
            |row| row.get(0),
        )
        .optional()
}

/// What may move: it has another way, was certainly not sent, and has time left.
fn candidates(
    unit: &Unit<'_>,
    request: &HandOver,
    after: i64,
    end: i64,
) -> rusqlite::Result<Vec<Candidate>> {
    let least_attempts = match request.which {
        Which::AllThatWait => 0,
        Which::WhatWasTried => 1,
    };
    unit.connection
        .prepare_cached(
            "SELECT id, ways, region, expire_time FROM deliveries INDEXED BY deliveries_waiting \
             WHERE account = ?1 AND state = 1 AND seq > ?2 AND seq <= ?3 AND ways IS NOT NULL AND NOT maybe_sent \
             AND attempts - attempts_elsewhere >= ?4 AND expire_time > ?5 ORDER BY seq",
        )?
        .query_map(
            params![
                request.from.as_str(),
                after,
                end,
                least_attempts,
                micros(request.must_outlive),
            ],
            |row| {
                Ok(Candidate {
                    id: DeliveryId::from_bytes(row.get(0)?),
                    ways: row.get(1)?,
                    region: rows::region(row, 2)?,
                    expire_time: rows::time(row, 3)?,
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
            "UPDATE deliveries SET account = ?2, sender = ?3, effective_sender = ?4, not_before = 0, update_time = ?5, \
             attempts_elsewhere = attempts WHERE id = ?1",
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
