//! The simulated platform of a run, and its book: what came, and what each answer said.
//!
//! Must not know: the callers, the store.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
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
    meant: Mutex<Meant>,
}

/// What was meant for which requests.
#[derive(Debug, Default)]
struct Meant {
    /// Spans of requests that were held whatever their fault: after the first number, up to the second.
    held: Vec<(u64, u64)>,
    /// After this number requests are held.
    held_since: Option<u64>,
    /// After this number all is well.
    well_since: Option<u64>,
}

impl Meant {
    fn release(&mut self, last: u64) {
        if let Some(first) = self.held_since.take() {
            self.held.push((first, last));
        }
    }

    fn may_fail(&self, request: u64) -> bool {
        let well = self.well_since.is_some_and(|last| request > last);
        let holds = |(first, last): &(u64, u64)| (first + 1..=*last).contains(&request);
        !well && !self.held.iter().any(holds)
    }
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
    /// How many requests met which fault.
    pub(super) faults: BTreeMap<&'static str, usize>,
    /// Requests that the platform refused as a whole, for other reasons than that the service died while writing.
    pub(super) refused: Vec<Refusal>,
}

impl Received {
    /// How many requests the script closed before they were read.
    pub(super) fn dropped_before_reading(&self) -> usize {
        let name = Fault::DropBeforeReading.as_str();
        self.faults.get(name).copied().unwrap_or_default()
    }
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
            meant: Mutex::default(),
        })
    }

    pub(super) fn endpoint(&self) -> String {
        self.simulator.endpoint()
    }

    /// From now on requests meet the faults of their numbers.
    pub(super) fn misbehave(&self) -> Result<(), SimulatorError> {
        let last = self.ledger().request_count();
        self.meant().release(last);
        self.simulator.play(self.faults.script(last + 1))
    }

    /// From now on requests are held and never answered.
    pub(super) fn hold(&self) -> Result<(), SimulatorError> {
        let last = self.ledger().request_count();
        let mut meant = self.meant();
        meant.release(last);
        meant.held_since = Some(last);
        let held = Action::Hold(Gate::new());
        self.simulator.play(Script::new().on(Match::always(), held))
    }

    /// From now on all is well.
    pub(super) fn behave(&self) -> Result<(), SimulatorError> {
        let last = self.ledger().request_count();
        let mut meant = self.meant();
        meant.release(last);
        meant.well_since = Some(last);
        self.simulator.play(Script::new())
    }

    /// Returns when a request is held.
    pub(super) async fn until_held(&self) {
        self.ledger().until_held(1).await;
    }

    /// The book.
    pub(super) fn received(&self) -> Received {
        let endings = self.endings.lock().unwrap_or_else(PoisonError::into_inner);
        let meant = self.meant();
        let fault = |request| {
            let fault = self.faults.at(request);
            fault.filter(|_| meant.may_fail(request))
        };
        let mut received = Received {
            refused: self
                .ledger()
                .refused()
                .into_iter()
                .map(|request| request.why)
                .filter(|why| *why != Refusal::BodyIncomplete)
                .collect(),
            ..Received::default()
        };
        for fault in (1..=self.ledger().request_count()).filter_map(fault) {
            *received.faults.entry(fault.as_str()).or_default() += 1;
        }
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

    fn meant(&self) -> MutexGuard<'_, Meant> {
        self.meant.lock().unwrap_or_else(PoisonError::into_inner)
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
