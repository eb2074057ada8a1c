//! What a rule can do to a message, a request or a report.
//!
//! Must not know: HTTP, XML, which rule applies.

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;

use crate::simulator::{mensatek::AnswerShape, reports::ReportStep};

/// Holds requests or reports until a test lets them go. Clones are the same gate.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Semaphore>);

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Lets one through: one that is held, or the next that comes.
    pub fn release_one(&self) {
        self.0.add_permits(1);
    }

    /// Lets all through, now and from now on.
    pub fn open(&self) {
        self.0.close();
    }

    pub(in crate::simulator) async fn pass(&self) {
        // An error says that the gate is open.
        if let Ok(permit) = self.0.acquire().await {
            permit.forget();
        }
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

/// What to do. The codes of messages and of requests are told as they are, whatever their sign. An action that its protocol
/// does not know gives the right answer.
#[derive(Debug, Clone)]
pub enum Action {
    /// For one message: no later rule changes its code.
    Accept,
    /// For one message: its code.
    Code(i32),
    /// The request waits this long, on top of the latency; later rules go on.
    Delay(Duration),
    /// The request waits at the gate; later rules go on.
    Hold(Gate),
    /// XML-RPC and Mensatek alone: one bare int instead of the array. Over Mensatek, one that is not positive takes nothing.
    BareInt(i32),
    /// Mensatek alone: the right answer, written in these ways at once.
    Shapes(Vec<AnswerShape>),
    /// A fault of the protocol: XML-RPC, SOAP with status 500; over REST status 500 with this code; over Mensatek `Res` and
    /// `Error`.
    Fault {
        /// `faultCode`, the end of `faultcode` (`soapenv:Server.4`), or `statusCode`.
        code: i32,
        /// `faultString`, `faultstring` or `statusText`.
        text: String,
    },
    /// The connection is closed before the body is read. Cannot be matched by phone or log-in.
    DropBeforeReading,
    /// The connection is closed after the body was read, without a byte of an answer.
    DropAfterReading,
    /// Half of the right answer, then the connection is closed.
    PartialAnswer,
    /// XML-RPC alone: the array lacks its last code.
    TooShort,
    /// XML-RPC alone: the array has one code too many.
    TooLong,
    /// XML-RPC alone: the first code of the array is a string.
    WrongType,
    /// An answer that is not well-formed XML, or JSON.
    MalformedXml,
    /// An HTML page with status 200.
    HtmlPage,
    /// Another HTTP status, with a short plain body.
    HttpStatus {
        /// 400 … 599.
        status: u16,
        /// `Retry-After`, in whole seconds.
        retry_after: Option<Duration>,
    },
    /// An answer of this many megabytes, streamed.
    Flood {
        /// Of 1,000,000 bytes.
        megabytes: u32,
    },
    /// The right answer, 16 bytes at a time with this pause after each.
    SlowDrip {
        /// Between two pieces.
        pause: Duration,
    },
    /// SOAP, REST and Mensatek alone: the right answer without the message id, as an accepted message may be answered.
    NoMessageId,
    /// For one message over SOAP or REST that was accepted and asked for reports, or over Mensatek that was accepted: these,
    /// in this order, each after the one before has been acknowledged or given up.
    Reports(Vec<ReportStep>),
    /// For one such message: no report ever comes. Over Mensatek its state goes on all the same.
    NoReport,
}

/// At what moment an action belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    BeforeReading,
    Waiting,
    Answering,
    JudgingMessage,
    Reporting,
}

impl Action {
    pub(super) fn moment(&self) -> Moment {
        match self {
            Self::DropBeforeReading => Moment::BeforeReading,
            Self::Delay(_) | Self::Hold(_) => Moment::Waiting,
            Self::Accept | Self::Code(_) => Moment::JudgingMessage,
            Self::Reports(_) | Self::NoReport => Moment::Reporting,
            _ => Moment::Answering,
        }
    }
}
