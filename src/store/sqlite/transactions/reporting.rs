//! A gateway says later what became of a message.
//!
//! What may change is decided in `store::reports`; here a report finds its delivery.

use std::num::NonZeroU32;

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Row, ToSql, params};

use super::early_reports::keep_early;
use crate::{
    domain::{AccountId, DeliveryId, DeliveryState, GatewayMessageId, News, Reason},
    store::{
        Applied, NewReport, ReportEffect,
        reports::{Move, Settleable, decide},
        sealing::RecipientHash,
        sqlite::{
            rows::{self, micros},
            writer::Unit,
        },
    },
};

/// A report with its number hashed: what the writing thread may see.
pub(in crate::store::sqlite) struct SealedReport {
    pub(in crate::store::sqlite) new: NewReport,
    pub(in crate::store::sqlite) recipient_hash: Option<RecipientHash>,
}

/// The delivery that a report is about.
struct Subject {
    seq: i64,
    id: DeliveryId,
    account: AccountId,
    recipient_hash: RecipientHash,
    message_id: Option<String>,
    submit_time: Option<Timestamp>,
    /// When its last attempt began; `None` before the first.
    last_start: Option<Timestamp>,
    settleable: Settleable,
}

impl Subject {
    fn applied(&self, effect: ReportEffect) -> Applied {
        Applied {
            effect,
            delivery: Some(self.id),
            submit_time: self.submit_time,
        }
    }

    /// The delivery as one report finds it.
    fn facing(&self, unit: &Unit<'_>, said: &Said<'_>) -> rusqlite::Result<Settleable> {
        let is_its_message = match (self.message_id.as_deref(), said.message_id) {
            (Some(known), Some(named)) => known == named,
            _ => self.settleable.attempts == 1 || self.is_of_the_only_one(unit, said)?,
        };
        Ok(Settleable {
            is_of_last_attempt: is_its_message && said.account == self.account.as_str(),
            ..self.settleable
        })
    }

    /// Where no answer told an id: whether this can be about no other message than that of the last attempt. Those before it left
    /// none, as was told at the time (`maybe_sent` otherwise); a report from before the last one began, or one of another
    /// message, gives that the lie.
    fn is_of_the_only_one(&self, unit: &Unit<'_>, said: &Said<'_>) -> rusqlite::Result<bool> {
        if self
            .last_start
            .is_none_or(|start| said.receive_time < start)
        {
            return Ok(false);
        }
        let speaks_of_another: bool = unit
            .connection
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM reports INDEXED BY reports_of_delivery \
                 WHERE delivery = ?1 AND (account <> ?2 OR message_id IS NOT NULL AND message_id IS NOT ?3))",
            )?
            .query_row(params![self.seq, said.account, said.message_id], |row| {
                row.get(0)
            })?;
        Ok(!speaks_of_another)
    }
}

const SUBJECT: &str = "SELECT seq, id, account, recipient_hash, gateway_message_id, submit_time, state, maybe_sent, attempts, \
     report_deadline, \
     (SELECT start_time FROM attempts WHERE delivery = deliveries.seq AND number = deliveries.attempts) FROM deliveries";

/// Keeps a report and lets it settle its delivery.
pub(in crate::store::sqlite) fn apply_report(
    unit: &mut Unit<'_>,
    sealed: &SealedReport,
) -> rusqlite::Result<Applied> {
    let NewReport {
        account,
        report,
        receive_time,
        ..
    } = &sealed.new;
    let Some(subject) = find(unit, sealed)? else {
        let effect = keep_early(unit, sealed)?;
        return Ok(Applied {
            effect,
            delivery: None,
            submit_time: None,
        });
    };
    let is_believed = sealed
        .recipient_hash
        .is_none_or(|hash| hash == subject.recipient_hash);
    if !is_believed {
        return Ok(subject.applied(ReportEffect::AnotherRecipient));
    }
    let message_id = report.message_id.as_ref().map(GatewayMessageId::as_str);
    if is_repeated(unit, subject.seq, message_id, report.status.as_str())? {
        return Ok(subject.applied(ReportEffect::Repeated));
    }
    let said = Said {
        account: account.as_str(),
        message_id,
        news: &report.news,
        receive_time: *receive_time,
    };
    if !has_room(unit, &subject, &said, sealed.new.max_per_delivery)? {
        return Ok(subject.applied(ReportEffect::TooMany));
    }
    unit.connection
        .prepare_cached(
            "INSERT INTO reports (delivery, account, message_id, news, reason, status, receive_time) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            subject.seq,
            account.as_str(),
            message_id,
            report.news.as_str(),
            reason_of(&report.news),
            report.status.as_str(),
            micros(*receive_time),
        ])?;
    let effect = settle(unit, &subject, &said, *receive_time)?;
    if effect == ReportEffect::Noted && !subject.settleable.state.is_always_final() {
        unit.connection
            .prepare_cached("UPDATE deliveries SET report_time = ?2 WHERE seq = ?1")?
            .execute(params![subject.seq, micros(*receive_time)])?;
        unit.note_change(subject.id);
    }
    Ok(subject.applied(effect))
}

