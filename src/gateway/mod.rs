//! The port to the SMS platforms: what is handed over, and what became of it.
//!
//! Must not know: account rules, the store, retry policy. One folder for each protocol, each with the same three drawers:
//! `mod` (meaning), `wire` (bytes ⇄ structs), `codes` (their codes → ours, one literal table). The table of SOAP and REST is
//! one and the same, `status_codes`; what else several adapters need stands in the other files beside this one. Adapters
//! only tell the truth; the lane decides what follows.

mod access;
mod callbacks;
pub mod certified;
mod expiry;
pub mod http;
mod meanings;
pub mod mensatek;
mod number;
mod outcomes;
mod presenting;
mod report_address;
pub mod rest;
mod setup;
pub mod soap;
mod start;
mod status_codes;
mod xml;
pub mod xml_rpc;

use std::{fmt, num::NonZeroU32, time::Duration};

use async_trait::async_trait;

pub use self::{
    access::{Access, AccessKeeper, AccessNow},
    expiry::{ExpiryForm, Now},
    meanings::{CodeMap, CodeMeaning, Effect},
    number::{InternationalFormat, NumberForm},
    presenting::{Permit, Presenting, Rejection, Trial},
    setup::GatewaySetupError,
    start::Start,
};
use crate::domain::{
    DeliveryId, GatewayMessageId, Reason, Recipient, Report, SecretText, Sender,
    certified::CertifiedEvent,
};

/// One message for a gateway.
#[derive(Debug, Clone)]
pub struct Message {
    /// The delivery it belongs to; travels only where the protocol can carry a reference.
    pub delivery: DeliveryId,
    /// Who gets it.
    pub recipient: Recipient,
    /// What it says.
    pub text: SecretText,
    /// The account's sender that goes on the wire.
    pub sender: Sender,
    /// How long the code is still worth anything when the connection stands as late as it may: travels as the message's
    /// validity where the protocol can carry one.
    pub valid_for: Duration,
}

/// A request that a platform made to an account's report address, its body whole and bounded.
///
/// `Debug` shows sizes alone: a body holds a number, and may hold a citizen's answer.
#[derive(Clone, Copy)]
pub struct CallbackRequest<'a> {
    /// `Content-Type` as it came.
    pub content_type: Option<&'a str>,
    /// What the address says behind the account's own part: the delivery, where the address was given with one message.
    pub delivery: Option<DeliveryId>,
    /// The body.
    pub body: &'a [u8],
}

impl fmt::Debug for CallbackRequest<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "CallbackRequest({} bytes)", self.body.len())
    }
}

/// What a platform's request to us says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Callback {
    /// What became of a message.
    Report(Report),
    /// What became of a certified message, or of its attachment, or an answer to it. Where the platform does not say whether it
    /// is about a code or about a certified message, the report for the code comes with it.
    Certified(Box<CertifiedEvent>, Option<Report>),
    /// Well formed and of no use to us, such as a citizen's answer: acknowledged and dropped; the word tells what it was.
    Dropped(&'static str),
    /// Nothing that this protocol knows; the word tells what is wrong with it, never what it says.
    Malformed(&'static str),
}

/// What we answer a platform's request with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallbackAnswer {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// The body; never holds anything of the request but its message id.
    pub body: Vec<u8>,
}

/// What became of one message handed to a gateway.
///
/// `Uncertain` means the gateway may or may not have taken it: the exchange broke after the request was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The gateway took it; with its id, where the protocol gives one.
    Accepted(Option<GatewayMessageId>),
    /// The gateway will not deliver it, for this reason; trying again would not help.
    Rejected {
        /// What it means.
        reason: Reason,
        /// The gateway's own code, as it came.
        code: Option<i64>,
        /// What it says about the account as a whole.
        verdict: Verdict,
    },
    /// Nothing was sent; it may be tried again in the code's life.
    NotSent {
        /// Why.
        reason: Reason,
        /// The gateway's own code, as it came.
        code: Option<i64>,
    },
    /// It may or may not have been sent.
    Uncertain {
        /// What was seen.
        reason: Reason,
    },
}

/// What a rejection says about the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Only this message is concerned.
    Message,
    /// The gateway does not accept the account's credentials: the lane must close.
    Credentials,
    /// The account has no credit or quota left.
    Quota,
}

/// An SMS platform behind one account, spoken to in one protocol.
#[async_trait]
pub trait Gateway: Send + Sync + fmt::Debug {
    /// Most messages that one request may carry.
    fn batch_limit(&self) -> NonZeroU32;

    /// Hands the messages over in one request and tells what became of each, in the same order.
    ///
    /// Nothing is written where no connection stands in time, or `start` is taken back before.
    ///
    /// Never fails as a whole: what goes wrong is an outcome of each message. Always ends: the adapter has its own
    /// time-outs.
    async fn submit(&self, messages: &[Message], start: &Start) -> Vec<Outcome>;

    /// The functions for certified messages, where the platform has them.
    fn certified(&self) -> Option<&dyn certified::CertifiedGateway> {
        None
    }

    /// Credit that the last answer told to be left, in the platform's own unit; `None` where nothing is known.
    fn credit(&self) -> Option<f64> {
        None
    }

    /// What a request to the account's report address says, and what to answer once that has been kept. `None` where the
    /// protocol has no such requests.
    fn read_callback(&self, _: &CallbackRequest<'_>) -> Option<(Callback, CallbackAnswer)> {
        None
    }
}
