//! The rules of the comparison. They are meant to be stricter than the promises where they can.
//!
//! Must not know: where the books come from.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use jiff::Timestamp;

use super::{
    Evidence, Finding, Kind, Verdict,
    case::{Case, unexplained, update_time},
    course, places, presented, resent, superseded,
};
use crate::{
    cli::chaos::{
        asked::{Asked, Told},
        citizens::{self, reference},
        faults::Reply,
        installation::REQUEST_TIMEOUT,
        received::Receipt,
        samples::{Contract, Wire},
    },
    domain::Reason,
    grpc::proto::{Delivery, DeliveryState},
};

/// Compares the books.
pub(in crate::cli::chaos) fn judge(books: &Evidence) -> Verdict {
    let mut court = Court {
        books,
        verdict: Verdict::default(),
        interrupted: BTreeMap::new(),
        unread: BTreeMap::new(),
    };
    court.judge_all();
    court.verdict
}

/// Deliveries of one account that one commit called `UNCERTAIN`.
type Commit = (String, Timestamp);

/// The message that was in flight.
struct InFlight {
    delivery: u64,
    login: String,
    time: Timestamp,
}

/// Whether this change gave up an attempt only when all of its time was over.
fn waited_in_vain(case: &Case<'_>, change: &Delivery) -> bool {
    let mut pairs = case.course.windows(2);
    let pair = pairs.find(|pair| std::ptr::eq(pair[1], change));
    pair.is_some_and(|pair| {
        let took = update_time(change).duration_since(update_time(pair[0]));
        Duration::try_from(took).is_ok_and(|took| took >= REQUEST_TIMEOUT)
    })
}

struct Court<'a> {
    books: &'a Evidence,
    verdict: Verdict,
    /// Requests that brought what a kill interrupted, with a message of each.
    interrupted: BTreeMap<Commit, BTreeMap<u64, InFlight>>,
    /// Requests that nobody received and whose outcome the service does not know: over XML-RPC those of one commit were in one.
    unread: BTreeMap<Wire, BTreeSet<(Commit, Option<u64>)>>,
}

