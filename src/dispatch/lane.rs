//! One lane: takes what is due, hands it over, again; resting when its gateway fails too often.
//!
//! Must not know: what a request looks like, what follows from an outcome (`turn`, `settle`).

mod breaker;
mod closing;

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use backon::ExponentialBackoff;
use jiff::Timestamp;
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{
    lawful::{LawfulOn, Neighbour},
    notes,
    settle::{OnUncertain, Rules},
    turn::{Assignment, Core, Ended, Summary, pauses},
};
use crate::{
    clock::Clock,
    domain::AccountId,
    gateway::{AccessNow, Permit, Trial},
    store::{LaneBell, LaneReport, LeaseRequest, Leased, Store, StoreError, Which},
};

/// What a lane needs to know of its account.
#[derive(Debug, Clone)]
pub struct LaneSettings {
    /// Whose lane.
    pub account: AccountId,
    /// The platform behind it, and the credentials that it is asked with.
    pub access: AccessNow,
    /// Most messages in one request (`accounts.limits.max_batch`); the gateway's own limit also holds.
    pub max_batch: NonZeroU32,
    /// Most requests at one time (`accounts.max_in_flight`); one until the gateway has accepted the credentials, so that wrong
    /// ones are presented once.
    pub max_in_flight: NonZeroU32,
    /// What to do when nobody can say whether a message was sent.
    pub on_uncertain: OnUncertain,
    /// How long a report may follow; `None` where the gateway sends none.
    pub report_window: Option<Duration>,
    /// Longest wait for a connection to stand (`accounts.connect_timeout_ms`): a message's validity is told as of then.
    pub connect_timeout: Duration,
    /// After so many failed requests in a row the lane rests and then tries one message
    /// (`accounts.limits.failures_before_rest`).
    pub failures_before_rest: NonZeroU32,
    /// Longest rest (`accounts.limits.max_rest_seconds`).
    pub max_rest: Duration,
    /// What the account may send.
    pub lawful: LawfulOn,
    /// The other accounts of the administration, in its order: they may take over what was not sent here.
    pub neighbours: Vec<Neighbour>,
}

/// What wakes a waiting lane besides the end of a request, the stop, and the time.
#[derive(Clone, Copy)]
struct Wakes {
    /// New work.
    bell: bool,
    /// Another lane that has become well or unwell.
    others: bool,
}

impl Wakes {
    /// Of a lane that begins nothing now, whatever comes.
    const TURNS: Self = Self {
        bell: false,
        others: true,
    };
}

/// What a step of the lane came to.
enum Step {
    /// A request began; there may be more to do.
    Begun,
    /// A request ended.
    Ended(Summary),
    /// Something else happened: look again.
    Waited,
}

pub(super) struct Lane {
    core: Arc<Core>,
    bell: LaneBell,
    /// Rings when another lane has become well or unwell.
    others: watch::Receiver<()>,
    pauses: ExponentialBackoff,
    /// What the next failure costs.
    next_pause: Duration,
    report: LaneReport,
    per_request: NonZeroU32,
    under_way: JoinSet<Ended>,
    /// Begin and messages of each request under way, oldest first.
    begun: Vec<(tokio::task::Id, Timestamp, u32)>,
    /// Brings other credentials.
    access: AccessNow,
}

impl Lane {
    pub(super) fn new(
        settings: LaneSettings,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let mut access_now = settings.access.clone();
        let access = access_now.renewed().unwrap_or_else(|| access_now.get());
        let per_request = settings.max_batch.min(access.gateway.batch_limit());
        Self {
            bell: store.changes().lane(&settings.account),
            others: store.lanes().turns(),
            pauses: pauses(settings.max_rest),
            next_pause: Duration::ZERO,
            report: LaneReport::new(per_request),
            per_request,
            under_way: JoinSet::new(),
            begun: Vec::new(),
            access: access_now,
            core: Arc::new(Core {
                rules: Rules {
                    on_uncertain: settings.on_uncertain,
                    report_window: settings.report_window,
                    has_neighbours: !settings.neighbours.is_empty(),
                },
                access,
                settings,
                store,
                clock,
            }),
        }
    }

