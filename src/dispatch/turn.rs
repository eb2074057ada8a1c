//! One request of a lane: what was leased is handed over, and what became of it is recorded.
//!
//! Must not know: when the lane takes work, how long it rests.

use std::{sync::Arc, time::Duration};

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use jiff::Timestamp;

use super::{lane::LaneSettings, notes, settle::Rules};
use crate::{
    clock::Clock,
    crash_points::{self, Point},
    domain::{AttemptToken, CredentialsVersion, DeliveryId, Reason},
    gateway::{Access, Message, Outcome, Permit, Start, Trial, Verdict},
    store::{ClosingCause, LaneClosing, Neighbour, Settlement, Store, StoreError, Work},
};

/// What all requests of a lane share, as long as its account's credentials stay.
#[derive(Clone)]
pub(super) struct Core {
    pub(super) settings: LaneSettings,
    pub(super) rules: Rules,
    /// Of all requests that begin with this.
    pub(super) access: Arc<Access>,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
}

/// What one request is to carry.
pub(super) struct Assignment {
    pub(super) token: AttemptToken,
    /// Given before the lease.
    pub(super) permit: Permit,
    /// Held until its outcome is recorded, where nobody knows the credentials to be right.
    pub(super) trial: Option<Trial>,
    pub(super) work: Vec<Work>,
    /// Leased with it, but sealed with another key.
    pub(super) unreadable: Vec<DeliveryId>,
    /// How long the gateway is expected to take.
    pub(super) latency: Duration,
    /// How long what was not sent waits before it is tried again.
    pub(super) pause: Duration,
}

/// What a request came to.
pub(super) struct Ended {
    /// How long the gateway took; `None` where nothing was handed over.
    pub(super) took: Option<Duration>,
    pub(super) summary: Summary,
}

impl Core {
    /// Hands over and records.
    pub(super) async fn turn(self: Arc<Self>, mut assignment: Assignment) -> Ended {
        let trial = assignment.trial.take();
        crash_points::reach(Point::AfterAttemptRecord);
        if !assignment.permit.is_valid() {
            return self.hold_back(assignment).await;
        }
        let (mut outcomes, mut took) = self.submit(&assignment).await;
        crash_points::reach(Point::AfterGatewayAnswer);
        let was_revoked = !assignment.permit.is_valid();
        if was_revoked {
            outcomes.iter_mut().flatten().for_each(blame_the_rejection);
        }
        let is_unsent = |outcome: &Outcome| matches!(outcome, Outcome::NotSent { .. });
        let mut summary = if was_revoked && outcomes.iter().flatten().all(is_unsent) {
            took = None;
            Summary::of_held_back()
        } else {
            Summary::of(&outcomes, self.access.credentials)
        };
        let presenting = &self.access.presenting;
        if presenting.is_retired() {
            summary.closes_no_credentials();
        }
        if outcomes.iter().flatten().any(was_let_in) {
            presenting.prove(&assignment.permit);
        }
        // Before the record, which takes time: a free place of the lane may be about to present the same.
        let rejection = matches!(summary.closing, Some(ClosingCause::Credentials(_)))
            .then(|| presenting.reject());
        self.record(assignment, outcomes, &summary).await;
        if let Some(rejection) = rejection {
            rejection.recorded();
        }
        // Only now may another try the same.
        drop(trial);
        Ended { took, summary }
    }

    /// Records that nothing was handed over, because the credentials have been rejected since the lease.
    async fn hold_back(&self, assignment: Assignment) -> Ended {
        let not_sent = || Outcome::NotSent {
            reason: Reason::known(Reason::GATEWAY_CREDENTIALS_REJECTED),
            code: None,
        };
        let outcomes = assignment.work.iter().map(|_| Some(not_sent())).collect();
        let summary = Summary::of_held_back();
        self.record(assignment, outcomes, &summary).await;
        Ended {
            took: None,
            summary,
        }
    }

    /// The other accounts of the administration, as they stand now.
    pub(super) fn neighbours(&self, now: Timestamp) -> Vec<Neighbour> {
        let lanes = self.store.lanes();
        let neighbours = self.settings.neighbours.iter();
        neighbours
            .map(|neighbour| neighbour.at(now, lanes))
            .collect()
    }

    /// A code that expires by then cannot be with the gateway in time.
    pub(super) fn must_outlive(now: Timestamp, latency: Duration) -> Timestamp {
        now.checked_add(latency.max(LEAST_LATENCY))
            .unwrap_or(Timestamp::MAX)
    }