impl Court<'_> {
    fn judge_all(&mut self) {
        let mut stored: HashMap<&str, Vec<&Delivery>> = HashMap::new();
        for delivery in &self.books.stored {
            stored
                .entry(&delivery.reference)
                .or_default()
                .push(delivery);
        }
        let mut courses: HashMap<&str, Vec<&Delivery>> = HashMap::new();
        for change in &self.books.changes {
            courses.entry(&change.name).or_default().push(change);
        }
        let mut superseded = superseded::judge(self.books);
        let mut of_citizen: HashMap<u64, Vec<&Asked>> = HashMap::new();
        for asked in &self.books.asked {
            let citizen = citizens::of_delivery(asked.number);
            of_citizen.entry(citizen).or_default().push(asked);
        }
        for asked in &self.books.asked {
            let found = stored
                .remove(reference(asked.number).as_str())
                .unwrap_or_default();
            let citizen = citizens::of_delivery(asked.number);
            let receipts = self.receipts(asked, &of_citizen[&citizen]);
            let name = found.first().map(|delivery| delivery.name.as_str());
            let course = name.and_then(|name| courses.remove(name));
            let case = Case {
                asked,
                stored: &found,
                receipts: &receipts,
                course: &course.unwrap_or_default(),
                has_newer: superseded.has_newer.contains(&asked.number),
            };
            self.judge_one(&case);
        }
        self.verdict.findings.append(&mut superseded.findings);
        for delivery in stored.into_values().flatten() {
            self.find(
                Kind::Unexplained,
                None,
                format!("{}: nobody asked for it", delivery.name),
            );
        }
        self.judge_platform();
        self.judge_interrupted();
        let found = presented::judge(self.books);
        self.verdict.findings.extend(found);
    }

    /// The messages of one delivery: of several to one citizen the code tells which are whose. One with nobody's code is taken for
    /// the first's, which then has another's.
    fn receipts(&self, asked: &Asked, of_citizen: &[&Asked]) -> Vec<Receipt> {
        let citizen = citizens::of_delivery(asked.number);
        let all = self.books.received.messages.get(&citizen);
        let holds =
            |receipt: &Receipt, asked: &Asked| receipt.text.expose().contains(asked.code.expose());
        let is_first = of_citizen
            .first()
            .is_some_and(|first| first.number == asked.number);
        let all = all.into_iter().flatten();
        all.filter(|receipt| {
            holds(receipt, asked)
                || is_first && !of_citizen.iter().any(|other| holds(receipt, other))
        })
        .cloned()
        .collect()
    }

    fn judge_one(&mut self, case: &Case<'_>) {
        match &case.asked.told {
            Told::Ok => self.verdict.accepted += 1,
            Told::Refused(_) => self.verdict.refused += 1,
            Told::Nothing => self.verdict.given_up += 1,
        }
        let mut found = case.told_and_stored();
        found.extend(case.received());
        if let [delivery, ..] = case.stored {
            let state = delivery.state();
            let count = match state {
                DeliveryState::Sent => &mut self.verdict.sent,
                DeliveryState::Delivered => &mut self.verdict.delivered,
                DeliveryState::Uncertain => &mut self.verdict.uncertain,
                DeliveryState::Failed => &mut self.verdict.failed,
                DeliveryState::Expired => &mut self.verdict.expired,
                DeliveryState::Cancelled => &mut self.verdict.cancelled,
                DeliveryState::Superseded => &mut self.verdict.superseded,
                _ => &mut 0,
            };
            *count += 1;
            if case.asked.sample.accounts[1].is(&delivery.account) {
                self.verdict.on_the_second += 1;
            }
            found.extend(case.state(delivery));
            found.extend(course::judge(delivery, case.course));
            found.extend(self.resent(case));
            let uncertain = |delivery: &&&Delivery| delivery.state() == DeliveryState::Uncertain;
            if let Some(delivery) = case.course.iter().rfind(uncertain) {
                found.extend(self.uncertain(case, delivery));
            }
        }
        for (kind, what) in found {
            self.find(kind, Some(case.asked.number), what);
        }
    }

    /// Each resend needs what would explain that the delivery was uncertain.
    fn resent(&mut self, case: &Case<'_>) -> Vec<(Kind, String)> {
        let mut found = resent::judge(case);
        for change in resent::put_backs(case.course) {
            self.verdict.resent += 1;
            let at = update_time(change);
            let earlier = case.receipts.iter().rfind(|receipt| receipt.time <= at);
            if let Some(contract) = case.contract_of(change) {
                found.extend(self.unknown_outcome(case, change, contract, earlier));
            }
        }
        found
    }

    /// Only a kill or a fault of the script, in the middle of a submission, explains what is, or was, uncertain.
    fn uncertain(&mut self, case: &Case<'_>, delivery: &Delivery) -> Option<(Kind, String)> {
        let contract = case.contract_of(delivery)?;
        let last = case.receipts.last();
        let has_come = last.filter(|receipt| receipt.reply != Reply::NotNow);
        if has_come.is_some_and(|receipt| receipt.login != contract.login) {
            return Some((
                Kind::Twice,
                "was tried on the other account after it may have been taken".into(),
            ));
        }
        let Some(put_back) = resent::put_backs(case.course).last() else {
            return self.unknown_outcome(case, delivery, contract, last);
        };
        // That it waited for its resend explains it, whatever kept that from coming about.
        if resent::waited_before(case.course, delivery) {
            return None;
        }
        let again = last.filter(|receipt| receipt.time > update_time(put_back));
        let was_taken = again.is_some_and(|receipt| receipt.reply == Reply::Accepted);
        if !was_taken && delivery.reason != Reason::ATTEMPT_INTERRUPTED {
            return None;
        }
        self.unknown_outcome(case, delivery, contract, again)
    }

    /// What explains that nobody knew what had become of the submission of this message.
    fn unknown_outcome(
        &mut self,
        case: &Case<'_>,
        change: &Delivery,
        contract: &Contract,
        last: Option<&Receipt>,
    ) -> Option<(Kind, String)> {
        let commit = (change.account.clone(), update_time(change));
        if change.reason == Reason::ATTEMPT_INTERRUPTED {
            let at = commit.1;
            let in_a_recovery = |(from, until): &(Timestamp, Timestamp)| {
                (from.as_microsecond()..=until.as_microsecond()).contains(&at.as_microsecond())
            };
            if !self.books.recoveries.iter().any(in_a_recovery) {
                return Some(unexplained(
                    "is UNCERTAIN by an interruption, and no kill was before it",
                ));
            }
            if let Some(receipt) = last.filter(|receipt| receipt.reply != Reply::NotNow) {
                let in_flight = InFlight {
                    delivery: case.asked.number,
                    login: receipt.login.clone(),
                    time: receipt.time,
                };
                let requests = self.interrupted.entry(commit).or_default();
                requests.insert(receipt.request, in_flight);
            }
            return None;
        }
        match last.map(|receipt| receipt.reply) {
            Some(Reply::Unclear) => None,
            // The last attempt did not come: it must have been one that was closed before it was read.
            None | Some(Reply::NotNow) => {
                let alone = (contract.wire == Wire::Soap).then_some(case.asked.number);
                let unread = self.unread.entry(contract.wire).or_default();
                unread.insert((commit, alone));
                None
            }
            // The answer was clear, but on a busy machine it may have come when nobody waited for it any more.
            Some(_) if waited_in_vain(case, change) => None,
            Some(Reply::Accepted | Reply::Refused) => Some(unexplained(&format!(
                "is UNCERTAIN ({}) though request {} was answered clearly",
                change.reason,
                case.last_request()
            ))),
        }
    }

    fn judge_platform(&mut self) {
        let received = &self.books.received;
        if received.strangers > 0 {
            let what = format!("{} messages to nobody's phone", received.strangers);
            self.find(Kind::Unexplained, None, what);
        }
        for why in &received.refused {
            let what = format!("a platform refused a request as a whole: {why}");
            self.find(Kind::Unexplained, None, what);
        }
        for status in &received.unwelcome_reports {
            let what = format!("a report was answered with status {status}");
            self.find(Kind::Unexplained, None, what);
        }
        for (wire, unread) in std::mem::take(&mut self.unread) {
            let closed = received.closed_unread(wire);
            if unread.len() > closed {
                let what = format!(
                    "{} requests over {} of unknown outcome never came, and only {closed} were closed",
                    unread.len(),
                    wire.as_str()
                );
                self.find(Kind::Unexplained, None, what);
            }
        }
        for what in places::judge(&received.visits) {
            self.find(Kind::Unexplained, None, what);
        }
    }

    /// What a kill interrupted was in flight then: in no more requests than its account has places, and, where that is one, in
    /// the last.
    fn judge_interrupted(&mut self) {
        let mut of_login: HashMap<&str, BTreeSet<(Timestamp, u64)>> = HashMap::new();
        for receipt in self.books.received.messages.values().flatten() {
            of_login
                .entry(&receipt.login)
                .or_default()
                .insert((receipt.time, receipt.request));
        }
        for ((account, at), requests) in std::mem::take(&mut self.interrupted) {
            let places = places::of_account(&account);
            if requests.len() > places {
                let numbers: Vec<_> = requests.keys().collect();
                let what = format!(
                    "one kill interrupted more requests of {account} than it has places: {numbers:?}"
                );
                self.find(Kind::Unexplained, None, what);
            }
            for (request, in_flight) in requests.iter().filter(|_| places == 1) {
                let later = of_login
                    .get(in_flight.login.as_str())
                    .into_iter()
                    .flatten()
                    .any(|(time, other)| *time > in_flight.time && *time < at && other != request);
                if later {
                    let what = format!("was interrupted, but request {request} was not the last");
                    self.find(Kind::Unexplained, Some(in_flight.delivery), what);
                }
            }
        }
    }

    fn find(&mut self, kind: Kind, delivery: Option<u64>, what: String) {
        self.verdict.findings.push(Finding {
            kind,
            delivery,
            what,
        });
    }
}
