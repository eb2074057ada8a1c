//! Delivery reports: what is told when to the address that a message named, how often, and what was answered.
//!
//! Must not know: how a submission was read, what the script's rules are. Only plain HTTP on loopback is ever called.

mod call;
mod callbacks;
mod letter;
mod policy;
mod record;
mod step;

use std::sync::Arc;

use thiserror::Error;
use tokio::{runtime::Handle, sync::Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    ledger::Ledger,
    mensatek::{Books, Callback},
    record::{Protocol, ReceivedMessage, WirePhone},
    wishes::ReportUrl,
};
use crate::clock::Clock;
use call::Target;
use letter::Letter;
pub(super) use step::Says;

pub use policy::ReportPolicy;
pub use record::{Destination, ReportAnswer, ReportEnding, ReportTry, SentReport};
pub use step::{ReportStep, WrittenAs};

/// Most messages whose reports are under way or wait at one time; the reports of further ones are given up at once.
const MOST_PENDING: usize = 100_000;

/// Most calls at one time.
const MOST_CALLS: usize = 64;

/// Why a report cannot be sent when a test asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReportError {
    /// The message came over a protocol without reports, or named no address.
    #[error(
        "the message has no id or no address for reports: submit it over SOAP or REST, with one"
    )]
    NoAddress,
    /// The address is not plain HTTP on this machine.
    #[error("the address for reports is not plain http on loopback")]
    NotLoopback,
}

/// What one report says.
#[derive(Debug)]
pub(super) struct Told<'a> {
    pub sender: &'a str,
    pub recipient: &'a str,
    pub message_id: &'a str,
    pub status: &'a str,
    pub text: Option<&'a str>,
}

/// Sends reports, each message's in order, until the simulator stops.
#[derive(Clone)]
pub(super) struct Reporter {
    ledger: Ledger,
    clock: Arc<dyn Clock>,
    /// Of Mensatek: where callbacks go, and the states that they tell.
    books: Books,
    stopping: CancellationToken,
    /// Of the runtime that the simulator was started in: a request may end while that is shutting down.
    runtime: Handle,
    under_way: TaskTracker,
    pending: Arc<Semaphore>,
    calls: Arc<Semaphore>,
    /// Held while an address is looked at.
    looking: Arc<tokio::sync::Mutex<()>>,
}

impl Reporter {
    /// Must be called within a tokio runtime.
    pub fn new(
        ledger: Ledger,
        clock: Arc<dyn Clock>,
        books: Books,
        stopping: CancellationToken,
    ) -> Self {
        Self {
            ledger,
            clock,
            books,
            stopping,
            runtime: Handle::current(),
            under_way: TaskTracker::new(),
            pending: Arc::new(Semaphore::new(MOST_PENDING)),
            calls: Arc::new(Semaphore::new(MOST_CALLS)),
            looking: Arc::default(),
        }
    }

    /// Plays these reports of a message while the caller goes on.
    pub fn follow(&self, message: ReceivedMessage, steps: Vec<ReportStep>, policy: ReportPolicy) {
        if steps.is_empty() {
            return;
        }
        let Ok(place) = Arc::clone(&self.pending).try_acquire_owned() else {
            self.give_up(&message, &steps);
            return;
        };
        let reporter = self.clone();
        let playing = async move {
            let stopping = reporter.stopping.clone();
            tokio::select! {
                biased;
                () = stopping.cancelled() => {}
                () = reporter.play(&message, &steps, &policy) => {}
            }
            drop(place);
        };
        self.under_way.spawn_on(playing, &self.runtime);
    }

    /// Plays these reports of a message, each after the one before has been acknowledged or given up.
    pub async fn play(
        &self,
        message: &ReceivedMessage,
        steps: &[ReportStep],
        policy: &ReportPolicy,
    ) {
        for step in steps {
            tokio::time::sleep(step.after).await;
            if let Some(gate) = &step.gate {
                let _held = self.ledger.hold_report();
                gate.pass().await;
            }
            if let Some(state) = step.state()
                && message.protocol == Protocol::Mensatek
            {
                self.books.note_state(message, state, self.clock.now());
            }
            let times = if step.is_silent() { 0 } else { step.times };
            for _ in 0..times {
                self.send(message, step, policy).await;
            }
        }
    }

    /// How many messages have reports that are under way or still to come.
    pub fn to_come(&self) -> usize {
        MOST_PENDING - self.pending.available_permits()
    }