    /// Hands over what still has time, in one request; the outcome of each piece of work, `None` for what came too late: a
    /// commit can take long on a slow disk.
    async fn submit(&self, assignment: &Assignment) -> (Vec<Option<Outcome>>, Option<Duration>) {
        let work = &assignment.work;
        let now = self.clock.now();
        let must_outlive = Self::must_outlive(now, assignment.latency);
        // A code with less than the margin left is let go, so that it cannot hold back its batch.
        let start_by = must_outlive
            .checked_add(START_MARGIN)
            .unwrap_or(Timestamp::MAX);
        let in_time = |work: &&Work| work.expire_time > start_by;
        // The code with the least time left decides for its batch; one that is held back so waits or expires alone.
        let spare = work
            .iter()
            .filter(in_time)
            .map(|work| work.expire_time.duration_since(must_outlive))
            .min()
            .and_then(|spare| Duration::try_from(spare).ok())
            .unwrap_or_default();
        let start_within = start_within(spare, self.settings.connect_timeout);
        let messages: Vec<Message> = work
            .iter()
            .filter(in_time)
            .map(|work| message(work, now, start_within))
            .collect();
        let (mut told, mut took) = (Vec::new(), None);
        if !messages.is_empty() {
            let begin = self.clock.uptime();
            let start = Start {
                within: start_within,
                // Up to the first byte, connecting included; what is on its way cannot be called back (decision 0004).
                unless: assignment.permit.revoked(),
            };
            told = self.access.gateway.submit(&messages, &start).await;
            let duration = self.clock.uptime().saturating_sub(begin);
            notes::submitted(&self.settings.account, messages.len(), duration);
            took = Some(duration);
        }
        // An adapter that answered for fewer messages than it was given has told nothing about the others.
        let mut told = told
            .into_iter()
            .chain(std::iter::repeat_with(|| Outcome::Uncertain {
                reason: Reason::known(Reason::GATEWAY_OUTCOME_UNKNOWN),
            }));
        let outcomes = work
            .iter()
            .map(|work| if in_time(&work) { told.next() } else { None })
            .collect();
        (outcomes, took)
    }

    async fn record(
        &self,
        assignment: Assignment,
        outcomes: Vec<Option<Outcome>>,
        summary: &Summary,
    ) {
        let now = self.clock.now();
        // Only a request that failed as a whole is a reason to go easy on the gateway.
        let pause = if summary.failed {
            assignment.pause
        } else {
            MIN_PAUSE
        };
        let retry_at = now.checked_add(pause).unwrap_or(Timestamp::MAX);
        let settlements: Vec<(DeliveryId, Settlement)> = assignment
            .work
            .iter()
            .zip(outcomes)
            .map(|(work, outcome)| {
                notes::outcome(&self.settings.account, work, outcome.as_ref(), now);
                let settlement = match outcome {
                    Some(outcome) => self.rules.settle(work, outcome, now, retry_at),
                    None => Settlement::Expired,
                };
                (work.id, settlement)
            })
            .collect();
        let unreadable = assignment.unreadable.iter().map(|id| {
            let reason = Reason::known(Reason::STORE_UNREADABLE);
            (*id, Settlement::Failed { reason, code: None })
        });
        let settlements = settlements.into_iter().chain(unreadable).collect();
        let closing = summary.closing.map(|cause| LaneClosing {
            account: self.settings.account.clone(),
            cause,
        });
        self.settle_until_kept(assignment.token, settlements, closing)
            .await;
    }

    /// What is known must reach the disk: without it a restart would have to call it `UNCERTAIN`. Also while the service
    /// stops; its grace time ends this then.
    async fn settle_until_kept(
        &self,
        token: AttemptToken,
        settlements: Vec<(DeliveryId, Settlement)>,
        closing: Option<LaneClosing>,
    ) {
        for pause in pauses(MAX_PAUSE) {
            let kept = self
                .store
                .settle(
                    token,
                    settlements.clone(),
                    closing.clone(),
                    self.clock.now(),
                )
                .await;
            let Err(error) = kept else { return };
            tracing::error!(
                account = %self.settings.account,
                deliveries = settlements.len(),
                %error,
                "dispatch: outcomes cannot be recorded; tried again until the store takes them"
            );
            if matches!(error, StoreError::Closed) {
                return;
            }
            self.clock.sleep(pause).await;
        }
    }
}