    /// Runs until told to stop; what is under way then is finished and recorded first.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        self.calm_down();
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
        self.finish().await;
    }

    /// Works with full batches until the gateway has failed too often in a row (the breaker is closed).
    async fn flow(&mut self, stop: &CancellationToken) {
        let mut failures = 0;
        while !stop.is_cancelled() {
            let Step::Ended(ended) = self
                .step(self.per_request, self.places(), false, stop)
                .await
            else {
                continue;
            };
            if ended.failed {
                let now = self.core.clock.now();
                self.report.share = self.report.share.after_failure(now);
                self.tell();
                let pause = self.pause();
                failures += 1;
                if failures >= self.core.settings.failures_before_rest.get() {
                    return;
                }
                self.sleep(pause, stop).await;
            } else if ended.answered {
                failures = 0;
                self.calm_down();
            }
        }
    }

    /// Requests that may be under way together.
    fn places(&self) -> NonZeroU32 {
        if self.core.access.presenting.is_proven() {
            self.core.settings.max_in_flight
        } else {
            NonZeroU32::MIN
        }
    }

    /// Whether a request may present the credentials, and how; nothing while another is trying them.
    fn leave_to_present(&self) -> Option<(Permit, Option<Trial>)> {
        let presenting = &self.core.access.presenting;
        let trial = if presenting.is_proven() {
            None
        } else {
            Some(presenting.try_trial()?)
        };
        Some((presenting.permit()?, trial))
    }

    /// Begins requests where there is a place and something is due, or waits for whatever comes first. One that is to try the
    /// gateway asks for a code where none waits, and waits for it no longer than [`breaker::AGAIN`].
    async fn step(
        &mut self,
        per_request: NonZeroU32,
        places: NonZeroU32,
        is_trial: bool,
        stop: &CancellationToken,
    ) -> Step {
        self.renew(stop).await;
        let free = (places.get() as usize).saturating_sub(self.under_way.len());
        let free = u32::try_from(free).ok().and_then(NonZeroU32::new);
        let (Some(free), Some(leave)) = (free, self.leave_to_present()) else {
            return self.wait_for_a_place(stop).await;
        };
        // How long nothing is due, where that is known.
        let mut left = match self.take(per_request.saturating_mul(free)).await {
            Ok(leased) if leased.work.is_empty() && leased.unreadable.is_empty() => {
                if leased.closed.is_some() {
                    self.hand_over(Which::AllThatWait).await;
                    self.hand_over_again()
                } else {
                    let now = self.core.clock.now();
                    let until = |due: Timestamp| Duration::try_from(due.duration_since(now));
                    leased.next_due.map(|due| until(due).unwrap_or_default())
                }
            }
            Ok(leased) => {
                self.begin(leased, leave, per_request);
                return Step::Begun;
            }
            Err(error) => {
                tracing::error!(account = %self.core.settings.account, %error, "dispatch: no work can be taken; it is tried again");
                Some(self.pause())
            }
        };
        // Others may try the credentials meanwhile.
        drop(leave);
        // Only now: what waited was taken.
        if is_trial {
            self.ask_for_a_probe(true);
            left = Some(left.map_or(breaker::AGAIN, |left| left.min(breaker::AGAIN)));
        }
        let wakes = Wakes {
            bell: true,
            others: self.report.closed.is_some(),
        };
        let came = self.wait(left, wakes, stop).await;
        self.ask_for_a_probe(false);
        came
    }

    /// Waits while every place is taken, or nobody may present the credentials. Requests may hang for long, so it is looked
    /// whether the account has been closed meanwhile: what waits then goes to the others, and who asks is told.
    async fn wait_for_a_place(&mut self, stop: &CancellationToken) -> Step {
        let is_closed = self.report.closed.is_some();
        if is_closed {
            self.hand_over(Which::AllThatWait).await;
        }
        let wakes = Wakes {
            bell: false,
            others: is_closed,
        };
        let came = self.wait(Some(breaker::AGAIN), wakes, stop).await;
        if matches!(came, Step::Waited) {
            self.look_whether_closed().await;
        }
        came
    }

    /// Waits for the end of a request, or for whatever else comes first.
    async fn wait(
        &mut self,
        left: Option<Duration>,
        wakes: Wakes,
        stop: &CancellationToken,
    ) -> Step {
        let clock = Arc::clone(&self.core.clock);
        let presenting = Arc::clone(&self.core.access.presenting);
        let due = async {
            match left {
                Some(left) => clock.sleep(left).await,
                None => std::future::pending().await,
            }
        };
        let ended = tokio::select! {
            Some(ended) = self.under_way.join_next_with_id() => ended,
            () = stop.cancelled() => return Step::Waited,
            () = self.bell.rung(), if wakes.bell => return Step::Waited,
            _ = self.others.changed(), if wakes.others => return Step::Waited,
            () = presenting.trial_ended() => return Step::Waited,
            () = self.access.news() => return Step::Waited,
            () = due => return Step::Waited,
        };
        Step::Ended(self.end(ended).await)
    }

    async fn take(&mut self, limit: NonZeroU32) -> Result<Leased, StoreError> {
        let now = self.core.clock.now();
        let leased = self
            .core
            .store
            .lease(LeaseRequest {
                account: self.core.settings.account.clone(),
                limit,
                now,
                must_outlive: Core::must_outlive(now, self.report.latency_at(now)),
                lawful: self.core.settings.lawful.at(now),
                neighbours: self.core.neighbours(now),
                report_deadline: self.core.rules.report_deadline(now),
            })
            .await?;
        notes::unlawful(&self.core.settings.account, leased.unlawful);
        self.hear_of_closure(leased.closed).await;
        Ok(leased)
    }

    /// Begins a request for each full batch.
    fn begin(
        &mut self,
        leased: Leased,
        (permit, mut trial): (Permit, Option<Trial>),
        per_request: NonZeroU32,
    ) {
        let now = self.core.clock.now();
        let latency = self.report.latency_at(now);
        let mut unreadable = leased.unreadable;
        let mut work = leased.work.into_iter().peekable();
        while work.peek().is_some() || !unreadable.is_empty() {
            let batch: Vec<_> = work.by_ref().take(per_request.get() as usize).collect();
            let messages = u32::try_from(batch.len()).unwrap_or(u32::MAX);
            let task = self
                .under_way
                .spawn(Arc::clone(&self.core).turn(Assignment {
                    token: leased.token,
                    permit: permit.clone(),
                    trial: trial.take(),
                    work: batch,
                    unreadable: std::mem::take(&mut unreadable),
                    latency,
                    pause: self.next_pause,
                }));
            self.begun.push((task.id(), now, messages));
        }
        // Whoever sees the request under way sees that no message is looked for any more.
        self.report.probing = false;
        self.count();
        self.tell();
    }

    /// Takes note of a request that has ended.
    async fn end(
        &mut self,
        ended: Result<(tokio::task::Id, Ended), tokio::task::JoinError>,
    ) -> Summary {
        let (task, ended) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                tracing::error!(account = %self.core.settings.account, %error, "dispatch: a request came to no end; its deliveries are settled at the next start: please report this");
                let summary = Summary::of_lost_task();
                (
                    error.id(),
                    Ended {
                        took: None,
                        summary,
                    },
                )
            }
        };
        let Ended { took, summary } = ended;
        self.begun.retain(|(begun, ..)| *begun != task);
        self.count();
        if let Some(took) = took {
            self.observe(took);
        }
        let now = self.core.clock.now();
        self.report.last_failure.clone_from(&summary.failure);
        if summary.answered {
            self.report.last_success = Some(now);
        }
        if let Some(cause) = summary.closing {
            self.closed_by(cause).await;
        }
        let Core {
            access,
            settings,
            store,
            ..
        } = &*self.core;
        let last_said = || access.gateway.credit();
        store.lanes().hear_credit(&settings.account, last_said);
        self.tell();
        if summary.closing.is_some() {
            self.hand_over(Which::AllThatWait).await;
        } else if summary.not_sent {
            self.hand_over(Which::WhatWasTried).await;
        }
        summary
    }

    /// Waits for what is under way.
    async fn finish(&mut self) {
        while let Some(ended) = self.under_way.join_next_with_id().await {
            self.end(ended).await;
        }
    }

    async fn sleep(&self, pause: Duration, stop: &CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.core.clock.sleep(pause) => {}
        }
    }

    /// The expected latency follows a slower gateway at once and a faster one slowly, because a code that comes late is worse
    /// than one that is refused.
    fn observe(&mut self, took: Duration) {
        let now = self.core.clock.now();
        let expected = self.report.latency_at(now);
        self.report.latency = took.max((expected * 7 + took) / 8);
        self.report.measured_at = Some(now);
    }

    /// Tells of what is under way.
    fn count(&mut self) {
        self.report.in_flight = self.begun.iter().map(|(.., messages)| messages).sum();
        let is_full = self.begun.len() >= self.places().get() as usize;
        let first = self.begun.iter().map(|(_, begin, _)| *begin).min();
        self.report.busy_since = first.filter(|_| is_full);
        self.report.batch = self.per_request.saturating_mul(self.places());
    }

    fn tell(&self) {
        self.core
            .store
            .lanes()
            .publish(&self.core.settings.account, self.report.clone());
    }

    /// The pause that a failure costs; the next one costs more.
    fn pause(&mut self) -> Duration {
        // The back-off has no last step.
        let next = self.pauses.next().unwrap_or(self.core.settings.max_rest);
        std::mem::replace(&mut self.next_pause, next)
    }

    /// Begins the back-off anew.
    fn calm_down(&mut self) {
        self.pauses = pauses(self.core.settings.max_rest);
        self.pause();
    }
}
