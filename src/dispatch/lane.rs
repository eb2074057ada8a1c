//! One lane: lease, submit, settle, again; resting when its gateway fails too often.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{
    notes,
    settle::{OnUncertain, Rules},
};
use crate::{
    clock::Clock,
    crash_points::{self, Point},
    domain::{AccountId, AttemptToken, CredentialsVersion, DeliveryId, Reason},
    gateway::{Gateway, Message, Outcome, Verdict},
    store::{
        LaneBell, LaneClosing, LaneReport, LeaseRequest, Leased, Settlement, Store, StoreError,
        Work,
    },
};

/// What a lane needs to know of its account.
#[derive(Debug, Clone)]
pub struct LaneSettings {
    /// Whose lane.
    pub account: AccountId,
    /// The platform behind it.
    pub gateway: Arc<dyn Gateway>,
    /// Most messages in one request (`accounts.limits.max_batch`); the gateway's own limit also holds.
    pub max_batch: NonZeroU32,
    /// What to do when nobody can say whether a message was sent.
    pub on_uncertain: OnUncertain,
    /// How long a report may follow; `None` where the gateway sends none.
    pub report_window: Option<Duration>,
    /// Tells these credentials from others; rejected ones are never presented again.
    pub credentials: CredentialsVersion,
    /// After so many failed requests in a row the lane rests and then tries one message
    /// (`accounts.limits.failures_before_rest`).
    pub failures_before_rest: NonZeroU32,
}

/// What a turn of the lane came to.
enum Turn {
    /// The gateway answered; there may be more to do.
    Answered,
    /// The gateway failed: try again after this pause.
    Failed(Duration),
    /// Nothing is due before the given moment, or the lane is closed: wait for the bell.
    Idle(Option<Timestamp>),
    /// The store could not be asked: try again after this pause, or when it takes work again.
    Unstored(Duration),
}

pub(super) struct Lane {
    settings: LaneSettings,
    rules: Rules,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    bell: LaneBell,
    pauses: ExponentialBackoff,
    report: LaneReport,
}

impl Lane {
    pub(super) fn new(
        settings: LaneSettings,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let batch = settings.max_batch.min(settings.gateway.batch_limit());
        Self {
            rules: Rules {
                on_uncertain: settings.on_uncertain,
                report_window: settings.report_window,
            },
            bell: store.changes().lane(&settings.account),
            pauses: pauses(),
            report: LaneReport::new(batch),
            settings,
            store,
            clock,
        }
    }

