//! What becomes of a request that was let in: read by the adapter, kept by the store, answered when it is on the disk.
//!
//! Must not know: HTTP, who may come in.

use std::{num::NonZeroU32, sync::Arc};

use super::ReportingAccount;
use crate::{
    clock::Clock,
    domain::{
        AccountId, DeliveryState, Report,
        certified::{CertifiedEvent, CertifiedNews},
    },
    gateway::{Callback, CallbackAnswer, CallbackRequest},
    store::{
        Applied, CertifiedEffect, CertifiedStore, NewCertifiedEvent, NewReport, ReportEffect,
        StoreError,
    },
    telemetry::names,
};

pub(super) struct Desk {
    pub(super) store: Arc<dyn CertifiedStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) early_limit: NonZeroU32,
    pub(super) events_per_message: NonZeroU32,
    pub(super) max_per_delivery: NonZeroU32,
}

impl Desk {
    /// `None` where the account's protocol has no such requests.
    pub(super) async fn take(
        &self,
        account: &ReportingAccount,
        request: &CallbackRequest<'_>,
    ) -> Option<CallbackAnswer> {
        let (callback, answer) = account.gateway.read_callback(request)?;
        let account = &account.account;
        let kept = match callback {
            Callback::Report(report) => self.apply(account, report).await,
            Callback::Certified(event, report) => self.certified(account, *event, report).await,
            Callback::Dropped(what) => {
                count(account, what, 1);
                Ok(())
            }
            Callback::Malformed(why) => {
                metrics::counter!(names::CALLBACKS_REFUSED, "account" => account.to_string(), "problem" => why)
                    .increment(1);
                tracing::warn!(%account, problem = why, "reports: a request was not understood; if the platform has changed its form, tell the developers");
                Ok(())
            }
        };
        if let Err(error) = kept {
            tracing::error!(%account, %error, "reports: a report could not be kept; the platform is asked to send it again");
            count(account, "not_kept", 1);
            return Some(again_later());
        }
        Some(answer)
    }

    /// What is told of a certified message; where there is none, and it may be about a code, of that.
    async fn certified(
        &self,
        account: &AccountId,
        event: CertifiedEvent,
        report: Option<Report>,
    ) -> Result<(), StoreError> {
        let kind = match &event.news {
            CertifiedNews::State { .. } => "state",
            CertifiedNews::Attachment(_) => "attachment",
            CertifiedNews::Reply { .. } => "reply",
        };
        let effect = self
            .store
            .apply_certified_event(NewCertifiedEvent {
                account: account.clone(),
                event,
                was_asked: false,
                receive_time: self.clock.now(),
                limit: self.events_per_message,
            })
            .await?;
        if effect == CertifiedEffect::Unknown
            && let Some(report) = report
        {
            return self.apply(account, report).await;
        }
        let told = effect.as_str();
        count(account, told, 1);
        match effect {
            CertifiedEffect::AnotherRecipient | CertifiedEffect::TooMany => {
                tracing::warn!(%account, kind, effect = told, "reports: not believed");
            }
            CertifiedEffect::Kept { .. } | CertifiedEffect::Repeated | CertifiedEffect::Unknown => {
                tracing::info!(%account, kind, effect = told, "reports: something of a certified message came");
            }
        }
        Ok(())
    }

    async fn apply(&self, account: &AccountId, report: Report) -> Result<(), StoreError> {
        let now = self.clock.now();
        let news = report.news.as_str();
        let status = report.status.clone();
        let applied = self
            .store
            .apply_report(NewReport {
                account: account.clone(),
                report,
                receive_time: now,
                early_limit: self.early_limit,
                max_per_delivery: self.max_per_delivery,
            })
            .await?;
        let Applied {
            effect,
            delivery,
            submit_time,
        } = applied;
        count(account, effect.as_str(), 1);
        if let (ReportEffect::Settled(DeliveryState::Delivered), Some(submitted)) =
            (effect, submit_time)
        {
            let took = now.duration_since(submitted).as_secs_f64();
            metrics::histogram!(names::GATEWAY_TO_HANDSET_SECONDS, "account" => account.to_string())
                .record(took.max(0.0));
        }
        let delivery = delivery.map(|delivery| delivery.to_string());
        let status = status.as_str();
        let told = effect.as_str();
        match effect {
            ReportEffect::AnotherRecipient | ReportEffect::TooManyEarly => {
                tracing::warn!(%account, delivery, news, status, effect = told, "reports: not believed");
            }
            // Not louder: a platform that never stops must not fill the log.
            ReportEffect::TooMany => {
                tracing::debug!(%account, delivery, news, status, effect = told, "reports: dropped");
            }
            _ => {
                tracing::info!(%account, delivery, news, status, effect = told, "reports: a report came");
            }
        }
        Ok(())
    }
}

/// Counts so many reports of an account by what they came to.
pub(super) fn count(account: &AccountId, effect: &'static str, reports: u64) {
    metrics::counter!(names::REPORTS, "account" => account.to_string(), "effect" => effect)
        .increment(reports);
}

fn again_later() -> CallbackAnswer {
    CallbackAnswer {
        status: 503,
        content_type: "text/plain",
        body: b"try again\n".to_vec(),
    }
}
