//! Rows ⇄ domain values.

use jiff::Timestamp;
use rusqlite::{Row, types::Type};

use crate::domain::{
    AccountId, CallerName, Delivery, DeliveryId, DeliveryState, Destination, Dir3, EffectiveSender,
    Encoding, GatewayMessageId, Language, Purpose, Reason, Reference, Region,
};

/// The columns that make a [`Delivery`], in the order that [`delivery`] reads them.
pub(super) const DELIVERY_COLUMNS: &str = "id, caller, administration, account, state, reason, effective_sender, \
     destination, masked_recipient, purpose, language, encoding, segments, attempts, gateway_message_id, gateway_code, \
     reference, create_time, expire_time, submit_time, report_time, update_time, report_deadline";

/// How many they are: the first column after them.
pub(super) const DELIVERY_COLUMN_COUNT: usize = 23;

/// Microseconds since 1970, as kept in the database.
pub(super) fn micros(time: Timestamp) -> i64 {
    time.as_microsecond()
}

/// A time as it will be read again: without what is finer than a microsecond.
pub(super) fn as_kept(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(micros(time)).unwrap_or(time)
}

pub(super) fn delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    Ok(Delivery {
        id: DeliveryId::from_bytes(row.get(0)?),
        caller: text(row, 1, |text| CallerName::parse(text).ok())?,
        administration: text(row, 2, |text| Dir3::parse(text).ok())?,
        account: text(row, 3, |text| AccountId::parse(text).ok())?,
        state: state(row, 4)?,
        reason: optional_text(row, 5, Reason::parse)?,
        sender: text(row, 6, |text| Some(EffectiveSender::from_stored(text)))?,
        destination: text(row, 7, destination)?,
        masked_recipient: row.get::<_, String>(8)?.into_boxed_str(),
        purpose: text(row, 9, Purpose::parse)?,
        language: text(row, 10, Language::from_tag)?,
        encoding: text(row, 11, encoding)?,
        segments: row.get(12)?,
        attempts: row.get(13)?,
        gateway_message_id: optional_text(row, 14, GatewayMessageId::parse)?,
        gateway_code: row.get(15)?,
        reference: optional_text(row, 16, |text| Reference::parse(text).ok())?,
        create_time: time(row, 17)?,
        expire_time: time(row, 18)?,
        submit_time: optional_time(row, 19)?,
        report_time: optional_time(row, 20)?,
        update_time: time(row, 21)?,
        report_deadline: optional_time(row, 22)?,
    })
}

pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    Timestamp::from_microsecond(row.get(column)?).map_err(|_| unreadable(column))
}

pub(super) fn optional_time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    match row.get::<_, Option<i64>>(column)? {
        Some(_) => time(row, column).map(Some),
        None => Ok(None),
    }
}

pub(super) fn state(row: &Row<'_>, column: usize) -> rusqlite::Result<DeliveryState> {
    DeliveryState::from_stored(row.get(column)?).ok_or_else(|| unreadable(column))
}

/// Parses a text column; a text that this program does not write is an error that names the column.
pub(super) fn text<T>(
    row: &Row<'_>,
    column: usize,
    parse: impl Fn(&str) -> Option<T>,
) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    parse(text).ok_or_else(|| unreadable(column))
}

pub(super) fn optional_text<T>(
    row: &Row<'_>,
    column: usize,
    parse: impl Fn(&str) -> Option<T>,
) -> rusqlite::Result<Option<T>> {
    match row.get_ref(column)?.as_str_or_null()? {
        Some(text) => parse(text).map(Some).ok_or_else(|| unreadable(column)),
        None => Ok(None),
    }
}

pub(super) fn unreadable(column: usize) -> rusqlite::Error {
    let what = "holds what no version of this program writes";
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, what.into())
}

fn destination(text: &str) -> Option<Destination> {
    [Destination::National, Destination::International]
        .into_iter()
        .find(|destination| destination.as_str() == text)
}

pub(super) fn region(row: &Row<'_>, column: usize) -> rusqlite::Result<Region> {
    text(row, column, Region::parse)
}

fn encoding(text: &str) -> Option<Encoding> {
    [Encoding::Gsm7, Encoding::Ucs2]
        .into_iter()
        .find(|encoding| encoding.as_str() == text)
}