/// What the outcomes of one request say about the gateway.
#[derive(Debug)]
pub(super) struct Summary {
    /// Nothing was answered: the gateway could not be reached, was busy, or broke off.
    pub(super) failed: bool,
    /// The gateway answered.
    pub(super) answered: bool,
    /// Some message is known not to have been sent and may go elsewhere.
    pub(super) not_sent: bool,
    pub(super) failure: Option<Reason>,
    /// Why the lane must close, where the gateway says so of the account as a whole.
    pub(super) closing: Option<ClosingCause>,
}

impl Summary {
    fn of(outcomes: &[Option<Outcome>], credentials: CredentialsVersion) -> Self {
        let told = || outcomes.iter().flatten();
        let failures: Vec<&Reason> = told().filter_map(failure).collect();
        let submitted = told().count();
        let failed = submitted > 0 && failures.len() == submitted;
        let says = |wanted: Verdict| {
            told().any(|outcome| {
                matches!(outcome, Outcome::Rejected { verdict, .. } if *verdict == wanted)
            })
        };
        let closing = if says(Verdict::Credentials) {
            Some(ClosingCause::Credentials(credentials))
        } else {
            says(Verdict::Quota).then_some(ClosingCause::NoCredit)
        };
        Self {
            failed,
            answered: submitted > 0 && !failed,
            not_sent: closing.is_some()
                || told().any(|outcome| matches!(outcome, Outcome::NotSent { .. })),
            failure: failures
                .first()
                .filter(|_| failed)
                .map(|&reason| reason.clone()),
            closing,
        }
    }

    /// The account has other credentials by now, of which a rejection of these says nothing.
    fn closes_no_credentials(&mut self) {
        self.closing = self
            .closing
            .filter(|cause| !matches!(cause, ClosingCause::Credentials(_)));
    }

    /// Of a request that was not made: it says nothing about the gateway, and others may carry what it held.
    fn of_held_back() -> Self {
        Self {
            failed: false,
            answered: false,
            not_sent: true,
            failure: None,
            closing: None,
        }
    }

    /// Of a request whose task did not come to its end.
    pub(super) fn of_lost_task() -> Self {
        Self {
            failed: true,
            answered: false,
            not_sent: false,
            failure: Some(Reason::known(Reason::ATTEMPT_INTERRUPTED)),
            closing: None,
        }
    }
}

/// Whether the gateway looked behind the log-in: it took the message, or said in its own code what is wrong with it.
fn was_let_in(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Accepted(_) => true,
        Outcome::Rejected { code, verdict, .. } => code.is_some() && *verdict == Verdict::Message,
        Outcome::NotSent { .. } | Outcome::Uncertain { .. } => false,
    }
}

/// What was not sent because the request was taken back says so.
fn blame_the_rejection(outcome: &mut Outcome) {
    if let Outcome::NotSent { reason, .. } = outcome {
        *reason = Reason::known(Reason::GATEWAY_CREDENTIALS_REJECTED);
    }
}

fn failure(outcome: &Outcome) -> Option<&Reason> {
    match outcome {
        Outcome::NotSent { reason, .. } | Outcome::Uncertain { reason } => Some(reason),
        Outcome::Accepted(_) | Outcome::Rejected { .. } => None,
    }
}

/// How long a connection may take to stand where the code has so much time to spare: half of it, so that some is left to be
/// told as the message's validity, but never less than the least.
fn start_within(spare: Duration, connect_timeout: Duration) -> Duration {
    (spare / 2).clamp(spare.min(START_MARGIN), connect_timeout.max(START_MARGIN))
}

/// The validity is what is left when the connection stands as late as it may: the platform counts it from when it reads the
/// request, and a code must not be called valid for longer than it is.
fn message(work: &Work, now: Timestamp, start_within: Duration) -> Message {
    let left = Duration::try_from(work.expire_time.duration_since(now)).unwrap_or_default();
    Message {
        delivery: work.id,
        recipient: work.recipient.clone(),
        text: work.text.clone(),
        sender: work.sender.clone(),
        valid_for: left.saturating_sub(start_within),
    }
}

/// Least time that a batch gets for a connection to stand.
const START_MARGIN: Duration = Duration::from_millis(250);

/// Expected of a gateway that has not been measured since the start, or that answers at once: on a busy machine a message
/// needs time to leave it, and a code with less than this left helps nobody.
const LEAST_LATENCY: Duration = Duration::from_millis(500);

const MIN_PAUSE: Duration = Duration::from_millis(200);

/// Longest pause between two tries of the store.
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// Doubles from a fifth of a second to `longest`, each with jitter, so that accounts of one sick gateway do not come back at
/// once.
pub(super) fn pauses(longest: Duration) -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(MIN_PAUSE)
        .with_max_delay(longest)
        .with_jitter()
        .without_max_times()
        .build()
}
