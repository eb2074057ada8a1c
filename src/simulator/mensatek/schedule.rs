//! `CancelarSMSCERTIFICADO` and `ReprogramarSMSCERTIFICADO`.
//!
//! Must not know: HTTP, who waits for the time to come.

use jiff::Timestamp;

use super::{
    answer::{Reply, Wrong},
    book::{Book, Group, Stage},
    credits::Credits,
    form::Form,
    states, time,
    turn::Turn,
};

/// `CancelarSMSCERTIFICADO`: all that is still scheduled; gives its credits back.
pub(super) fn cancel(book: &mut Book, turn: &Turn<'_>, form: &Form) -> Result<Reply, Wrong> {
    let id = form.get("Idmensaje").unwrap_or_default();
    let group = book.group_of(turn.login, id, (-2, -2))?;
    must_wait(group)?;
    let res = turn.allows()?;
    let mut count = 0;
    let mut back = Credits::default();
    for entry in &mut group.entries {
        if matches!(entry.stage, Stage::Scheduled(_)) {
            entry.stage = Stage::Cancelled;
            entry.state = states::CANCELLED;
            entry.state_time = turn.now;
            back = back.plus(entry.cost);
            count += 1;
        }
    }
    let own = book.own(turn.login);
    own.credits = own.credits.plus(back);
    let id: u64 = id.trim().parse().unwrap_or_default();
    Ok(Reply::res(res.unwrap_or(count))
        .with("IDMENSAJE", id)
        .with("CREDR", back.json()))
}

/// `ReprogramarSMSCERTIFICADO`, and when to look at the books again.
pub(super) fn reschedule(
    book: &mut Book,
    turn: &Turn<'_>,
    form: &Form,
) -> Result<(Reply, Timestamp), Wrong> {
    let id = form.get("Idmensaje").unwrap_or_default();
    let group = book.group_of(turn.login, id, (-2, -2))?;
    must_wait(group)?;
    let date = form.get("Fecha").unwrap_or_default();
    let date = time::read(date).ok_or(Wrong::code(-6))?;
    if date <= turn.now {
        return Err(Wrong::code(-7));
    }
    let res = turn.allows()?;
    let mut count = 0;
    for entry in &mut group.entries {
        if let Stage::Scheduled(due) = &mut entry.stage {
            due.at = date;
            count += 1;
        }
    }
    book.look_at(date, id.trim().parse().unwrap_or_default());
    Ok((Reply::res(res.unwrap_or(count)), date))
}

/// −4 where everything has been sent, −5 where what was not sent is cancelled.
fn must_wait(group: &Group) -> Result<(), Wrong> {
    let waits = |stage: &Stage| matches!(stage, Stage::Scheduled(_));
    if group.entries.iter().any(|entry| waits(&entry.stage)) {
        return Ok(());
    }
    let cancelled = |stage: &Stage| matches!(stage, Stage::Cancelled);
    let code = if group.entries.iter().any(|entry| cancelled(&entry.stage)) {
        -5
    } else {
        -4
    };
    Err(Wrong::code(code))
}