/// What came before the outcome was known: `message_id` is the one that the gateway has just told.
pub(super) fn after_outcome(
    unit: &mut Unit<'_>,
    delivery: i64,
    account: &AccountId,
    message_id: Option<&str>,
    now: Timestamp,
) -> rusqlite::Result<()> {
    if let Some(message_id) = message_id {
        // Only a report about the same citizen: the id alone could be another system's on the same account.
        unit.connection
            .prepare_cached(
                "UPDATE reports INDEXED BY reports_early SET delivery = ?1 \
                 WHERE account = ?2 AND message_id = ?3 AND delivery IS NULL AND \
                 (recipient_hash IS NULL OR recipient_hash = (SELECT recipient_hash FROM deliveries WHERE seq = ?1))",
            )?
            .execute(params![delivery, account.as_str(), message_id])?;
    }
    settle_by_kept(unit, delivery, now)?;
    Ok(())
}

/// Settles what a process that is gone was submitting when a report had come already; answers how many.
pub(super) fn settle_interrupted(unit: &mut Unit<'_>, now: Timestamp) -> rusqlite::Result<u64> {
    let interrupted: Vec<i64> = unit
        .connection
        .prepare(
            "SELECT seq FROM deliveries INDEXED BY deliveries_sending WHERE state = 2 AND EXISTS \
             (SELECT 1 FROM reports INDEXED BY reports_of_delivery \
             WHERE delivery = deliveries.seq AND news IN ('delivered', 'failed'))",
        )?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut settled = 0;
    for delivery in interrupted {
        unit.connection.execute(
            "UPDATE deliveries SET state = 7, reason = ?2, sealed_text = NULL, attempt_token = NULL, update_time = ?3 \
             WHERE seq = ?1",
            params![delivery, Reason::ATTEMPT_INTERRUPTED, micros(now)],
        )?;
        settled += u64::from(settle_by_kept(unit, delivery, now)?);
    }
    Ok(settled)
}

