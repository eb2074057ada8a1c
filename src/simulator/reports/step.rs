//! One report as a script or a test wants it.
//!
//! Must not know: HTTP, how reports are written.

use std::time::Duration;

use serde::Deserialize;

use super::national;
use crate::{
    domain::SecretText,
    simulator::{mensatek::DateForm, record::WirePhone, script::Gate, wishes::ReportUrl},
};

/// How a report writes a Spanish recipient.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum WrittenAs {
    /// As it stood in the submission.
    #[default]
    #[serde(rename = "as_sent")]
    AsSent,
    /// `600000001`.
    #[serde(rename = "national")]
    National,
    /// `+34600000001`.
    #[serde(rename = "+34")]
    Plus34,
    /// `0034600000001`.
    #[serde(rename = "0034")]
    Zeros34,
}

/// One report: sent right after the answer to the submission, or after the report before it, unless said otherwise.
#[derive(Debug, Clone)]
pub struct ReportStep {
    status: Box<str>,
    pub(super) text: Option<Box<str>>,
    pub(super) after: Duration,
    pub(super) times: u32,
    pub(super) message_id: Option<Box<str>>,
    pub(super) recipient: Option<WirePhone>,
    pub(super) written_as: WrittenAs,
    pub(super) url: Option<ReportUrl>,
    pub(super) closed_port: bool,
    pub(super) gate: Option<Gate>,
    pub(in crate::simulator) before_answer: bool,
    pub(in crate::simulator) says: Says,
    pub(in crate::simulator) style: Style,
    effect: Effect,
}

/// How a callback of Mensatek is written.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::simulator) struct Style {
    pub date_form: DateForm,
    pub phone_as_text: bool,
    pub without_reference: bool,
}

/// What a callback of Mensatek is good for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Effect {
    /// The state is reached, and told.
    #[default]
    Whole,
    /// The state is reached, and nobody is told.
    Silent,
    /// A state is told that the message does not reach by it.
    None,
}

/// What a report is about. Only Mensatek has others than a status.
#[derive(Debug, Clone)]
pub(in crate::simulator) enum Says {
    Status,
    /// Something was done with an attachment. The value may be a PIN.
    Event {
        kind: u8,
        value: SecretText,
    },
    /// The citizen has answered by SMS.
    Answer {
        text: SecretText,
    },
}

impl ReportStep {
    /// The handset has it.
    pub fn delivered() -> Self {
        Self::of("Delivered")
    }

    /// This status: `Delivered`, `Expired`, `Rejected`, or a word that the interface does not know.
    pub fn of(status: &str) -> Self {
        Self {
            status: status.into(),
            text: None,
            after: Duration::ZERO,
            times: 1,
            message_id: None,
            recipient: None,
            written_as: WrittenAs::AsSent,
            url: None,
            closed_port: false,
            gate: None,
            before_answer: false,
            says: Says::Status,
            style: Style::default(),
            effect: Effect::Whole,
        }
    }

    /// Over Mensatek: the message has reached this state, as 11 or 14. [`ReportStep::of`] takes it as text.
    pub fn state_of(state: i32) -> Self {
        Self::of(&state.to_string())
    }

    /// Over Mensatek: an event of this type, 1 to 13, at an attachment, with its `Valor`.
    pub fn event(kind: u8, value: &str) -> Self {
        let value = SecretText::new(value.to_owned());
        Self {
            says: Says::Event { kind, value },
            ..Self::of(&format!("event {kind}"))
        }
    }

    /// Over Mensatek: the citizen has answered with this text.
    pub fn answer(text: &str) -> Self {
        let text = SecretText::new(text.to_owned());
        Self {
            says: Says::Answer { text },
            ..Self::of("SMSRECIBIDO")
        }
    }

    /// Over Mensatek: with the date in this form.
    #[must_use]
    pub fn date_form(mut self, form: DateForm) -> Self {
        self.style.date_form = form;
        self
    }

    /// Over Mensatek, in JSON: with the phone as a string instead of a number.
    #[must_use]
    pub fn phone_as_text(mut self) -> Self {
        self.style.phone_as_text = true;
        self
    }

    /// Over Mensatek: without `Referencia`.
    #[must_use]
    pub fn without_reference(mut self) -> Self {
        self.style.without_reference = true;
        self
    }

    pub(in crate::simulator) fn silent_if(mut self, silent: bool) -> Self {
        if silent {
            self.effect = Effect::Silent;
        }
        self
    }

    /// Whether nobody is told.
    pub(in crate::simulator) fn is_silent(&self) -> bool {
        self.effect == Effect::Silent
    }

