//! The lane whose gateway failed too often: it rests, tries one message, and gives what waits to those who can send it.
//!
//! Must not know: what follows from an outcome (`turn`, `settle`).

use std::{num::NonZeroU32, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{Lane, Step, Wakes};
use crate::{
    dispatch::{notes, turn::Core},
    store::{HandOver, Share, Which},
};

/// How often a lane that cannot send asks whether the others have places for what it still holds, and for a message to try its
/// gateway with.
pub(super) const AGAIN: Duration = Duration::from_secs(1);

impl Lane {
    /// Begins nothing for a while (the breaker is open). What waits goes to another account where one may take it, or is ended
    /// by the sweep when its time runs out. What was under way when the rest began may still hang: nobody waits for it but the
    /// probe, which is to be the only request.
    pub(super) async fn rest(&mut self, stop: &CancellationToken) {
        let pause = self.pause();
        self.report.rests_until = self.core.clock.now().checked_add(pause).ok();
        self.report.share = Share::resting();
        self.tell();
        tracing::warn!(
            account = %self.core.settings.account,
            seconds = pause.as_secs_f64(),
            "dispatch: the gateway failed too often in a row; the lane rests, then tries one message: look at the platform and the way to it"
        );
        notes::rests(&self.core.settings.account);
        let end = self.core.clock.uptime().saturating_add(pause);
        while !stop.is_cancelled() {
            let left = end.saturating_sub(self.core.clock.uptime());
            if left.is_zero() && self.under_way.is_empty() {
                break;
            }
            self.look_whether_closed().await;
            self.hand_over(Which::AllThatWait).await;
            let left = Some(left).filter(|left| !left.is_zero());
            let soonest = left.unwrap_or(AGAIN).min(AGAIN);
            self.wait(Some(soonest), Wakes::TURNS, stop).await;
        }
        self.report.rests_until = None;
        self.tell();
    }

    /// Tries one message (the breaker is half open); true when the gateway answered. While the message is on its way, others
    /// that come are given to those who can send them, as during the rest.
    pub(super) async fn probe(&mut self, stop: &CancellationToken) -> bool {
        while !stop.is_cancelled() {
            let came = if self.under_way.is_empty() {
                // What waits is taken; else the next new one is asked for, anew each time: the last one may have been refused.
                self.step(NonZeroU32::MIN, NonZeroU32::MIN, true, stop)
                    .await
            } else {
                self.hand_over(Which::AllThatWait).await;
                self.wait(self.hand_over_again(), Wakes::TURNS, stop).await
            };
            match came {
                Step::Ended(ended) if ended.answered => {
                    tracing::info!(account = %self.core.settings.account, "dispatch: the gateway answers again");
                    self.calm_down();
                    self.report.share = Share::returning(self.core.clock.now());
                    self.tell();
                    return true;
                }
                Step::Ended(ended) if ended.failed => return false,
                // What came too late was not tried: look for another message.
                Step::Ended(_) | Step::Begun | Step::Waited => {}
            }
        }
        false
    }

    /// Whether a new code is wanted to try the gateway with.
    pub(super) fn ask_for_a_probe(&mut self, probing: bool) {
        if self.report.probing != probing {
            self.report.probing = probing;
            self.tell();
        }
    }

    /// When to ask the others again, where there are any.
    pub(super) fn hand_over_again(&self) -> Option<Duration> {
        (!self.core.settings.neighbours.is_empty()).then_some(AGAIN)
    }

    /// Gives what waits, and cannot go out here now, to another account of the administration that is well.
    ///
    /// To look at all that waits is work for the store, on the thread that writes for every account: so a new code does not cause it,
    /// but time and the news that another account has turned.
    pub(super) async fn hand_over(&self, which: Which) {
        let core = &self.core;
        let now = core.clock.now();
        let to = core.neighbours(now);
        if !to.iter().any(|neighbour| neighbour.is_well) {
            return;
        }
        let request = HandOver {
            from: core.settings.account.clone(),
            to,
            which,
            now,
            must_outlive: Core::must_outlive(now, Duration::ZERO),
        };
        match core.store.hand_over(request).await {
            Ok(0) => {}
            Ok(moved) => notes::handed_over(&core.settings.account, moved),
            Err(error) => {
                tracing::error!(account = %core.settings.account, %error, "dispatch: nothing could be handed over to the administration's other account; it waits here");
            }
        }
    }
}
