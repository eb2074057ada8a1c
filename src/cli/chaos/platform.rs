//! The simulated platform of a run, and its book: what came, and what each answer said.
//!
//! Must not know: the callers, the store.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;

use super::{
    callers::FIRST_PHONE,
    faults::{Fault, Faults, Reply},
    installation::{PASSWORD, SAMPLES},
};
use crate::{
    clock::SystemClock,
    domain::{SecretText, Sender},
    simulator::{
        Account, Accounts, Action, Ending, Event, Gate, Ledger, Match, ReceivedMessage, Refusal,
        Script, Simulator, SimulatorError, SimulatorOptions,
    },
};

/// How requests ended, by their number.
type Endings = Arc<Mutex<HashMap<u64, Ending>>>;

/// The platform.
#[derive(Debug)]
pub(super) struct Platform {
    simulator: Simulator,
    faults: Faults,
    endings: Endings,
}

/// One message that came.
#[derive(Debug, Clone)]
pub(super) struct Receipt {
    /// Number of the request that brought it.
    pub(super) request: u64,
    pub(super) time: Timestamp,
    pub(super) login: String,
    pub(super) sender: String,
    pub(super) text: SecretText,
    pub(super) reply: Reply,
}

/// All that came.
#[derive(Debug, Default)]
pub(super) struct Received {
    /// By the number of the delivery, which its phone tells; each in the order in which they came.
    pub(super) messages: BTreeMap<u64, Vec<Receipt>>,
    /// Messages to phones that nobody asked for.
    pub(super) strangers: usize,
    /// Requests that were closed before they were read, as the script wanted.
    pub(super) dropped_before_reading: usize,
    /// Requests that the platform refused as a whole, for other reasons than that the service died while writing.
    pub(super) refused: Vec<Refusal>,
}

impl Platform {
    pub(super) async fn start(seed: u64) -> Result<Self, SimulatorError> {
        let accounts = SAMPLES.iter().map(|sample| {
            // Parsed again when the service reads its configuration.
            let sender = Sender::parse(sample.sender).ok();
            Account::new(sample.login, PASSWORD.into(), sender)
        });
        let endings = Endings::default();
        let book = Arc::clone(&endings);
        let observer = move |event: &Event<'_>| {
            if let Event::Ended(request) = event {
                let mut endings = book.lock().unwrap_or_else(PoisonError::into_inner);
                endings.insert(request.number, request.ending);
            }
        };
        let clock = Arc::new(SystemClock::new());
        let options = SimulatorOptions::new(Accounts::listed(accounts), clock)
            .keep_all_messages()
            .observer(Arc::new(observer));
        Ok(Self {
            simulator: Simulator::start(([127, 0, 0, 1], 0).into(), options).await?,
            faults: Faults::of(seed),
            endings,
        })
    }

    pub(super) fn endpoint(&self) -> String {
        self.simulator.endpoint()
    }

    /// From now on requests meet the faults of their numbers.
    pub(super) fn misbehave(&self) -> Result<(), SimulatorError> {
        let next = self.ledger().request_count() + 1;
        self.simulator.play(self.faults.script(next))
    }

    /// From now on requests are held and never answered.
    pub(super) fn hold(&self) -> Result<(), SimulatorError> {
        let held = Action::Hold(Gate::new());
        self.simulator.play(Script::new().on(Match::always(), held))
    }

    /// From now on all is well. The faults end at this request: later ones are not judged by them.
    pub(super) fn behave(&self) -> Result<u64, SimulatorError> {
        self.simulator.play(Script::new())?;
        Ok(self.ledger().request_count())
    }

    /// Returns when a request is held.
    pub(super) async fn until_held(&self) {
        self.ledger().until_held(1).await;
    }

    /// The book. `last_faulty` is the last request that faults were meant for.
    pub(super) fn received(&self, last_faulty: u64) -> Received {
        let endings = self.endings.lock().unwrap_or_else(PoisonError::into_inner);
        let fault = |request| {
            let fault = self.faults.at(request);
            fault.filter(|_| request <= last_faulty)
        };
        let mut received = Received {
            dropped_before_reading: (1..=self.ledger().request_count())
                .filter(|request| fault(*request) == Some(Fault::DropBeforeReading))
                .count(),
            refused: self
                .ledger()
                .refused()
                .into_iter()
                .map(|request| request.why)
                .filter(|why| *why != Refusal::BodyIncomplete)
                .collect(),
            ..Received::default()
        };
        for message in self.ledger().messages() {
            let number = delivery_of(&message);
            let ending = endings.get(&message.request).copied();
            let receipt = receipt(message, ending, fault);
            match number {
                Some(number) => received.messages.entry(number).or_default().push(receipt),
                None => received.strangers += 1,
            }
        }
        received
    }

    fn ledger(&self) -> &Ledger {
        self.simulator.ledger()
    }
}

fn delivery_of(message: &ReceivedMessage) -> Option<u64> {
    let phone: u64 = message.phone.expose().parse().ok()?;
    phone.checked_sub(FIRST_PHONE)
}

fn receipt(
    message: ReceivedMessage,
    ending: Option<Ending>,
    fault: impl Fn(u64) -> Option<Fault>,
) -> Receipt {
    let reply = match ending {
        Some(Ending::Answered) => fault(message.request).map_or(Reply::Accepted, Fault::reply),
        // No whole answer left the platform.
        Some(Ending::Dropped | Ending::Abandoned) | None => Reply::Unclear,
    };
    Receipt {
        request: message.request,
        time: message.receive_time,
        login: message.login.as_str().to_owned(),
        sender: message.sender.into(),
        text: message.text,
        reply,
    }
}
