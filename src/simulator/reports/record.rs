//! What the ledger keeps of a report that was sent, or was not.
//!
//! Must not know: HTTP, how reports are written. The address itself is not kept: it holds a secret.

use jiff::Timestamp;

use crate::simulator::{
    account::Login,
    codes,
    record::{Protocol, WirePhone},
};

/// What kind of address a report went to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// Plain HTTP on this machine.
    Loopback,
    /// Anything else: not called.
    Elsewhere,
    /// A port of this machine where nobody listens, because the script wants it so.
    ClosedPort,
}

/// What came of one try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportAnswer {
    /// Nobody took the connection.
    NoConnection,
    /// The connection ended, or time did, before a whole answer had come.
    NoAnswer,
    /// An answer.
    Answered {
        /// Of HTTP.
        status: u16,
        /// The status code in the body, by the rules of the protocol; `None` where none can be read.
        code: Option<i32>,
    },
}

impl ReportAnswer {
    /// The HTTP status, where there is one.
    pub fn status(self) -> Option<u16> {
        match self {
            Self::Answered { status, .. } => Some(status),
            Self::NoConnection | Self::NoAnswer => None,
        }
    }

    /// Whether the report is acknowledged: a status of 200 to 299, and the code 1000.
    pub fn acknowledges(self) -> bool {
        matches!(
            self,
            Self::Answered {
                status: 200..=299,
                code: Some(codes::SUCCESS),
            }
        )
    }
}

/// One try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportTry {
    /// When it began, on the injected clock.
    pub time: Timestamp,
    /// What came of it.
    pub answer: ReportAnswer,
}

/// How a report ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportEnding {
    /// It was acknowledged.
    Acknowledged,
    /// It was tried as often as the policy says, in vain.
    GivenUp,
    /// Its address may not be called.
    NotSent,
}

/// One report, with all its tries. A report that is sent twice on purpose is two.
#[derive(Debug, Clone)]
pub struct SentReport {
    /// Number of the message it is about; the first message is 1.
    pub message: u64,
    /// The protocol it was written in: the message's own.
    pub protocol: Protocol,
    /// Who sent the message.
    pub login: Login,
    /// The message id that it tells.
    pub message_id: Box<str>,
    /// The recipient that it tells.
    pub recipient: WirePhone,
    /// The status that it tells.
    pub status: Box<str>,
    /// What kind of address it went to.
    pub destination: Destination,
    /// Its tries so far.
    pub tries: Vec<ReportTry>,
    /// How it ended; `None` while it is under way.
    pub ending: Option<ReportEnding>,
}

impl SentReport {
    /// What came of the last try.
    pub fn last_answer(&self) -> Option<ReportAnswer> {
        self.tries.last().map(|last| last.answer)
    }

    /// The HTTP status of the last try, where there was an answer.
    pub fn last_status(&self) -> Option<u16> {
        self.last_answer().and_then(ReportAnswer::status)
    }
}
