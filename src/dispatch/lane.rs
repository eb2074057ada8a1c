//! One lane: lease, submit, settle, again.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::settle::{OnUncertain, Rules};
use crate::{
    clock::Clock,
    domain::{AccountId, AttemptToken, CredentialsVersion, DeliveryId, Reason},
    gateway::{Gateway, Message, Outcome, Verdict},
    store::{LaneBell, LaneClosing, LeaseRequest, Leased, Settlement, Store, StoreError, Work},
    telemetry::names,
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
}

/// What a turn of the lane came to.
enum Turn {
    /// Work was done; there may be more.
    Worked,
    /// Nothing is due before the given moment.
    Idle(Option<Timestamp>),
    /// The gateway is in trouble: try again after this pause.
    Troubled(Duration),
    /// The store is in trouble: try again after this pause, or when it takes work again.
    Unstored(Duration),
    /// The gateway rejects the account's credentials: no more until they are others.
    Closed,
}

pub(super) struct Lane {
    settings: LaneSettings,
    rules: Rules,
    batch: NonZeroU32,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    bell: LaneBell,
    backoff: ExponentialBackoff,
    latency: ExpectedLatency,
}

impl Lane {
    pub(super) fn new(
        settings: LaneSettings,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            rules: Rules {
                on_uncertain: settings.on_uncertain,
                report_window: settings.report_window,
            },
            batch: settings.max_batch.min(settings.gateway.batch_limit()),
            bell: store.changes().lane(&settings.account),
            backoff: backoff(),
            latency: ExpectedLatency::default(),
            settings,
            store,
            clock,
        }
    }

    /// Runs until told to stop; what is under way then is finished and recorded first.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        if !self.may_open(&stop).await {
            return stop.cancelled().await;
        }
        while !stop.is_cancelled() {
            match self.turn().await {
                Turn::Worked => self.backoff = backoff(),
                Turn::Idle(until) => self.wait_for_work(until, &stop).await,
                Turn::Troubled(pause) => {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = self.clock.sleep(pause) => {}
                    }
                }
                Turn::Unstored(pause) => {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = self.bell.rung() => {}
                        () = self.clock.sleep(pause) => {}
                    }
                }
                // What waits here is ended by the sweep when its time runs out.
                Turn::Closed => return stop.cancelled().await,
            }
        }
    }

    /// Whether these credentials have not been rejected before, by this process or one before it.
    async fn may_open(&mut self, stop: &CancellationToken) -> bool {
        loop {
            let account = self.settings.account.clone();
            match self
                .store
                .open_lane(account, self.settings.credentials)
                .await
            {
                Ok(true) => return true,
                Ok(false) => {
                    tracing::error!(account = %self.settings.account, "{REJECTED}");
                    return false;
                }
                Err(error) => {
                    tracing::error!(account = %self.settings.account, %error, "dispatch: the lane cannot open; tried again");
                }
            }
            let pause = self.pause();
            tokio::select! {
                () = stop.cancelled() => return false,
                () = self.clock.sleep(pause) => {}
            }
        }
    }

    /// Takes what is due, hands it over, records what became of it.
    async fn turn(&mut self) -> Turn {
        let leased = match self.lease().await {
            Ok(leased) => leased,
            Err(error) => {
                tracing::error!(account = %self.settings.account, %error, "dispatch: no work can be taken; it is tried again");
                return Turn::Unstored(self.pause());
            }
        };
        if leased.work.is_empty() {
            return Turn::Idle(leased.next_due);
        }
        let outcomes = self.submit(&leased.work).await;
        self.record(leased, outcomes).await
    }

    async fn lease(&self) -> Result<Leased, StoreError> {
        let now = self.clock.now();
        self.store
            .lease(LeaseRequest {
                account: self.settings.account.clone(),
                limit: self.batch,
                now,
                must_outlive: now
                    .checked_add(self.latency.expected())
                    .unwrap_or(Timestamp::MAX),
            })
            .await
    }

    async fn submit(&mut self, work: &[Work]) -> Vec<Outcome> {
        let messages: Vec<Message> = work
            .iter()
            .map(|work| Message {
                delivery: work.id,
                recipient: work.recipient.clone(),
                text: work.text.clone(),
                sender: work.sender.clone(),
            })
            .collect();
        let account = self.settings.account.to_string();
        let begin = self.clock.uptime();
        let outcomes = self.settings.gateway.submit(&messages).await;
        let took = self.clock.uptime().saturating_sub(begin);
        self.latency.observe(took);
        metrics::histogram!(names::GATEWAY_REQUEST_SECONDS, "account" => account.clone())
            .record(took.as_secs_f64());
        metrics::histogram!(names::GATEWAY_BATCH_MESSAGES, "account" => account)
            .record(f64::from(u32::try_from(messages.len()).unwrap_or(u32::MAX)));
        tracing::info!(
            account = %self.settings.account,
            messages = messages.len(),
            milliseconds = took.as_millis(),
            "dispatch: submitted"
        );
        outcomes
    }

    async fn record(&mut self, leased: Leased, outcomes: Vec<Outcome>) -> Turn {
        let now = self.clock.now();
        let nothing_sent = outcomes
            .iter()
            .all(|outcome| matches!(outcome, Outcome::NotSent { .. }));
        let credentials_rejected = outcomes.iter().any(|outcome| {
            matches!(
                outcome,
                Outcome::Rejected {
                    verdict: Verdict::Credentials,
                    ..
                }
            )
        });
        let pause = self.pause();
        let retry_at = now.checked_add(pause).unwrap_or(Timestamp::MAX);
        // An adapter that answered for fewer messages than it was given has told nothing about the others.
        let told = outcomes
            .into_iter()
            .map(Some)
            .chain(std::iter::repeat(None));
        let settlements: Vec<(DeliveryId, Settlement)> = leased
            .work
            .iter()
            .zip(told)
            .map(|(work, outcome)| {
                let outcome = outcome.unwrap_or_else(|| Outcome::Uncertain {
                    reason: Reason::known(Reason::GATEWAY_OUTCOME_UNKNOWN),
                });
                self.note(work, &outcome, now);
                let settlement = self.rules.settle(work, outcome, now, retry_at);
                (work.id, settlement)
            })
            .collect();
        let closing = credentials_rejected.then(|| LaneClosing {
            account: self.settings.account.clone(),
            credentials: self.settings.credentials,
        });
        self.settle_until_kept(leased.token, settlements, closing)
            .await;
        if credentials_rejected {
            tracing::error!(account = %self.settings.account, "{REJECTED}");
            Turn::Closed
        } else if nothing_sent {
            Turn::Troubled(pause)
        } else {
            Turn::Worked
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
        for pause in backoff() {
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

    fn note(&self, work: &Work, outcome: &Outcome, now: Timestamp) {
        let account = self.settings.account.to_string();
        let (name, reason) = match outcome {
            Outcome::Accepted(_) => ("sent", None),
            Outcome::Rejected { reason, .. } => ("rejected", Some(reason)),
            Outcome::NotSent { reason, .. } => ("not_sent", Some(reason)),
            Outcome::Uncertain { reason } => ("uncertain", Some(reason)),
        };
        metrics::counter!(names::ATTEMPTS, "account" => account.clone(), "outcome" => name)
            .increment(1);
        if matches!(outcome, Outcome::Accepted(_)) {
            let waited = now.duration_since(work.create_time).as_secs_f64();
            metrics::histogram!(names::ACCEPT_TO_GATEWAY_SECONDS, "account" => account.clone())
                .record(waited);
            metrics::counter!(names::SEGMENTS, "account" => account)
                .increment(u64::from(work.segments));
        }
        match reason {
            None => tracing::debug!(delivery = %work.id, "dispatch: sent"),
            Some(reason) => {
                tracing::warn!(delivery = %work.id, outcome = name, %reason, "dispatch: not sent for sure");
            }
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

    fn pause(&mut self) -> Duration {
        // The back-off has no last step.
        self.backoff.next().unwrap_or(MAX_PAUSE)
    }
}

const REJECTED: &str = "dispatch: the gateway rejects the account's credentials; they will not be presented again: put the \
     right ones in its password file and restart; until then its callers are told ACCOUNT_CREDENTIALS_REJECTED";

const MIN_PAUSE: Duration = Duration::from_millis(200);
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// Doubles from a fifth of a second to ten, each with jitter, so that accounts of one sick gateway do not come back at once.
fn backoff() -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(MIN_PAUSE)
        .with_max_delay(MAX_PAUSE)
        .with_jitter()
        .without_max_times()
        .build()
}

/// How long the gateway takes for a request: a moving average that follows a slower gateway at once and a faster one
/// slowly, because a code that comes late is worse than one that is refused.
#[derive(Debug, Default)]
struct ExpectedLatency(Duration);

impl ExpectedLatency {
    fn expected(&self) -> Duration {
        self.0
    }

    fn observe(&mut self, took: Duration) {
        self.0 = took.max((self.0 * 7 + took) / 8);
    }
}
