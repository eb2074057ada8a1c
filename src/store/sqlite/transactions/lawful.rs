//! A lane finds that the sender of what it is about to send may not be used any more: the day has changed, or the configuration.

use std::time::Duration;

use rusqlite::params;

use super::{
    attempts::SealedWork,
    handing_over::{move_to, onward, takes},
};
use crate::{
    domain::{DeliveryId, EffectiveSender, Reason, Sender},
    store::{
        LeaseRequest, Neighbour,
        sqlite::{rows::micros, writer::Unit},
    },
};

/// How long a delivery that may go out on another account alone waits for one that can take it, before it is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Whether a due delivery may go out here today, under its own sender or the one that takes its place. If not, it is moved,
/// made to wait for another account, or ended; operators would have blocked it without a word.
pub(super) fn goes_here(
    unit: &mut Unit<'_>,
    request: &LeaseRequest,
    due: &mut SealedWork,
) -> rusqlite::Result<bool> {
    let wanted = Sender::from_stored(&due.sender);
    let goes = wanted
        .as_ref()
        .ok()
        .and_then(|wanted| request.lawful.sender(wanted, due.destination));
    match goes {
        Some(sender) if sender.as_str() == due.sender => Ok(true),
        Some(sender) => {
            replace_sender(unit, due, sender)?;
            sender.as_str().clone_into(&mut due.sender);
            Ok(true)
        }
        None => {
            leave(unit, request, due)?;
            Ok(false)
        }
    }
}

fn replace_sender(unit: &Unit<'_>, due: &SealedWork, sender: &Sender) -> rusqlite::Result<()> {
    tracing::warn!(delivery = %due.id, "store: the alias of a delivery may not be used any more; it goes out under the common number");
    unit.connection
        .prepare_cached("UPDATE deliveries SET sender = ?2, effective_sender = ?3 WHERE id = ?1")?
        .execute(params![
            due.id.as_bytes(),
            sender.as_str(),
            EffectiveSender::national(sender).as_str(),
        ])?;
    Ok(())
}

fn leave(unit: &mut Unit<'_>, request: &LeaseRequest, due: &SealedWork) -> rusqlite::Result<()> {
    let ways: Option<String> = unit
        .connection
        .prepare_cached("SELECT ways FROM deliveries WHERE id = ?1")?
        .query_row(params![due.id.as_bytes()], |row| row.get(0))?;
    let ways = ways.filter(|_| !due.maybe_sent).unwrap_or_default();
    let may_take = |neighbour: &Neighbour| takes(unit, neighbour);
    if let Some(way) = onward(&ways, due.destination, &request.neighbours, may_take) {
        tracing::warn!(delivery = %due.id, "store: the alias of a delivery may not be used any more; another account takes it");
        return move_to(unit, due.id, &way, request.now);
    }
    if onward(&ways, due.destination, &request.neighbours, |_| true).is_some() {
        unit.note_waiting(&request.account, 1);
        return ask_again(unit, due.id, request);
    }
    fail(unit, due.id, request)
}

fn ask_again(unit: &Unit<'_>, id: DeliveryId, request: &LeaseRequest) -> rusqlite::Result<()> {
    let later = request.now.checked_add(ASK_AGAIN).unwrap_or(request.now);
    unit.connection
        .prepare_cached("UPDATE deliveries SET not_before = ?2 WHERE id = ?1")?
        .execute(params![id.as_bytes(), micros(later)])?;
    Ok(())
}

/// What waits for its one resend may have been sent, so it cannot be called failed.
fn fail(unit: &mut Unit<'_>, id: DeliveryId, request: &LeaseRequest) -> rusqlite::Result<()> {
    tracing::error!(delivery = %id, account = %request.account, "store: a delivery's alias may not be used any more and there is no other way: it is not sent; see the alias's record in [[aliases]], or say alias_policy = \"numeric\"");
    unit.connection
        .prepare_cached(
            "UPDATE deliveries SET state = CASE WHEN maybe_sent THEN 7 ELSE 5 END, reason = ?2, sealed_text = NULL, \
             update_time = ?3 WHERE id = ?1",
        )?
        .execute(params![
            id.as_bytes(),
            Reason::ALIAS_NOT_USABLE,
            micros(request.now),
        ])?;
    unit.note_change(id);
    Ok(())
}
