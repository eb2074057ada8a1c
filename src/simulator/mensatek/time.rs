//! Times as the API writes them: Spanish, without a zone.
//!
//! Must not know: what a time is for.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde::Deserialize;

/// How a time is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DateForm {
    /// `2026-11-22 13:00:00`.
    #[default]
    Spaced,
    /// `20261122130000`.
    Compact,
}

fn spanish() -> TimeZone {
    // The zones are built in.
    TimeZone::get("Europe/Madrid").unwrap_or(TimeZone::UTC)
}

/// `YYYY-MM-DD hh:mm`, with `:ss` or without; `None` for anything else. A time that the clocks skip or repeat counts as the
/// earlier of the two.
pub(super) fn read(text: &str) -> Option<Timestamp> {
    let pattern = match text.len() {
        16 => "dddd-dd-dd dd:dd",
        19 => "dddd-dd-dd dd:dd:dd",
        _ => return None,
    };
    let fits = text
        .bytes()
        .zip(pattern.bytes())
        .all(|(byte, wanted)| match wanted {
            b'd' => byte.is_ascii_digit(),
            other => byte == other,
        });
    let local: DateTime = fits.then(|| text.parse().ok())??;
    spanish().to_timestamp(local).ok()
}

/// A day or a time; a day is its first moment, or its last where it ends a span.
pub(super) fn read_edge(text: &str, ends: bool) -> Option<Timestamp> {
    match text.len() {
        10 if ends => read(&format!("{text} 23:59:59")),
        10 => read(&format!("{text} 00:00")),
        _ => read(text),
    }
}

/// In Spanish time.
pub(super) fn write(time: Timestamp, form: DateForm) -> String {
    let local = time.to_zoned(spanish());
    let format = match form {
        DateForm::Spaced => "%Y-%m-%d %H:%M:%S",
        DateForm::Compact => "%Y%m%d%H%M%S",
    };
    local.strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_spanish_in_winter_and_in_summer() {
        for (text, utc) in [
            ("2026-11-22 13:00", "2026-11-22T12:00:00Z"),
            ("2026-07-22 13:00:05", "2026-07-22T11:00:05Z"),
        ] {
            let time = read(text).unwrap();
            assert_eq!(time, utc.parse().unwrap());
            assert!(write(time, DateForm::Spaced).starts_with(text));
        }
        let noon = read("2026-11-22 13:00").unwrap();
        assert_eq!(write(noon, DateForm::Compact), "20261122130000");
        for wrong in [
            "",
            "2026-11-22",
            "2026-13-22 13:00",
            "22-11-2026 13:00",
            "2026-11-22T13:00",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        let day = |ends| write(read_edge("2026-11-22", ends).unwrap(), DateForm::Spaced);
        assert_eq!(
            (&*day(false), &*day(true)),
            ("2026-11-22 00:00:00", "2026-11-22 23:59:59")
        );
    }
}
