//! The simulated platform of one protocol in a run, and its book: what came, what each answer said, what was reported.
//!
//! Must not know: the callers, the store.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;

use super::{
    certificates::Certificates,
    citizens,
    faults::{Fault, Faults, Reply, Weather},
    front::Front,
    installation::PASSWORD,
    line::Line,
    received::{Heard, Presented, Receipt, Received, Said, Visit},
    reporting::Reports,
    samples::{Contract, Wire, contracts_of},
};
use crate::{
    clock::{Clock as _, SystemClock},
    domain::Sender,
    simulator::{
        Account, Accounts, Action, Ending, Event, Gate, Ledger, Match, Observer, ReceivedMessage,
        Refusal, ReportAnswer, ReportEnding, Script, SentReport, Simulator, SimulatorError,
        SimulatorOptions,
    },
};

/// Requests of one life that a script plans for; more than any life makes.
const PLANNED: u64 = 400;
/// What the service answers where its store does not work: the report is not kept and comes again.
const NOT_KEPT: u16 = 503;

/// How requests ended and when, by their number.
type Endings = Arc<Mutex<HashMap<u64, (Ending, Timestamp)>>>;

/// Requests with credentials that are not accepted, in order of time.
type Refusals = Arc<Mutex<Vec<Presented>>>;

/// Not the password that the service has.
const OTHER_PASSWORD: &str = "otra-clave-de-prueba";

/// One platform.
#[derive(Debug)]
pub(super) struct Platform {
    wire: Wire,
    simulator: Simulator,
    front: Front,
    faults: Faults,
    reports: Reports,
    endings: Endings,
    refusals: Refusals,
}

impl Platform {
    pub(super) async fn start(
        wire: Wire,
        seed: u64,
        certificates: Option<Arc<Certificates>>,
    ) -> Result<Self, String> {
        let accounts = contracts_of(wire).map(|contract| {
            // Parsed again when the service reads its configuration. It may send under no other here.
            let sender = Sender::parse(contract.sender).ok();
            Account::new(contract.login, PASSWORD.into(), sender)
        });
        let endings = Endings::default();
        let refusals = Refusals::default();
        let clock = Arc::new(SystemClock::new());
        let observer = observer(&endings, &refusals, Arc::clone(&clock));
        let options = SimulatorOptions::new(Accounts::listed(accounts), clock)
            .keep_all_messages()
            .observer(observer);
        let simulator = Simulator::start(([127, 0, 0, 1], 0).into(), options).await;
        let simulator = simulator.map_err(|error| error.to_string())?;
        let front = Front::before(simulator.address(), certificates).await;
        Ok(Self {
            wire,
            front: front.map_err(|error| format!("no way to a platform: {error}"))?,
            simulator,
            faults: Faults::of(seed, wire),
            reports: Reports::of(seed),
            endings,
            refusals,
        })
    }

    /// Where the service finds it: the front, under this host name.
    pub(super) fn endpoint(&self, host: &str) -> String {
        let (scheme, whole) = match self.wire {
            Wire::XmlRpc => ("http", self.simulator.endpoint()),
            Wire::Soap => ("https", self.simulator.soap_endpoint()),
        };
        let path = whole.splitn(4, '/').nth(3).unwrap_or_default();
        let port = self.front.address().port();
        format!("{scheme}://{host}:{port}/{path}")
    }

    /// From now on the way here is like this, for so long where that is said.
    pub(super) async fn line(
        &self,
        line: Option<Line>,
        lasts: Option<Duration>,
    ) -> Result<(), String> {
        self.front.set(line, lasts).await
    }

    /// From now on the account has another password here than the service has, or the same again.
    pub(super) fn change_password(&self, contract: &Contract, is_right: bool) {
        let password = if is_right { PASSWORD } else { OTHER_PASSWORD };
        self.simulator.set_password(contract.login, password.into());
    }

    /// From now on requests meet faults.
    pub(super) fn misbehave(&self, weather: Weather) -> Result<(), SimulatorError> {
        let requests = self.next_requests();
        let script = self.faults.deal(Script::new(), requests.clone(), weather);
        self.simulator.play(self.reports.script(script, requests))
    }

    /// From now on requests are held and never answered.
    pub(super) fn hold(&self) -> Result<(), SimulatorError> {
        self.faults.clear_from(self.next_requests().start);
        let held = Action::Hold(Gate::new());
        self.simulator.play(Script::new().on(Match::always(), held))
    }

    /// From now on all is well; what is reported stays as it was.
    pub(super) fn behave(&self) -> Result<(), SimulatorError> {
        let requests = self.next_requests();
        self.faults.clear_from(requests.start);
        self.simulator
            .play(self.reports.script(Script::new(), requests))
    }

    /// Those that a script plans for.
    fn next_requests(&self) -> Range<u64> {
        let last = self.ledger().request_count();
        last + 1..last + 1 + PLANNED
    }

    /// How many requests have met which fault.
    pub(super) fn faults_met(&self) -> BTreeMap<&'static str, usize> {
        self.faults.met(self.ledger().request_count())
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
        let fault = |request| self.faults.at(request);
        let whys = self.ledger().refused().into_iter();
        let whys = whys.map(|request| request.why);
        received.refused.extend(
            whys.filter(|why| !matches!(why, Refusal::BodyIncomplete | Refusal::WrongLogin)),
        );
        let presented = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        received.presented.extend(presented.iter().cloned());
        received.faults.insert(self.wire, self.faults_met());
        received.resets.insert(self.wire, self.front.resets());
        let mut said = self.said(received);
        let mut visits = BTreeMap::new();
        for message in self.ledger().messages() {
            let citizen = citizens::of_phone(message.phone.expose());
            let ending = endings.get(&message.request).copied();
            let visit = visit(&message, ending, fault(message.request));
            visits.insert(message.request, visit);
            let said = said.remove(&message.number).unwrap_or_default();
            let receipt = self.receipt(message, ending, fault, said);
            match citizen {
                Some(citizen) => received.messages.entry(citizen).or_default().push(receipt),
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

    fn ledger(&self) -> &Ledger {
        self.simulator.ledger()
    }
}

/// Writes down when which request ended, and what was refused for its credentials.
fn observer(endings: &Endings, refusals: &Refusals, clock: Arc<SystemClock>) -> Observer {
    let (endings, refusals) = (Arc::clone(endings), Arc::clone(refusals));
    Arc::new(move |event: &Event<'_>| match event {
        Event::Ended(request) => {
            let mut endings = endings.lock().unwrap_or_else(PoisonError::into_inner);
            endings.insert(request.number, (request.ending, clock.now()));
        }
        Event::Refused(request) if request.why == Refusal::WrongLogin => {
            let login = request.login.as_ref();
            let mut refusals = refusals.lock().unwrap_or_else(PoisonError::into_inner);
            refusals.push(Presented {
                login: login
                    .map(|login| login.as_str().to_owned())
                    .unwrap_or_default(),
                time: clock.now(),
            });
        }
        _ => {}
    })
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