/// Lets the reports that are kept with a delivery settle it, the one that says most first.
fn settle_by_kept(unit: &mut Unit<'_>, delivery: i64, now: Timestamp) -> rusqlite::Result<bool> {
    type Kept = (String, Option<String>, Option<String>, String, Timestamp);
    let kept: Vec<Kept> = unit
        .connection
        .prepare_cached(
            "SELECT news, reason, message_id, account, receive_time FROM reports INDEXED BY reports_of_delivery \
             WHERE delivery = ?1 AND news IN ('delivered', 'failed') ORDER BY news, seq",
        )?
        .query_map(params![delivery], |row| {
            let receive_time = rows::time(row, 4)?;
            Ok((
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
                receive_time,
            ))
        })?
        .collect::<rusqlite::Result<_>>()?;
    for (news, reason, message_id, account, receive_time) in kept {
        let news = match (news.as_str(), reason.as_deref().and_then(Reason::parse)) {
            ("delivered", _) => News::Delivered,
            (_, Some(reason)) => News::Failed(reason),
            (_, None) => News::Failed(Reason::known(Reason::REPORTED_REJECTED)),
        };
        let subject = unit
            .connection
            .prepare_cached(&format!("{SUBJECT} WHERE seq = ?1"))?
            .query_row(params![delivery], subject)?;
        let said = Said {
            account: &account,
            message_id: message_id.as_deref(),
            news: &news,
            receive_time,
        };
        let effect = settle(unit, &subject, &said, now)?;
        if matches!(effect, ReportEffect::Settled(_)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Our own reference comes first, then the gateway's id. A report is only believed of a delivery that this account tried.
fn find(unit: &Unit<'_>, sealed: &SealedReport) -> rusqlite::Result<Option<Subject>> {
    let new = &sealed.new;
    let by_reference = match new.report.delivery {
        Some(id) => unit
            .connection
            .prepare_cached(&format!("{SUBJECT} WHERE id = ?1"))?
            .query_row(params![id.as_bytes()], subject)
            .optional()?,
        None => None,
    };
    let found = match (by_reference, &new.report.message_id) {
        // It names a delivery that is not here, and nobody: an id that may be another's proves nothing then.
        (None, Some(_)) if new.report.delivery.is_some() && sealed.recipient_hash.is_none() => None,
        (None, Some(message_id)) => by_message(unit, sealed, message_id)?,
        (by_reference, _) => by_reference,
    };
    let Some(found) = found else { return Ok(None) };
    let was_tried: bool = unit
        .connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM attempts WHERE delivery = ?1 AND account = ?2)",
        )?
        .query_row(params![found.seq, new.account.as_str()], |row| row.get(0))?;
    Ok(was_tried.then_some(found))
}

/// Of those who share an id, so many are looked at: a gateway that gives all its messages one id must not hold up the writing thread.
const MOST_OF_ONE_ID: u32 = 100;

/// A gateway may use an id again: the newest delivery to the citizen whom the report names, or else the newest of all.
fn by_message(
    unit: &Unit<'_>,
    sealed: &SealedReport,
    message_id: &GatewayMessageId,
) -> rusqlite::Result<Option<Subject>> {
    let account = sealed.new.account.as_str();
    unit.connection
        .prepare_cached(&format!(
            "{SUBJECT} WHERE seq IN (SELECT seq FROM deliveries INDEXED BY deliveries_by_message \
             WHERE gateway_message_id = ?1 AND account = ?2 ORDER BY seq DESC LIMIT ?4) \
             ORDER BY recipient_hash IS ?3 DESC, seq DESC LIMIT 1"
        ))?
        .query_row(
            params![
                message_id.as_str(),
                account,
                sealed.recipient_hash,
                MOST_OF_ONE_ID
            ],
            subject,
        )
        .optional()
}

fn is_repeated(
    unit: &Unit<'_>,
    delivery: i64,
    message_id: Option<&str>,
    status: &str,
) -> rusqlite::Result<bool> {
    unit.connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM reports INDEXED BY reports_of_delivery \
             WHERE delivery = ?1 AND message_id IS ?2 AND status = ?3)",
        )?
        .query_row(params![delivery, message_id, status], |row| row.get(0))
}

/// What one report says.
struct Said<'a> {
    account: &'a str,
    message_id: Option<&'a str>,
    news: &'a News,
    receive_time: Timestamp,
}

/// Whether one more report may be kept with its delivery. Beyond the limit only what changes it is: what settles it now, and,
/// while the submission is under way, the first of its news about its message; of the latter at most as many again, and always
/// the first that says it has arrived.
fn has_room(
    unit: &Unit<'_>,
    subject: &Subject,
    said: &Said<'_>,
    limit: NonZeroU32,
) -> rusqlite::Result<bool> {
    let limit = limit.get();
    let count = |condition: &str, parameters: &[&dyn ToSql]| {
        let statement = format!(
            "SELECT count(*) FROM reports INDEXED BY reports_of_delivery WHERE delivery = ?1{condition}"
        );
        unit.connection
            .prepare_cached(&statement)?
            .query_row(parameters, |row| row.get::<_, u32>(0))
    };
    let kept = count("", &[&subject.seq])?;
    if kept < limit {
        return Ok(true);
    }
    let facing = subject.facing(unit, said)?;
    match decide(facing, said.news, said.receive_time) {
        Move::To(_) => Ok(true),
        Move::AfterOutcome if *said.news == News::Delivered => {
            Ok(count(" AND news = 'delivered'", &[&subject.seq])? == 0)
        }
        Move::AfterOutcome => {
            let same = " AND news = ?2 AND account = ?3 AND message_id IS ?4";
            let of_same: [&dyn ToSql; 4] = [
                &subject.seq,
                &said.news.as_str(),
                &said.account,
                &said.message_id,
            ];
            Ok(kept < limit.saturating_mul(2) && count(same, &of_same)? == 0)
        }
        Move::Stay | Move::TooLate => Ok(false),
    }
}