    /// Runs until told to stop; what is under way then is finished and recorded first.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        self.tell();
        self.open(&stop).await;
        while !stop.is_cancelled() {
            self.flow(&stop).await;
            while !stop.is_cancelled() {
                self.rest(&stop).await;
                if self.probe(&stop).await {
                    break;
                }
            }
        }
    }

    /// Lets the store forget rejected credentials where these are others.
    async fn open(&mut self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            let account = self.settings.account.clone();
            match self
                .store
                .open_lane(account, self.settings.credentials)
                .await
            {
                Ok(true) => return,
                Ok(false) => {
                    tracing::error!(account = %self.settings.account, "{REJECTED}");
                    return;
                }
                Err(error) => {
                    tracing::error!(account = %self.settings.account, %error, "dispatch: the lane cannot open; tried again");
                }
            }
            let pause = self.pause();
            self.sleep(pause, stop).await;
        }
    }

    /// Works with full batches until the gateway has failed too often in a row (the breaker is closed).
    async fn flow(&mut self, stop: &CancellationToken) {
        let mut failures = 0;
        while !stop.is_cancelled() {
            match self.turn(self.report.batch).await {
                Turn::Answered => {
                    failures = 0;
                    self.pauses = pauses();
                }
                Turn::Failed(pause) => {
                    failures += 1;
                    if failures >= self.settings.failures_before_rest.get() {
                        return;
                    }
                    self.sleep(pause, stop).await;
                }
                Turn::Unstored(pause) => self.wait_for_store(pause, stop).await,
                Turn::Idle(until) => self.wait_for_work(until, stop).await,
            }
        }
    }

    /// Sends nothing for a while (the breaker is open). What waits is ended by the sweep when its time runs out.
    async fn rest(&mut self, stop: &CancellationToken) {
        let pause = self.pause();
        self.report.rests_until = self.clock.now().checked_add(pause).ok();
        self.tell();
        tracing::warn!(
            account = %self.settings.account,
            seconds = pause.as_secs_f64(),
            "dispatch: the gateway failed too often in a row; the lane rests, then tries one message: look at the platform and the way to it"
        );
        notes::rests(&self.settings.account);
        self.sleep(pause, stop).await;
        self.report.rests_until = None;
        self.tell();
    }

    /// Tries one message (the breaker is half open); true when the gateway answered.
    async fn probe(&mut self, stop: &CancellationToken) -> bool {
        while !stop.is_cancelled() {
            match self.turn(NonZeroU32::MIN).await {
                Turn::Answered => {
                    tracing::info!(account = %self.settings.account, "dispatch: the gateway answers again");
                    self.pauses = pauses();
                    return true;
                }
                Turn::Failed(_) => return false,
                Turn::Unstored(pause) => self.wait_for_store(pause, stop).await,
                Turn::Idle(until) => self.wait_for_work(until, stop).await,
            }
        }
        false
    }

    /// Takes what is due, hands it over, records what became of it.
    async fn turn(&mut self, limit: NonZeroU32) -> Turn {
        let leased = match self.lease(limit).await {
            Ok(leased) => leased,
            Err(error) => {
                tracing::error!(account = %self.settings.account, %error, "dispatch: no work can be taken; it is tried again");
                return Turn::Unstored(self.pause());
            }
        };
        if leased.closed != self.report.closed {
            self.report.closed = leased.closed;
            self.tell();
        }
        if leased.work.is_empty() && leased.unreadable.is_empty() {
            return Turn::Idle(leased.next_due);
        }
        crash_points::reach(Point::AfterAttemptRecord);
        let outcomes = self.submit(&leased.work).await;
        crash_points::reach(Point::AfterGatewayAnswer);
        self.record(leased, outcomes).await
    }

    async fn lease(&self, limit: NonZeroU32) -> Result<Leased, StoreError> {
        let now = self.clock.now();
        self.store
            .lease(LeaseRequest {
                account: self.settings.account.clone(),
                limit,
                now,
                must_outlive: self.must_outlive(now),
            })
            .await
    }

    /// A code that expires by then cannot be with the gateway in time.
    fn must_outlive(&self, now: Timestamp) -> Timestamp {
        now.checked_add(self.report.latency_at(now).max(LEAST_LATENCY))
            .unwrap_or(Timestamp::MAX)
    }

    /// Hands over what still has time, in one request; the outcome of each piece of work, `None` for what came too late: a
    /// commit can take long on a slow disk.
    async fn submit(&mut self, work: &[Work]) -> Vec<Option<Outcome>> {
        let now = self.clock.now();
        let must_outlive = self.must_outlive(now);
        // A code with less than the margin left is let go, so that it cannot hold back its batch.
        let start_by = must_outlive
            .checked_add(START_MARGIN)
            .unwrap_or(Timestamp::MAX);
        let in_time = |work: &&Work| work.expire_time > start_by;
        let messages: Vec<Message> = work
            .iter()
            .filter(in_time)
            .map(|work| message(work, now))
            .collect();
        let mut told = Vec::new();
        if !messages.is_empty() {
            self.report.busy_since = Some(now);
            self.report.in_flight = u32::try_from(messages.len()).unwrap_or(u32::MAX);
            self.tell();
            let begin = self.clock.uptime();
            // The code with the least time left decides for its batch; one that is held back so waits or expires alone.
            let start_within = work
                .iter()
                .filter(in_time)
                .map(|work| work.expire_time.duration_since(must_outlive))
                .min()
                .and_then(|left| Duration::try_from(left).ok())
                .unwrap_or_default();
            told = self.settings.gateway.submit(&messages, start_within).await;
            let took = self.clock.uptime().saturating_sub(begin);
            self.observe(took);
            notes::submitted(&self.settings.account, messages.len(), took);
        }
        // An adapter that answered for fewer messages than it was given has told nothing about the others.
        let mut told = told
            .into_iter()
            .chain(std::iter::repeat_with(|| Outcome::Uncertain {
                reason: Reason::known(Reason::GATEWAY_OUTCOME_UNKNOWN),
            }));
        work.iter()
            .map(|work| if in_time(&work) { told.next() } else { None })
            .collect()
    }

    async fn record(&mut self, leased: Leased, outcomes: Vec<Option<Outcome>>) -> Turn {
        let now = self.clock.now();
        let summary = Summary::of(&outcomes);
        // Only a failure spends a step of the back-off.
        let pause = if summary.failed {
            self.pause()
        } else {
            MIN_PAUSE
        };
        let retry_at = now.checked_add(pause).unwrap_or(Timestamp::MAX);
        let settlements: Vec<(DeliveryId, Settlement)> = leased
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
        let unreadable = leased.unreadable.iter().map(|id| {
            let reason = Reason::known(Reason::STORE_UNREADABLE);
            (*id, Settlement::Failed { reason, code: None })
        });
        let settlements = settlements.into_iter().chain(unreadable).collect();
        let closing = summary.credentials_rejected.then(|| LaneClosing {
            account: self.settings.account.clone(),
            credentials: self.settings.credentials,
        });
        self.settle_until_kept(leased.token, settlements, closing)
            .await;
        if summary.credentials_rejected {
            tracing::error!(account = %self.settings.account, "{REJECTED}");
        }
        self.report.last_failure = summary.failure;
        if summary.answered {
            self.report.last_success = Some(now);
        }
        self.tell();
        if summary.failed {
            Turn::Failed(pause)
        } else {
            Turn::Answered
        }
    }

    /// What is known must reach the disk: without it a restart would have to call it `UNCERTAIN`. Also while the service
    /// stops; its grace time ends this then.
    async fn settle_until_kept(
        &self,
        token: AttemptToken,
        settlements: Vec<(DeliveryId, Settlement)>,
        closing: Option<LaneClosing>,
    ) {
        for pause in pauses() {
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

    async fn wait_for_work(&self, until: Option<Timestamp>, stop: &CancellationToken) {
        let due = async {
            match until {
                Some(until) => {
                    let left = until.duration_since(self.clock.now());
                    self.clock
                        .sleep(Duration::try_from(left).unwrap_or_default())
                        .await;
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.bell.rung() => {}
            () = due => {}
        }
    }

    async fn wait_for_store(&self, pause: Duration, stop: &CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.bell.rung() => {}
            () = self.clock.sleep(pause) => {}
        }
    }

    async fn sleep(&self, pause: Duration, stop: &CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.clock.sleep(pause) => {}
        }
    }

    /// The expected latency follows a slower gateway at once and a faster one slowly, because a code that comes late is worse
    /// than one that is refused.
    fn observe(&mut self, took: Duration) {
        let now = self.clock.now();
        let expected = self.report.latency_at(now);
        self.report.latency = took.max((expected * 7 + took) / 8);
        self.report.measured_at = Some(now);
        self.report.busy_since = None;
        self.report.in_flight = 0;
    }

    fn tell(&self) {
        self.store
            .lanes()
            .publish(&self.settings.account, self.report.clone());
    }

    fn pause(&mut self) -> Duration {
        // The back-off has no last step.
        self.pauses.next().unwrap_or(MAX_PAUSE)
    }
}

/// What the outcomes of one request say about the gateway.
struct Summary {
    /// Nothing was answered: the gateway could not be reached, was busy, or broke off.
    failed: bool,
    /// The gateway answered.
    answered: bool,
    failure: Option<Reason>,
    credentials_rejected: bool,
}

impl Summary {
    fn of(outcomes: &[Option<Outcome>]) -> Self {
        let failures: Vec<&Reason> = outcomes.iter().flatten().filter_map(failure).collect();
        let submitted = outcomes.iter().flatten().count();
        let failed = submitted > 0 && failures.len() == submitted;
        Self {
            failed,
            answered: submitted > 0 && !failed,
            failure: failures
                .first()
                .filter(|_| failed)
                .map(|&reason| reason.clone()),
            credentials_rejected: outcomes.iter().flatten().any(|outcome| {
                matches!(
                    outcome,
                    Outcome::Rejected {
                        verdict: Verdict::Credentials,
                        ..
                    }
                )
            }),
        }
    }
}

fn failure(outcome: &Outcome) -> Option<&Reason> {
    match outcome {
        Outcome::NotSent { reason, .. } | Outcome::Uncertain { reason } => Some(reason),
        Outcome::Accepted(_) | Outcome::Rejected { .. } => None,
    }
}

fn message(work: &Work, now: Timestamp) -> Message {
    Message {
        delivery: work.id,
        recipient: work.recipient.clone(),
        text: work.text.clone(),
        sender: work.sender.clone(),
        valid_for: Duration::try_from(work.expire_time.duration_since(now)).unwrap_or_default(),
    }
}

const REJECTED: &str = "dispatch: the gateway rejects the account's credentials; they will not be presented again: put the \
     right ones in its password file and restart, or resume the account; until then its callers are told \
     ACCOUNT_CREDENTIALS_REJECTED";

/// Least time that a batch gets for a connection to stand.
const START_MARGIN: Duration = Duration::from_millis(250);

/// Expected of a gateway that has not been measured since the start, or that answers at once: on a busy machine a message
/// needs time to leave it, and a code with less than this left helps nobody.
const LEAST_LATENCY: Duration = Duration::from_millis(500);

const MIN_PAUSE: Duration = Duration::from_millis(200);
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// Doubles from a fifth of a second to ten, each with jitter, so that accounts of one sick gateway do not come back at once.
fn pauses() -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(MIN_PAUSE)
        .with_max_delay(MAX_PAUSE)
        .with_jitter()
        .without_max_times()
        .build()
}
