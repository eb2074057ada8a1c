//! Times as the platform reads and writes them: Spanish time, to the minute or the second.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use thiserror::Error;

/// The platform's time zone.
const ZONE: &str = "Europe/Madrid";

/// When a message is to be sent: a whole minute that Spanish time has once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SendTime(Timestamp);

/// Why a moment cannot be told to the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SendTimeError {
    /// Spanish time has this hour twice, when summer time ends; which of the two the platform means is not told.
    #[error("falls into the hour that Spanish time has twice: choose one before or after it")]
    Ambiguous,
    /// Beyond the calendar.
    #[error("is beyond the calendar")]
    Beyond,
}

impl SendTime {
    /// The moment, rounded up to the minute: never before it.
    pub fn new(moment: Timestamp) -> Result<Self, SendTimeError> {
        let seconds = moment.as_second() + i64::from(moment.subsec_nanosecond() > 0);
        let minutes = seconds.div_euclid(60) + i64::from(seconds.rem_euclid(60) > 0);
        let whole = Timestamp::from_second(minutes.saturating_mul(60))
            .map_err(|_| SendTimeError::Beyond)?;
        let civil = zone().ok_or(SendTimeError::Beyond)?.to_datetime(whole);
        // Of two the earlier is taken; there are two where the later one reads the same.
        let ambiguous = zone()
            .ok_or(SendTimeError::Beyond)?
            .to_ambiguous_zoned(civil)
            .is_ambiguous();
        if ambiguous {
            return Err(SendTimeError::Ambiguous);
        }
        Ok(Self(whole))
    }

    /// Takes back what was kept.
    pub const fn from_stored(moment: Timestamp) -> Self {
        Self(moment)
    }

    /// The moment.
    pub const fn moment(self) -> Timestamp {
        self.0
    }

    /// As the platform takes it: `2026-11-24 15:10`.
    pub fn in_spain(self) -> String {
        zone().map_or_else(String::new, |zone| {
            zone.to_datetime(self.0)
                .strftime("%Y-%m-%d %H:%M")
                .to_string()
        })
    }
}

/// Reads `2026-11-24 11:14:24` or `20261124111424` as Spanish time; of an hour that there is twice, the first.
pub fn spanish_time(text: &str) -> Option<Timestamp> {
    let civil = spanish_date_time(text)?;
    Some(zone()?.to_zoned(civil).ok()?.timestamp())
}

/// The same, as the clock on the wall shows it.
pub fn spanish_date_time(text: &str) -> Option<DateTime> {
    const FORMS: [&str; 4] = [
        "%Y-%m-%d %H:%M:%S",
        "%Y%m%d%H%M%S",
        "%Y-%m-%d %H:%M",
        "%Y-%m-%dT%H:%M:%S",
    ];
    let text = text.trim();
    FORMS
        .iter()
        .find_map(|form| DateTime::strptime(form, text).ok())
}

/// The bundled data has it; `None` cannot be, and is no reason to panic.
fn zone() -> Option<TimeZone> {
    TimeZone::get(ZONE).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_moment_is_told_in_spanish_time_and_never_too_early() {
        for (utc, spain) in [
            ("2026-11-24T14:10:00Z", "2026-11-24 15:10"),
            ("2026-11-24T14:09:00.5Z", "2026-11-24 15:10"),
            ("2026-07-01T23:59:01Z", "2026-07-02 02:00"),
            ("2026-10-25T01:59:01Z", "2026-10-25 03:00"),
        ] {
            assert_eq!(
                SendTime::new(moment(utc)).unwrap().in_spain(),
                spain,
                "{utc}"
            );
        }
        for twice in ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"] {
            let refused = SendTime::new(moment(twice));
            assert_eq!(refused, Err(SendTimeError::Ambiguous), "{twice}");
        }
        assert_eq!(SendTime::new(Timestamp::MAX), Err(SendTimeError::Beyond));
    }

    #[test]
    fn what_the_platform_writes_is_read() {
        let expected = Some(moment("2026-11-24T10:14:24Z"));
        for text in [
            "2026-11-24 11:14:24",
            "20261124111424",
            " 2026-11-24T11:14:24 ",
        ] {
            assert_eq!(spanish_time(text), expected, "{text}");
        }
        for text in ["", "ayer", "2026-13-01 00:00:00", "2026111"] {
            assert_eq!(spanish_time(text), None, "{text}");
        }
    }
}