    /// Sends one report once, now, whatever the script says; tells what was answered.
    pub async fn send_once(
        &self,
        message: &ReceivedMessage,
        step: &ReportStep,
        policy: &ReportPolicy,
    ) -> Result<ReportAnswer, ReportError> {
        let callback = self.callback_of(message);
        let has_address = begun(message, step, callback.as_ref()).1.is_some();
        if message.message_id.is_none() || !has_address {
            return Err(ReportError::NoAddress);
        }
        let once = policy.clone().tries(1);
        self.send(message, step, &once)
            .await
            .ok_or(ReportError::NotLoopback)
    }

    /// Waits until nothing is under way: after the token has been cancelled.
    pub async fn stopped(&self) {
        self.under_way.close();
        self.under_way.wait().await;
    }

    /// Sends a report until it is acknowledged or was tried often enough; the last answer, `None` when it was not sent.
    async fn send(
        &self,
        message: &ReceivedMessage,
        step: &ReportStep,
        policy: &ReportPolicy,
    ) -> Option<ReportAnswer> {
        let callback = self.callback_of(message);
        let (report, url) = begun(message, step, callback.as_ref());
        let url = url?;
        let destination = report.destination;
        let about = (callback.as_ref(), self.clock.now());
        let letter = Letter::of(message, &report, step, policy, about);
        let place = self.ledger.report_begins(report);
        let target = match destination {
            Destination::Elsewhere => {
                self.ledger.report_ends(place, ReportEnding::NotSent);
                return None;
            }
            Destination::Loopback => Target::Open(url.on_loopback()?),
            Destination::ClosedPort => Target::Closed,
        };
        let mut last = ReportAnswer::NoConnection;
        for pause in policy.pauses() {
            tokio::time::sleep(pause).await;
            let time = self.clock.now();
            last = {
                // Never closed.
                let _place = self.calls.acquire().await;
                if let Some(refused) = self.look_at(message, url, target).await {
                    refused
                } else {
                    let code = |status, body: &[u8]| letter.answered_code(status, body);
                    call::call(target, letter.request(url), code).await
                }
            };
            let answer = last;
            self.ledger.report_tried(place, ReportTry { time, answer });
            if answer.acknowledges() {
                self.ledger.report_ends(place, ReportEnding::Acknowledged);
                return Some(answer);
            }
        }
        self.ledger.report_ends(place, ReportEnding::GivenUp);
        Some(last)
    }

    /// Where callbacks about a message go, over the protocol that has an address for each account.
    fn callback_of(&self, message: &ReceivedMessage) -> Option<Callback> {
        let has_callbacks = message.protocol == Protocol::Mensatek;
        has_callbacks.then(|| self.books.callback_of(&message.login))?
    }

    fn give_up(&self, message: &ReceivedMessage, steps: &[ReportStep]) {
        for step in steps {
            let place = self.ledger.report_begins(begun(message, step, None).0);
            self.ledger.report_ends(place, ReportEnding::GivenUp);
        }
    }
}

/// A report as the ledger keeps it, and the address it goes to.
fn begun<'a>(
    message: &'a ReceivedMessage,
    step: &'a ReportStep,
    callback: Option<&'a Callback>,
) -> (SentReport, Option<&'a ReportUrl>) {
    let of_message = message.report_url.as_ref();
    let of_account = callback.map(|callback| &callback.url);
    let url = step.url.as_ref().or(of_message).or(of_account);
    let destination = if step.closed_port {
        Destination::ClosedPort
    } else if url.is_some_and(|url| url.on_loopback().is_some()) {
        Destination::Loopback
    } else {
        Destination::Elsewhere
    };
    let of_message = message.message_id.clone().unwrap_or_default();
    let report = SentReport {
        message: message.number,
        protocol: message.protocol,
        login: message.login.clone(),
        message_id: step.message_id.clone().unwrap_or(of_message),
        recipient: step.recipient_of(&message.phone),
        status: step.told().into(),
        destination,
        tries: Vec::new(),
        ending: None,
    };
    (report, url)
}

/// A phone as nine digits where it is Spanish, else as it is.
fn national(phone: &WirePhone) -> &str {
    let phone = phone.expose();
    let spanish = phone
        .strip_prefix("+34")
        .or_else(|| phone.strip_prefix("0034"))
        // As Mensatek writes it.
        .or_else(|| phone.strip_prefix("34").filter(|rest| rest.len() == 9));
    spanish.unwrap_or(phone)
}
