//! Reads one report of a message from TOML.
//!
//! Must not know: how a report is sent.

use std::num::NonZeroU32;

use serde::Deserialize;

use super::file::{MOST_TRIES, TimeText};
use crate::simulator::{
    mensatek::DateForm,
    reports::{ReportStep, WrittenAs},
};

/// One report of a message.
#[allow(clippy::struct_excessive_bools)] // each is a key of its own
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ReportText {
    status: Option<String>,
    event: Option<u8>,
    value: Option<String>,
    answer: Option<String>,
    text: Option<String>,
    after: Option<TimeText>,
    times: Option<NonZeroU32>,
    message_id: Option<String>,
    recipient: Option<String>,
    recipient_form: WrittenAs,
    date_form: DateForm,
    recipient_as_text: bool,
    without_reference: bool,
    before_answer: bool,
    to_dead_url: bool,
}

impl ReportText {
    pub(super) fn into_step(self) -> Result<ReportStep, &'static str> {
        let mut step = self.begun()?;
        if let Some(text) = self.text {
            step = step.text(&text);
        }
        if let Some(after) = self.after {
            step = step.after(after.duration());
        }
        if let Some(times) = self.times {
            if times.get() > MOST_TRIES {
                return Err("a report is sent at most 100 times");
            }
            step = step.times(times.get());
        }
        if let Some(id) = self.message_id {
            step = step.message_id(&id);
        }
        if let Some(phone) = self.recipient {
            step = step.recipient(&phone);
        }
        if self.recipient_as_text {
            step = step.phone_as_text();
        }
        if self.without_reference {
            step = step.without_reference();
        }
        if self.before_answer {
            step = step.before_answer();
        }
        if self.to_dead_url {
            step = step.to_closed_port();
        }
        step = step.date_form(self.date_form);
        Ok(step.written_as(self.recipient_form))
    }

    /// What it is about.
    fn begun(&self) -> Result<ReportStep, &'static str> {
        match (&self.status, self.event, &self.answer, &self.value) {
            (None, None, None, None) => Ok(ReportStep::delivered()),
            (Some(status), None, None, None) => Ok(ReportStep::of(status)),
            (None, Some(kind @ 1..=13), None, value) => {
                let value = value.as_deref().unwrap_or_default();
                Ok(ReportStep::event(kind, value))
            }
            (None, Some(_), None, _) => Err("an event is of type 1 to 13"),
            (None, None, Some(answer), None) => Ok(ReportStep::answer(answer)),
            _ => Err("a report tells a status, an event with its value, or an answer"),
        }
    }
}
