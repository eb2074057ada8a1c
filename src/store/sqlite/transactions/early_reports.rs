//! Reports that no delivery is known for: they wait for one, and are forgotten when none came.
//!
//! What becomes of one whose delivery is known stands in `reporting`.

use jiff::Timestamp;
use rusqlite::params;

use super::reporting::{SealedReport, reason_of};
use crate::{
    domain::AccountId,
    store::{
        ForgottenReports, NewReport, ReportEffect,
        sqlite::{
            rows::{self, micros},
            writer::Unit,
        },
    },
};

/// Keeps a report whose message no answer has told us yet.
pub(super) fn keep_early(
    unit: &mut Unit<'_>,
    sealed: &SealedReport,
) -> rusqlite::Result<ReportEffect> {
    let NewReport {
        account,
        report,
        receive_time,
        early_limit,
        ..
    } = &sealed.new;
    // A reference that names nothing here belongs to nothing that could still become known.
    let (None, Some(message_id)) = (report.delivery, &report.message_id) else {
        return Ok(ReportEffect::Unknown);
    };
    let (kept, is_repeated): (u32, bool) = unit
        .connection
        .prepare_cached(
            "SELECT (SELECT count(*) FROM reports INDEXED BY reports_early WHERE account = ?1 AND delivery IS NULL), \
             EXISTS (SELECT 1 FROM reports INDEXED BY reports_early \
             WHERE account = ?1 AND message_id = ?2 AND status = ?3 AND delivery IS NULL)",
        )?
        .query_row(
            params![
                account.as_str(),
                message_id.as_str(),
                report.status.as_str()
            ],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
    if is_repeated {
        return Ok(ReportEffect::Repeated);
    }
    if kept >= early_limit.get() {
        return Ok(ReportEffect::TooManyEarly);
    }
    unit.connection
        .prepare_cached(
            "INSERT INTO reports (account, message_id, recipient_hash, news, reason, status, receive_time) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            account.as_str(),
            message_id.as_str(),
            sealed.recipient_hash,
            report.news.as_str(),
            reason_of(&report.news),
            report.status.as_str(),
            micros(*receive_time),
        ])?;
    Ok(ReportEffect::Early)
}

/// Forgets what came before a moment and no delivery was ever known for.
pub(in crate::store::sqlite) fn forget_early_reports(
    unit: &mut Unit<'_>,
    before: Timestamp,
) -> rusqlite::Result<ForgottenReports> {
    let before = micros(before);
    let forgotten = unit
        .connection
        .prepare_cached(
            "SELECT account, count(*) FROM reports INDEXED BY reports_early \
             WHERE delivery IS NULL AND receive_time < ?1 GROUP BY account",
        )?
        .query_map(params![before], |row| {
            let account = rows::text(row, 0, |text| AccountId::parse(text).ok())?;
            Ok((account, row.get::<_, i64>(1)?.unsigned_abs()))
        })?
        .collect::<rusqlite::Result<_>>()?;
    unit.connection
        .prepare_cached(
            "DELETE FROM reports INDEXED BY reports_early WHERE delivery IS NULL AND receive_time < ?1",
        )?
        .execute(params![before])?;
    let left: i64 = unit
        .connection
        .prepare_cached(
            "SELECT count(*) FROM reports INDEXED BY reports_early WHERE delivery IS NULL",
        )?
        .query_row([], |row| row.get(0))?;
    Ok(ForgottenReports {
        forgotten,
        left: left.unsigned_abs(),
    })
}
