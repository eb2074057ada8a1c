//! The simulated platform of one protocol in a run, and its book: what came, what each answer said, what was reported.
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
    installation::{PASSWORD, Wire, contracts_of},
    received::{Heard, Receipt, Received, Said, Visit},
    reporting::Reports,
};
use crate::{
    clock::{Clock as _, SystemClock},
    domain::Sender,
    simulator::{
        Account, Accounts, Action, Ending, Event, Gate, Ledger, Match, ReceivedMessage, Refusal,
        ReportAnswer, ReportEnding, Script, SentReport, Simulator, SimulatorError,
        SimulatorOptions,
    },
};

/// Requests of one life that a script plans for; more than any life makes.
const PLANNED: u64 = 400;
/// What the service answers where its store does not work: the report is not kept and comes again.
const NOT_KEPT: u16 = 503;

/// How requests ended and when, by their number.
type Endings = Arc<Mutex<HashMap<u64, (Ending, Timestamp)>>>;

/// One platform.
#[derive(Debug)]
pub(super) struct Platform {
    wire: Wire,
    simulator: Simulator,
    faults: Faults,
    reports: Reports,
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

impl Platform {
    pub(super) async fn start(wire: Wire, seed: u64) -> Result<Self, SimulatorError> {
        let accounts = contracts_of(wire).map(|contract| {
            // Parsed again when the service reads its configuration. It may send under no other here.
            let sender = Sender::parse(contract.sender).ok();
            Account::new(contract.login, PASSWORD.into(), sender)
        });
        let endings = Endings::default();
        let book = Arc::clone(&endings);
        let clock = Arc::new(SystemClock::new());
        let at_end = Arc::clone(&clock);
        let observer = move |event: &Event<'_>| {
            if let Event::Ended(request) = event {
                let mut endings = book.lock().unwrap_or_else(PoisonError::into_inner);
                endings.insert(request.number, (request.ending, at_end.now()));
            }
        };
        let options = SimulatorOptions::new(Accounts::listed(accounts), clock)
            .keep_all_messages()
            .observer(Arc::new(observer));
        Ok(Self {
            wire,
            simulator: Simulator::start(([127, 0, 0, 1], 0).into(), options).await?,
            faults: Faults::of(seed, wire),
            reports: Reports::of(seed),
            endings,
            meant: Mutex::default(),
        })
    }

    pub(super) fn endpoint(&self) -> String {
        match self.wire {
            Wire::XmlRpc => self.simulator.endpoint(),
            Wire::Soap => self.simulator.soap_endpoint(),
        }
    }

