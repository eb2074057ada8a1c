//! What a test, a demonstration or a person may ask the simulated platform afterwards, or wait for.
//!
//! Must not know: HTTP, XML, the script.

mod reports;

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::{
    account::Login,
    mensatek::MensatekCall,
    record::{EndedRequest, Ending, ReceivedMessage, Refusal, RefusedRequest},
    reports::SentReport,
};

/// Most log-ins that figures are kept of; requests of further ones are refused.
const MOST_LOGINS: usize = 10_000;

/// Something that has happened, for whoever watches.
#[derive(Debug)]
pub enum Event<'a> {
    /// A request has ended; its messages carry the codes that were told.
    Ended(&'a EndedRequest),
    /// A request was refused as a whole.
    Refused(&'a RefusedRequest),
    /// A function of Mensatek that sends nothing was called.
    Called(&'a MensatekCall),
    /// A report was acknowledged, given up or not sent.
    Reported(&'a SentReport),
}

/// Told of every event, in no promised order between log-ins. Must return soon: the request waits for it.
pub type Observer = Arc<dyn Fn(&Event<'_>) + Send + Sync>;

/// What has come so far. Clones look at the same ledger.
#[derive(Clone)]
pub struct Ledger(Arc<Shared>);

struct Shared {
    entries: Mutex<Entries>,
    progress: watch::Sender<Progress>,
    keep: usize,
    observer: Option<Observer>,
}

#[derive(Default)]
struct Entries {
    messages: VecDeque<ReceivedMessage>,
    /// Number of messages that were forgotten to keep to the limit.
    forgotten: u64,
    refused: VecDeque<RefusedRequest>,
    reports: VecDeque<SentReport>,
    /// Number of reports that were forgotten to keep to the limit.
    forgotten_reports: u64,
    /// Of Mensatek, those that send included.
    calls: VecDeque<MensatekCall>,
    largest_batch: usize,
    logins: HashMap<Login, Figures>,
}

/// What is counted, all in one place so that one wait can watch any of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Progress {
    requests: u64,
    messages: u64,
    refused: u64,
    ended: u64,
    held: usize,
    report_tries: u64,
    reports_ended: u64,
    reports_acknowledged: u64,
    reports_held: usize,
}

/// What is known of one log-in.
#[derive(Default)]
pub(super) struct Figures {
    wrong_logins: u64,
    /// Requests that are in flight or ask to be.
    pub(super) present: usize,
    pub(super) max_in_flight: usize,
    /// Requests in flight over the protocols that allow several.
    pub(super) parallel: usize,
    /// How the request in flight will have ended; `None` when there is none.
    pub(super) in_flight: Option<watch::Receiver<Option<Ending>>>,
}

impl fmt::Debug for Ledger {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("Ledger")
            .field(&*self.0.progress.borrow())
            .finish()
    }
}

impl Ledger {
    /// An empty ledger that keeps the last `keep` messages and as many refusals.
    pub(super) fn new(keep: usize, observer: Option<Observer>) -> Self {
        Self(Arc::new(Shared {
            entries: Mutex::default(),
            progress: watch::Sender::default(),
            keep,
            observer,
        }))
    }

    /// The messages that are kept, in the order in which they came.
    pub fn messages(&self) -> Vec<ReceivedMessage> {
        self.entries().messages.iter().cloned().collect()
    }

    /// The kept message with this id.
    pub fn message_of(&self, message_id: &str) -> Option<ReceivedMessage> {
        let entries = self.entries();
        let mut newest_first = entries.messages.iter().rev();
        newest_first
            .find(|message| message.message_id.as_deref() == Some(message_id))
            .cloned()
    }

    /// The refused requests that are kept, in order.
    pub fn refused(&self) -> Vec<RefusedRequest> {
        self.entries().refused.iter().cloned().collect()
    }

    /// The calls of Mensatek's functions that are kept, in the order in which they were judged.
    pub fn calls(&self) -> Vec<MensatekCall> {
        self.entries().calls.iter().cloned().collect()
    }

    /// Calls of the entrance so far, whatever became of them.
    pub fn request_count(&self) -> u64 {
        self.0.progress.borrow().requests
    }

    /// Messages received so far, kept or not.
    pub fn message_count(&self) -> u64 {
        self.0.progress.borrow().messages
    }

    /// Requests refused as a whole so far, kept or not.
    pub fn refused_count(&self) -> u64 {
        self.0.progress.borrow().refused
    }

    /// Most messages that one request has brought.
    pub fn largest_batch(&self) -> usize {
        self.entries().largest_batch
    }

    /// Most requests of this log-in at one time, those included that were refused for it: 1 for a good client.
    pub fn max_in_flight(&self, login: &str) -> usize {
        self.figure(login, |figures| figures.max_in_flight)
    }

    /// The largest [`Ledger::max_in_flight`] of all log-ins.
    pub fn max_in_flight_of_all(&self) -> usize {
        let entries = self.entries();
        let all = entries.logins.values();
        all.map(|figures| figures.max_in_flight)
            .max()
            .unwrap_or_default()
    }

    /// How often this log-in came with a wrong password, or at all when it is unknown.
    pub fn wrong_logins(&self, login: &str) -> u64 {
        self.figure(login, |figures| figures.wrong_logins)
    }

    /// Returns when at least `n` messages have come, answered or not.
    pub async fn until_messages(&self, n: u64) {
        self.until(|progress| progress.messages >= n).await;
    }

    /// Returns when at least `n` requests have come.
    pub async fn until_requests(&self, n: u64) {
        self.until(|progress| progress.requests >= n).await;
    }

    /// Returns when at least `n` requests have ended that were not refused as a whole.
    pub async fn until_ended(&self, n: u64) {
        self.until(|progress| progress.ended >= n).await;
    }

    /// Returns when at least `n` requests have been refused as a whole.
    pub async fn until_refused(&self, n: u64) {
        self.until(|progress| progress.refused >= n).await;
    }

    /// Returns when at least `n` requests wait at gates at one time.
    pub async fn until_held(&self, n: usize) {
        self.until(|progress| progress.held >= n).await;
    }

    async fn until(&self, reached: impl Fn(&Progress) -> bool) {
        let mut progress = self.0.progress.subscribe();
        // The sender lives in `self`, so waiting ends only when the number is reached.
        let _ = progress.wait_for(reached).await;
    }

    fn figure<T: Default>(&self, login: &str, get: impl Fn(&Figures) -> T) -> T {
        let entries = self.entries();
        entries
            .logins
            .get(&Login::new(login))
            .map(get)
            .unwrap_or_default()
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0
            .entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn progress(&self, change: impl FnOnce(&mut Progress)) {
        self.0.progress.send_modify(change);
    }
}

/// What the simulator writes into its ledger.
impl Ledger {
    /// Counts a request and gives it its number.
    pub(super) fn count_request(&self) -> u64 {
        let mut number = 0;
        self.progress(|progress| {
            progress.requests += 1;
            number = progress.requests;
        });
        number
    }

    /// Changes what is known of a log-in; refused when too many are known already.
    pub(super) fn with_figures<T>(
        &self,
        login: &Login,
        change: impl FnOnce(&mut Figures) -> T,
    ) -> Result<T, Refusal> {
        let mut entries = self.entries();
        if entries.logins.len() >= MOST_LOGINS && !entries.logins.contains_key(login) {
            return Err(Refusal::TooManyLogins);
        }
        Ok(change(entries.logins.entry(login.clone()).or_default()))
    }

    pub(super) fn count_wrong_login(&self, login: &Login) -> Result<(), Refusal> {
        self.with_figures(login, |figures| figures.wrong_logins += 1)
    }

    /// Numbers the messages of a request and keeps them; tells the place of the first, for [`Ledger::end`].
    pub(super) fn receive(&self, messages: &mut [ReceivedMessage]) -> u64 {
        let first = {
            let mut entries = self.entries();
            let first = entries.forgotten + entries.messages.len() as u64;
            entries.largest_batch = entries.largest_batch.max(messages.len());
            for (place, message) in (first..).zip(messages.iter_mut()) {
                message.number = place + 1;
            }
            entries.messages.extend(messages.iter().cloned());
            let surplus = entries.messages.len().saturating_sub(self.0.keep);
            entries.messages.drain(..surplus);
            entries.forgotten += surplus as u64;
            first
        };
        self.progress(|progress| progress.messages += messages.len() as u64);
        first
    }

    /// Writes the codes that were told beside the messages, and tells the observer.
    pub(super) fn end(&self, first: u64, request: &EndedRequest) {
        {
            let mut entries = self.entries();
            for (place, message) in (first..).zip(&request.messages) {
                let kept = place
                    .checked_sub(entries.forgotten)
                    .and_then(|index| usize::try_from(index).ok());
                if let Some(entry) = kept.and_then(|index| entries.messages.get_mut(index)) {
                    entry.code = message.code;
                }
            }
        }
        self.progress(|progress| progress.ended += 1);
        self.observe(&Event::Ended(request));
    }

    pub(super) fn refuse(&self, request: RefusedRequest) {
        self.observe(&Event::Refused(&request));
        {
            let mut entries = self.entries();
            entries.refused.push_back(request);
            let surplus = entries.refused.len().saturating_sub(self.0.keep);
            entries.refused.drain(..surplus);
        }
        self.progress(|progress| progress.refused += 1);
    }

    /// Keeps a call, and tells the observer where nothing else tells of it.
    pub(super) fn called(&self, call: MensatekCall) {
        if !call.function.sends() {
            self.observe(&Event::Called(&call));
        }
        let mut entries = self.entries();
        entries.calls.push_back(call);
        let surplus = entries.calls.len().saturating_sub(self.0.keep);
        entries.calls.drain(..surplus);
    }

    /// Counts a request as held until the guard is dropped.
    pub(super) fn hold(&self) -> HeldGuard {
        self.progress(|progress| progress.held += 1);
        HeldGuard(self.clone())
    }

    fn observe(&self, event: &Event<'_>) {
        if let Some(observer) = &self.0.observer {
            observer(event);
        }
    }
}

/// A request that waits at a gate.
pub(super) struct HeldGuard(Ledger);

impl Drop for HeldGuard {
    fn drop(&mut self) {
        self.0.progress(|progress| progress.held -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::SecretText, simulator::record::WirePhone};

    fn batch(request: u64, size: usize) -> Vec<ReceivedMessage> {
        let text = SecretText::new("text".into());
        let phone = WirePhone::new("600000001");
        (0..size)
            .map(|_| {
                ReceivedMessage::new(
                    request,
                    jiff::Timestamp::UNIX_EPOCH,
                    &Login::new("madrid"),
                    (&phone, &text, "217812"),
                )
            })
            .collect()
    }

    #[test]
    fn forgets_the_oldest_and_still_counts_all() {
        let ledger = Ledger::new(3, None);
        let mut slow = batch(1, 2);
        let place = ledger.receive(&mut slow);
        ledger.receive(&mut batch(2, 2));
        let mut messages = slow;
        for message in &mut messages {
            message.code = Some(-5);
        }
        ledger.end(
            place,
            &EndedRequest {
                number: 1,
                login: Login::new("madrid"),
                messages,
                ending: Ending::Answered,
            },
        );
        let kept: Vec<_> = ledger
            .messages()
            .iter()
            .map(|message| (message.request, message.code))
            .collect();
        assert_eq!(kept, [(1, Some(-5)), (2, None), (2, None)]);
        assert_eq!((ledger.message_count(), ledger.largest_batch()), (4, 2));
    }

    #[test]
    fn refuses_to_remember_log_ins_without_end() {
        let ledger = Ledger::new(3, None);
        for number in 0..MOST_LOGINS {
            let login = Login::new(&number.to_string());
            ledger.count_wrong_login(&login).unwrap();
        }
        assert_eq!(
            ledger.count_wrong_login(&Login::new("one more")),
            Err(Refusal::TooManyLogins)
        );
        ledger.count_wrong_login(&Login::new("7")).unwrap();
        assert_eq!(ledger.wrong_logins("7"), 2);
    }
}
