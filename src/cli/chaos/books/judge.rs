//! The rules of the comparison. They are meant to be stricter than the promises where they can.
//!
//! Must not know: where the books come from.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

use super::{
    Books, Finding, Kind, Verdict,
    case::{Case, unexplained, update_time},
    course, places,
};
use crate::{
    cli::chaos::{
        callers::{Told, reference},
        faults::Reply,
        installation::Wire,
    },
    domain::Reason,
    grpc::proto::{Delivery, DeliveryState},
};

/// Compares the books.
pub(in crate::cli::chaos) fn judge(books: &Books<'_>) -> Verdict {
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

struct Court<'a> {
    books: &'a Books<'a>,
    verdict: Verdict,
    /// Requests that brought what a kill interrupted, with a delivery of each.
    interrupted: BTreeMap<Commit, BTreeMap<u64, u64>>,
    /// Requests that nobody received and whose outcome the service does not know: over XML-RPC those of one commit were in one.
    unread: BTreeMap<Wire, BTreeSet<(Commit, Option<u64>)>>,
}

impl Court<'_> {
    fn judge_all(&mut self) {
        let mut stored: HashMap<&str, Vec<&Delivery>> = HashMap::new();
        for delivery in self.books.stored {
            stored
                .entry(&delivery.reference)
                .or_default()
                .push(delivery);
        }
        let mut courses: HashMap<&str, Vec<&Delivery>> = HashMap::new();
        for change in self.books.changes {
            courses.entry(&change.name).or_default().push(change);
        }
        for asked in self.books.asked {
            let found = stored
                .remove(reference(asked.number).as_str())
                .unwrap_or_default();
            let receipts = self.books.received.messages.get(&asked.number);
            let name = found.first().map(|delivery| delivery.name.as_str());
            let course = name.and_then(|name| courses.remove(name));
            let case = Case {
                asked,
                stored: &found,
                receipts: receipts.map_or(&[], Vec::as_slice),
                course: &course.unwrap_or_default(),
            };
            self.judge_one(&case);
        }
        for delivery in stored.into_values().flatten() {
            self.find(
                Kind::Unexplained,
                None,
                format!("{}: nobody asked for it", delivery.name),
            );
        }
        self.judge_platform();
        self.judge_interrupted();
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
                _ => &mut 0,
            };
            *count += 1;
            if case.asked.sample.accounts[1].is(&delivery.account) {
                self.verdict.on_the_second += 1;
            }
            found.extend(case.state(delivery));
            found.extend(course::judge(delivery, case.course));
            let uncertain = |delivery: &&&Delivery| delivery.state() == DeliveryState::Uncertain;
            if let Some(delivery) = case.course.iter().rfind(uncertain) {
                found.extend(self.uncertain(case, delivery));
            }
        }
        for (kind, what) in found {
            self.find(kind, Some(case.asked.number), what);
        }
    }

    /// Only a kill or a fault of the script, in the middle of a submission, explains what is, or was, uncertain.
    fn uncertain(&mut self, case: &Case<'_>, delivery: &Delivery) -> Option<(Kind, String)> {
        let contract = case.contract_of(delivery)?;
        let commit = (delivery.account.clone(), update_time(delivery));
        let last = case.receipts.last();
        let has_come = last.filter(|receipt| receipt.reply != Reply::NotNow);
        if has_come.is_some_and(|receipt| receipt.login != contract.login) {
            return Some((
                Kind::Twice,
                "was tried on the other account after it may have been taken".into(),
            ));
        }
        if delivery.reason == Reason::ATTEMPT_INTERRUPTED {
            let at = commit.1;
            let in_a_recovery = |(from, until): &(Timestamp, Timestamp)| {
                (from.as_microsecond()..=until.as_microsecond()).contains(&at.as_microsecond())
            };
            if !self.books.recoveries.iter().any(in_a_recovery) {
                return Some(unexplained(
                    "is UNCERTAIN by an interruption, and no kill was before it",
                ));
            }
            if let Some(receipt) = has_come {
                self.interrupted
                    .entry(commit)
                    .or_default()
                    .insert(receipt.request, case.asked.number);
            }
            return None;
        }
        match last.map(|receipt| receipt.reply) {
            Some(Reply::Unclear) => None,
            // The last attempt did not come: it must have been one that the script closed before reading.
            None | Some(Reply::NotNow) => {
                let alone = (contract.wire == Wire::Soap).then_some(case.asked.number);
                let unread = self.unread.entry(contract.wire).or_default();
                unread.insert((commit, alone));
                None
            }
            Some(Reply::Accepted | Reply::Refused) => Some(unexplained(&format!(
                "is UNCERTAIN ({}) though request {} was answered clearly",
                delivery.reason,
                case.last_request()
            ))),
        }
    }

    fn judge_platform(&mut self) {
        let received = self.books.received;
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
            let dropped = received.dropped_before_reading(wire);
            if unread.len() > dropped {
                let what = format!(
                    "{} requests over {} of unknown outcome never came, and the script closed only {dropped}",
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
                let what = format!(
                    "one kill interrupted more requests of {account} than it has places: {requests:?}"
                );
                self.find(Kind::Unexplained, None, what);
            }
            for (request, delivery) in requests {
                let receipts = self.books.received.messages.get(&delivery);
                let last = receipts.and_then(|receipts| receipts.last());
                let Some(receipt) = last.filter(|_| places == 1) else {
                    continue;
                };
                let later = of_login
                    .get(receipt.login.as_str())
                    .into_iter()
                    .flatten()
                    .any(|(time, other)| *time > receipt.time && *time < at && *other != request);
                if later {
                    let what = format!("was interrupted, but request {request} was not the last");
                    self.find(Kind::Unexplained, Some(delivery), what);
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
