//! How long a message is worth delivering, in the words of a platform.
//!
//! Must not know: protocols, codes, which clock there is.

use std::{fmt, sync::Arc, time::Duration};

use jiff::Timestamp;

/// Tells the present moment, for the one form that needs it.
#[derive(Clone)]
pub struct Now(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Now {
    /// From whatever clock there is.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }
}

impl fmt::Debug for Now {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Now")
    }
}

/// How the remaining life of a code travels with its message.
#[derive(Debug, Clone, Default)]
pub enum ExpiryForm {
    /// `PT540S`, an xsd:duration: what is left. No clock and no time zone of either side can make it wrong, hence the
    /// default; it counts from when the platform reads it.
    #[default]
    Duration,
    /// `2026-11-24T10:30:00Z`, an xsd:dateTime in UTC: the moment of the end, for a platform that takes only that.
    DateTime(Now),
    /// Not at all, for a platform that refuses both.
    Omitted,
}

impl ExpiryForm {
    /// The text for a message that is worth delivering for so long. Whole seconds, rounded down, because a code that comes
    /// late is worth nothing; but never zero, which a platform may take for "no limit".
    pub(super) fn text(&self, valid_for: Duration) -> Option<String> {
        let left = Duration::from_secs(valid_for.as_secs().max(1));
        match self {
            Self::Duration => Some(format!("PT{}S", left.as_secs())),
            Self::DateTime(now) => {
                let end = (now.0)().checked_add(left).ok()?;
                let whole = Timestamp::from_second(end.as_second()).ok()?;
                Some(whole.to_string())
            }
            Self::Omitted => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_as_configured_and_never_longer_than_it_is() {
        let now: Timestamp = "2026-11-24T23:59:30.75Z".parse().unwrap();
        let date_time = ExpiryForm::DateTime(Now::new(move || now));
        let left = Duration::from_millis(540_900);
        for (form, left, expected) in [
            (&ExpiryForm::Duration, left, Some("PT540S")),
            (&ExpiryForm::Duration, Duration::ZERO, Some("PT1S")),
            (&date_time, left, Some("2026-11-25T00:08:30Z")),
            (&date_time, Duration::ZERO, Some("2026-11-24T23:59:31Z")),
            (&date_time, Duration::MAX, None),
            (&ExpiryForm::Omitted, left, None),
        ] {
            assert_eq!(form.text(left).as_deref(), expected, "{form:?} {left:?}");
        }
    }
}