    /// From now on requests meet the faults of their numbers.
    pub(super) fn misbehave(&self) -> Result<(), SimulatorError> {
        let last = self.ledger().request_count();
        self.meant().release(last);
        let requests = last + 1..last + 1 + PLANNED;
        let script = self.faults.script(Script::new(), requests.clone());
        self.simulator.play(self.reports.script(script, requests))
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

    /// From now on all is well; what is reported stays as it was.
    pub(super) fn behave(&self) -> Result<(), SimulatorError> {
        let last = self.ledger().request_count();
        let mut meant = self.meant();
        meant.release(last);
        meant.well_since = Some(last);
        let requests = last + 1..last + 1 + PLANNED;
        self.simulator
            .play(self.reports.script(Script::new(), requests))
    }

    /// Returns when a request is held.
    pub(super) async fn until_held(&self) {
        self.ledger().until_held(1).await;
    }

    /// How many messages have reports that are still to come.
    pub(super) fn reports_to_come(&self) -> usize {
        self.simulator.reports_to_come()
    }

    /// Writes its book into what was received.
    pub(super) fn tell(&self, received: &mut Received) {
        let endings = self.endings.lock().unwrap_or_else(PoisonError::into_inner);
        let meant = self.meant();
        let fault = |request| {
            let fault = self.faults.at(request);
            fault.filter(|_| meant.may_fail(request))
        };
        let whys = self.ledger().refused().into_iter();
        let whys = whys.map(|request| request.why);
        received
            .refused
            .extend(whys.filter(|why| *why != Refusal::BodyIncomplete));
        let faults = received.faults.entry(self.wire).or_default();
        for fault in (1..=self.ledger().request_count()).filter_map(fault) {
            *faults.entry(fault.as_str()).or_default() += 1;
        }
        let mut said = self.said(received);
        let mut visits = BTreeMap::new();
        for message in self.ledger().messages() {
            let number = delivery_of(&message);
            let ending = endings.get(&message.request).copied();
            let visit = visit(&message, ending, fault(message.request));
            visits.insert(message.request, visit);
            let said = said.remove(&message.number).unwrap_or_default();
            let receipt = self.receipt(message, ending, fault, said);
            match number {
                Some(number) => received.messages.entry(number).or_default().push(receipt),
                None => received.strangers += 1,
            }
        }
        received.visits.extend(visits.into_values());
    }

    /// What was reported about each message, in order.
    fn said(&self, received: &mut Received) -> HashMap<u64, Vec<Said>> {
        let phones: HashMap<u64, _> = self
            .ledger()
            .messages()
            .into_iter()
            .map(|message| (message.number, message.phone))
            .collect();
        let mut said: HashMap<u64, Vec<Said>> = HashMap::new();
        for report in self.ledger().reports() {
            received.reports += 1;
            let answers = report.tries.iter().map(|attempt| attempt.answer);
            received.unwelcome_reports.extend(
                answers
                    .filter(|answer| !answer.acknowledges())
                    .filter_map(ReportAnswer::status)
                    .filter(|status| *status != NOT_KEPT),
            );
            let is_of_this_phone = phones.get(&report.message) == Some(&report.recipient);
            said.entry(report.message).or_default().push(Said {
                status: report.status.clone(),
                time: report.tries.first().map(|attempt| attempt.time),
                is_of_this_phone,
                heard: heard(&report),
            });
        }
        said
    }

    fn receipt(
        &self,
        message: ReceivedMessage,
        ending: Option<(Ending, Timestamp)>,
        fault: impl Fn(u64) -> Option<Fault>,
        said: Vec<Said>,
    ) -> Receipt {
        let reply = match ending {
            Some((Ending::Answered, _)) => {
                let fault = fault(message.request);
                fault.map_or(Reply::Accepted, |fault| fault.reply(self.wire))
            }
            // No whole answer left the platform.
            Some((Ending::Dropped | Ending::Abandoned, _)) | None => Reply::Unclear,
        };
        Receipt {
            wire: self.wire,
            request: message.request,
            time: message.receive_time,
            login: message.login.as_str().to_owned(),
            sender: message.sender.into(),
            text: message.text,
            reply,
            said,
        }
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

fn heard(report: &SentReport) -> Heard {
    if report.ending == Some(ReportEnding::Acknowledged) {
        return Heard::Surely;
    }
    // One that comes before the answer is broken off when the client of its message goes.
    let was_broken_off = report.ending.is_none();
    let mut tries = report.tries.iter();
    if was_broken_off || tries.any(|attempt| attempt.answer == ReportAnswer::NoAnswer) {
        Heard::Perhaps
    } else {
        Heard::Never
    }
}

fn visit(
    message: &ReceivedMessage,
    ending: Option<(Ending, Timestamp)>,
    fault: Option<Fault>,
) -> Visit {
    let is_answered = matches!(ending, Some((Ending::Answered | Ending::Dropped, _)));
    Visit {
        login: message.login.as_str().to_owned(),
        request: message.request,
        begin: message.receive_time,
        end: ending.map(|(_, end)| end),
        may_outlast_its_client: !is_answered || fault.is_some_and(Fault::outlasts_its_client),
    }
}
