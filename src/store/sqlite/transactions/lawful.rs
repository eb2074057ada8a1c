//! A lane finds that what it is about to send may not go out under its sender any more, or not to that region: the day has
//! changed, or the configuration.

use std::time::Duration;

use rusqlite::params;

use super::{
    attempts::SealedWork,
    handing_over::{Moving, Others, move_to},
};
use crate::{
    domain::{DeliveryId, Destination, EffectiveSender, Reason, Sender},
    store::{
        LeaseRequest, Unlawful,
        sqlite::{rows::micros, writer::Unit},
    },
};

/// How long a delivery that may go out on another account alone waits for one that can take it, before it is asked again: so
/// long for each [`PART`] of what waits. A backlog is then never asked so often that nothing behind it comes to its turn.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// About what one lease asks for.
const PART: u64 = 500;

/// What becomes of a due delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes out here.
    Goes,
    /// It waits here no longer: it was moved, or has ended.
    Leaves,
    /// It waits for another account.
    Waits,
}

/// What one lease may send, and what it has come to.
pub(super) struct Law<'a> {
    request: &'a LeaseRequest,
    /// Looked up when the first delivery needs them, which is rare.
    others: Option<Others<'a>>,
    /// How often what happened. Told once for the lease, by the lane: the writing thread has no time for a line for each.
    pub(super) unlawful: Unlawful,
}

impl<'a> Law<'a> {
    pub(super) fn new(request: &'a LeaseRequest) -> Self {
        Self {
            request,
            others: None,
            unlawful: Unlawful::default(),
        }
    }

    /// Whether a due delivery may go out here today, under its own sender or the one that takes its place. If not, it is moved,
    /// made to wait for another account, or ended; operators would have blocked it without a word.
    pub(super) fn fate(
        &mut self,
        unit: &mut Unit<'_>,
        due: &mut SealedWork,
    ) -> rusqlite::Result<Fate> {
        let wanted = Sender::from_stored(&due.sender);
        let goes = wanted
            .as_ref()
            .ok()
            .and_then(|wanted| self.request.lawful.sender(wanted, due.region));
        match goes {
            Some(sender) if sender.as_str() == due.sender => Ok(Fate::Goes),
            Some(sender) => {
                replace_sender(unit, due.id, sender)?;
                sender.as_str().clone_into(&mut due.sender);
                self.unlawful.renamed += 1;
                Ok(Fate::Goes)
            }
            None => self.leave(unit, due),
        }
    }

    fn leave(&mut self, unit: &mut Unit<'_>, due: &SealedWork) -> rusqlite::Result<Fate> {
        let now = self.request.now;
        let others = match self.others.take() {
            Some(others) => others,
            None => Others::of(unit, &self.request.neighbours)?,
        };
        let others = self.others.insert(others);
        let ways: Option<String> = unit
            .connection
            .prepare_cached("SELECT ways FROM deliveries WHERE seq = ?1")?
            .query_row(params![due.seq], |row| row.get(0))?;
        let ways = ways.filter(|_| !due.maybe_sent).unwrap_or_default();
        let moving = Moving {
            ways: &ways,
            region: due.region,
            expire_time: due.expire_time,
        };
        if let Some(way) = others.onward(unit, &moving, now) {
            move_to(unit, due.id, &way, now)?;
            self.unlawful.moved += 1;
            return Ok(Fate::Leaves);
        }
        if others.is_any_lawful(&moving) {
            ask_again(unit, due.id, self.request)?;
            self.unlawful.waiting += 1;
            return Ok(Fate::Waits);
        }
        end(unit, due, self.request)?;
        self.unlawful.ended += 1;
        Ok(Fate::Leaves)
    }
}

fn replace_sender(unit: &Unit<'_>, id: DeliveryId, sender: &Sender) -> rusqlite::Result<()> {
    unit.connection
        .prepare_cached("UPDATE deliveries SET sender = ?2, effective_sender = ?3 WHERE id = ?1")?
        .execute(params![
            id.as_bytes(),
            sender.as_str(),
            EffectiveSender::national(sender).as_str(),
        ])?;
    Ok(())
}

fn ask_again(unit: &Unit<'_>, id: DeliveryId, request: &LeaseRequest) -> rusqlite::Result<()> {
    let parts = unit.waiting_for(&request.account) / PART;
    let pause =
        ASK_AGAIN.saturating_mul(u32::try_from(parts).unwrap_or(u32::MAX).saturating_add(1));
    let later = request.now.checked_add(pause).unwrap_or(request.now);
    unit.connection
        .prepare_cached("UPDATE deliveries SET not_before = ?2 WHERE id = ?1")?
        .execute(params![id.as_bytes(), micros(later)])?;
    Ok(())
}

/// What waits for its one resend may have been sent, so it cannot be called failed.
fn end(unit: &mut Unit<'_>, due: &SealedWork, request: &LeaseRequest) -> rusqlite::Result<()> {
    let reason = match due.region.destination() {
        Destination::National => Reason::ALIAS_NOT_USABLE,
        Destination::International => Reason::RECIPIENT_COUNTRY_NOT_ALLOWED,
    };
    unit.connection
        .prepare_cached(
            "UPDATE deliveries SET state = CASE WHEN maybe_sent THEN 7 ELSE 5 END, reason = ?2, sealed_text = NULL, \
             update_time = ?3 WHERE id = ?1",
        )?
        .execute(params![
            due.id.as_bytes(),
            reason,
            micros(request.now),
        ])?;
    unit.note_change(due.id);
    Ok(())
}
