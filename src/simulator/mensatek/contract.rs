//! What a citizen does with a certified message or a contract, as a test has it done.
//!
//! Must not know: HTTP, how callbacks are written.

use thiserror::Error;

use super::{MensatekFunction, book::Books, states};
use crate::simulator::{
    record::ReceivedMessage,
    reports::{ReportPolicy, ReportStep, Reporter},
};

/// Why a citizen cannot do what a test asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ContractError {
    /// No such message, or none to this phone.
    #[error("no certified message has this id and phone")]
    Unknown,
    /// Not in the state that must come before.
    #[error("a message in state {state} does not allow that")]
    OutOfOrder {
        /// Which state it is in.
        state: i32,
    },
    /// Of another kind: only a contract of kinds 18, 50 and 16434 is opened, of 50 and 16434 signed.
    #[error("a message of kind {kind} does not allow that")]
    WrongKind {
        /// `Tipocontrato`.
        kind: u16,
    },
}

/// A certified message or contract in the hands of its citizen. Each call returns when its callbacks have been acknowledged or
/// given up; without an address the states change all the same.
pub struct Contract {
    pub(super) books: Books,
    pub(super) reporter: Reporter,
    pub(super) policy: ReportPolicy,
    pub(super) messages: Vec<ReceivedMessage>,
}

/// Kinds of contract whose PDF is accepted.
const WITH_PDF: &[u16] = &[18, 50, 16_434];

/// Kinds of contract that are signed.
const SIGNED: &[u16] = &[50, 16_434];

impl Contract {
    pub(in crate::simulator) fn new(
        books: &Books,
        reporter: &Reporter,
        policy: ReportPolicy,
        group: u64,
    ) -> Self {
        Self {
            messages: books.messages_of(group),
            books: books.clone(),
            reporter: reporter.clone(),
            policy,
        }
    }

    /// The one to this phone, as on the wire; without it the first of its group.
    #[must_use]
    pub fn of(mut self, phone: &str) -> Self {
        self.messages
            .retain(|message| message.phone.expose() == phone);
        self
    }

    /// Opens the PDF: state 160, after 13.
    pub async fn open(&self) -> Result<(), ContractError> {
        self.go(WITH_PDF, &[13, 160, 161], &[160]).await
    }

    /// Reads it to its end: state 161.
    pub async fn read(&self) -> Result<(), ContractError> {
        self.go(WITH_PDF, &[160], &[161]).await
    }

    /// Accepts it: state 162, and at the end of a contract that is not signed 180.
    pub async fn accept(&self) -> Result<(), ContractError> {
        let (_, kind) = self.message()?;
        let states: &[i32] = if kind == 18 { &[162, 180] } else { &[162] };
        self.go(WITH_PDF, &[160, 161], states).await
    }

    /// Signs what was accepted: states 163 and 181.
    pub async fn sign(&self) -> Result<(), ContractError> {
        self.go(SIGNED, &[162], &[163, 181]).await
    }

    /// Rejects it: state 190.
    pub async fn reject(&self) -> Result<(), ContractError> {
        self.go(WITH_PDF, &[13, 160, 161, 162], &[190]).await
    }

    /// Lets it expire: state 195.
    pub async fn expire(&self) -> Result<(), ContractError> {
        let before = [13, 15, 160, 161, 162];
        self.go(&[1, 18, 50, 16_434], &before, &[195]).await
    }

    /// Tells where it is signed: state 5000, which changes nothing.
    pub async fn locate(&self) -> Result<(), ContractError> {
        let (message, _) = self.message()?;
        let step = ReportStep::state_of(5000).without_effect();
        self.play(message, &[step]).await;
        Ok(())
    }

    /// Answers by SMS. Over a contract by answer, `SI` or `ACEPTO` concludes it: states 16 and 17.
    pub async fn answer(&self, text: &str) -> Result<(), ContractError> {
        let (message, kind) = self.message()?;
        self.play(message, &[ReportStep::answer(text)]).await;
        let agrees = ["SI", "SÍ", "ACEPTO"].contains(&text.trim().to_uppercase().as_str());
        if kind == 1 && agrees && self.state(message) == 15 {
            self.play(
                message,
                &[ReportStep::state_of(16), ReportStep::state_of(17)],
            )
            .await;
        }
        Ok(())
    }

    /// Does something with an attachment: an event of type 1 to 13, with its `Valor`.
    pub async fn event(&self, kind: u8, value: &str) -> Result<(), ContractError> {
        let (message, _) = self.message()?;
        self.play(message, &[ReportStep::event(kind, value)]).await;
        Ok(())
    }

    fn message(&self) -> Result<(&ReceivedMessage, u16), ContractError> {
        let message = self.messages.first().ok_or(ContractError::Unknown)?;
        match message.mensatek.as_deref() {
            Some(details) if details.function == MensatekFunction::SendCertified => {
                Ok((message, details.contract_kind))
            }
            _ => Err(ContractError::Unknown),
        }
    }

    fn state(&self, message: &ReceivedMessage) -> i32 {
        self.books.state_of(message).unwrap_or(states::SCHEDULED)
    }

    async fn go(&self, kinds: &[u16], from: &[i32], to: &[i32]) -> Result<(), ContractError> {
        let (message, kind) = self.message()?;
        if !kinds.contains(&kind) {
            return Err(ContractError::WrongKind { kind });
        }
        let state = self.state(message);
        if !from.contains(&state) {
            return Err(ContractError::OutOfOrder { state });
        }
        let steps: Vec<_> = to.iter().copied().map(ReportStep::state_of).collect();
        self.play(message, &steps).await;
        Ok(())
    }

    async fn play(&self, message: &ReceivedMessage, steps: &[ReportStep]) {
        self.reporter.play(message, steps, &self.policy).await;
    }
}