    /// Tells a state that the message does not reach by it.
    pub(in crate::simulator) fn without_effect(mut self) -> Self {
        self.effect = Effect::None;
        self
    }

    /// The state that the message reaches by it: none where it is about something else or another message.
    pub(in crate::simulator) fn state(&self) -> Option<i32> {
        let own =
            self.message_id.is_none() && self.recipient.is_none() && self.effect != Effect::None;
        let is_state = matches!(self.says, Says::Status);
        (own && is_state).then(|| self.status.parse().ok())?
    }

    /// Over Mensatek the words of the other interfaces stand for its states: what it calls delivered, 53 and 200.
    pub(in crate::simulator) fn in_states_of_mensatek(mut self, delivered: i32) -> Self {
        let state = match &*self.status {
            "Delivered" => delivered,
            "Expired" => 53,
            "Rejected" => 200,
            _ => return self,
        };
        self.status = state.to_string().into();
        self
    }

    /// What the ledger keeps of what it tells: a state, the type of an event.
    pub(super) fn told(&self) -> &str {
        &self.status
    }

    /// With this `StatusText`.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        self.text = Some(text.into());
        self
    }

    /// After this time, on the machine's own clock.
    #[must_use]
    pub fn after(mut self, time: Duration) -> Self {
        self.after = time;
        self
    }

    /// So often, one after the other, even if the first is acknowledged.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    /// With this message id instead of the message's own.
    #[must_use]
    pub fn message_id(mut self, id: &str) -> Self {
        self.message_id = Some(id.into());
        self
    }

    /// About this recipient instead of the message's own.
    #[must_use]
    pub fn recipient(mut self, phone: &str) -> Self {
        self.recipient = Some(WirePhone::new(phone));
        self
    }

    /// With the recipient in this form.
    #[must_use]
    pub fn written_as(mut self, form: WrittenAs) -> Self {
        self.written_as = form;
        self
    }

    /// To this address instead of the message's own.
    #[must_use]
    pub fn to(mut self, url: ReportUrl) -> Self {
        self.url = Some(url);
        self
    }

    /// To a port of this machine where nobody listens.
    #[must_use]
    pub fn to_closed_port(mut self) -> Self {
        self.closed_port = true;
        self
    }

    /// Waits at the gate, after its time, until a test lets it go.
    #[must_use]
    pub fn held_at(mut self, gate: Gate) -> Self {
        self.gate = Some(gate);
        self
    }

    /// Is acknowledged or given up before the submission is answered.
    #[must_use]
    pub fn before_answer(mut self) -> Self {
        self.before_answer = true;
        self
    }

    /// The status that it tells.
    pub fn status(&self) -> &str {
        &self.status
    }

    /// Nothing is delivered whose validity is over.
    pub(in crate::simulator) fn expire_if(&mut self, too_late: bool) {
        if too_late && &*self.status == "Delivered" {
            self.status = "Expired".into();
        }
    }

    /// The recipient that it tells of a message to this phone.
    pub(super) fn recipient_of(&self, phone: &WirePhone) -> WirePhone {
        let phone = self.recipient.as_ref().unwrap_or(phone);
        let national = national(phone);
        let is_national = !national.starts_with('+') && !national.starts_with("00");
        let prefix = match self.written_as {
            WrittenAs::Plus34 if is_national => "+34",
            WrittenAs::Zeros34 if is_national => "0034",
            WrittenAs::National => "",
            _ => return phone.clone(),
        };
        WirePhone::new(&format!("{prefix}{national}"))
    }
}

impl From<&str> for ReportStep {
    fn from(status: &str) -> Self {
        Self::of(status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spanish_recipient_can_be_told_in_every_form_and_a_foreign_one_in_its_own() {
        let told = |phone: &str, form| {
            let step = ReportStep::delivered().written_as(form);
            step.recipient_of(&WirePhone::new(phone))
                .expose()
                .to_owned()
        };
        for phone in ["600000001", "+34600000001"] {
            assert_eq!(told(phone, WrittenAs::AsSent), phone);
            assert_eq!(told(phone, WrittenAs::National), "600000001");
            assert_eq!(told(phone, WrittenAs::Plus34), "+34600000001");
            assert_eq!(told(phone, WrittenAs::Zeros34), "0034600000001");
        }
        for form in [WrittenAs::National, WrittenAs::Plus34, WrittenAs::Zeros34] {
            assert_eq!(told("00351912345678", form), "00351912345678");
        }
    }
}