/// Lets one report change its delivery, as far as it may.
fn settle(
    unit: &mut Unit<'_>,
    subject: &Subject,
    said: &Said<'_>,
    now: Timestamp,
) -> rusqlite::Result<ReportEffect> {
    let facing = subject.facing(unit, said)?;
    // It came in time if it came within the window, however late the outcome of the submission is recorded.
    let decided = decide(facing, said.news, said.receive_time);
    let state = match decided {
        Move::To(state) => state,
        Move::AfterOutcome => return Ok(ReportEffect::Early),
        Move::TooLate => return Ok(ReportEffect::Late),
        Move::Stay => return Ok(ReportEffect::Noted),
    };
    // What the citizen holds is the message of the account that says so, under its sender.
    let sent_as = sent_as(unit, subject.seq, said.account)?;
    let is_elsewhere = said.account != subject.account.as_str();
    unit.connection
        .prepare_cached(
            "UPDATE deliveries SET state = ?2, reason = ?3, report_time = ?4, update_time = ?5, sealed_text = NULL, \
             gateway_message_id = CASE WHEN ?7 IS NULL THEN coalesce(gateway_message_id, ?6) ELSE ?6 END, \
             account = coalesce(?7, account), sender = coalesce(?8, sender), \
             effective_sender = coalesce(?9, effective_sender) WHERE seq = ?1",
        )?
        .execute(params![
            subject.seq,
            state.to_stored(),
            reason_of(said.news),
            micros(said.receive_time),
            micros(now),
            said.message_id,
            sent_as.as_ref().filter(|_| is_elsewhere).map(|_| said.account),
            sent_as.as_ref().map(|(sender, _)| sender),
            sent_as.as_ref().map(|(_, effective_sender)| effective_sender),
        ])?;
    unit.note_change(subject.id);
    if subject.settleable.state == DeliveryState::Accepted {
        unit.note_waiting(&subject.account, -1);
    }
    Ok(ReportEffect::Settled(state))
}

/// The sender on the wire, and what the citizen sees, of an account's last attempt. The delivery's own may have been replaced
/// since: the alias lapsed, or it went on to another account, and perhaps came back.
fn sent_as(
    unit: &Unit<'_>,
    delivery: i64,
    account: &str,
) -> rusqlite::Result<Option<(String, String)>> {
    unit.connection
        .prepare_cached(
            "SELECT sender, effective_sender FROM attempts WHERE delivery = ?1 AND account = ?2 \
             ORDER BY number DESC LIMIT 1",
        )?
        .query_row(params![delivery, account], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()
}

pub(super) fn reason_of(news: &News) -> Option<&str> {
    match news {
        News::Failed(reason) => Some(reason.as_str()),
        News::Delivered | News::Waiting | News::Unknown => None,
    }
}

fn subject(row: &Row<'_>) -> rusqlite::Result<Subject> {
    Ok(Subject {
        seq: row.get(0)?,
        id: DeliveryId::from_bytes(row.get(1)?),
        account: rows::text(row, 2, |text| AccountId::parse(text).ok())?,
        recipient_hash: row.get(3)?,
        message_id: row.get(4)?,
        submit_time: rows::optional_time(row, 5)?,
        last_start: rows::optional_time(row, 10)?,
        settleable: Settleable {
            state: rows::state(row, 6)?,
            maybe_sent: row.get(7)?,
            attempts: row.get(8)?,
            report_deadline: rows::optional_time(row, 9)?,
            is_of_last_attempt: false,
        },
    })
}
