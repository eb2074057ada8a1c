//! What becomes of a request that was let in: read by the adapter, kept by the store, answered when it is on the disk.
//!
//! Must not know: HTTP, who may come in.

use std::{num::NonZeroU32, sync::Arc};

use super::ReportingAccount;
use crate::{
    clock::Clock,
    domain::{AccountId, DeliveryState, Report},
    gateway::{Callback, CallbackAnswer, CallbackRequest},
    store::{Applied, NewReport, ReportEffect, Store, StoreError},
    telemetry::names,
};

pub(super) struct Desk {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) early_limit: NonZeroU32,
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
        match callback {
            Callback::Report(report) => match self.apply(&account.account, report).await {
                Ok(()) => {}
                Err(error) => {
                    tracing::error!(account = %account.account, %error, "reports: a report could not be kept; the platform is asked to send it again");
                    count(&account.account, "not_kept");
                    return Some(again_later());
                }
            },
            Callback::Dropped(what) => count(&account.account, what),
            Callback::Malformed(why) => {
                metrics::counter!(names::CALLBACKS_REFUSED, "account" => account.account.to_string(), "problem" => why)
                    .increment(1);
                tracing::warn!(account = %account.account, problem = why, "reports: a request was not understood; if the platform has changed its form, tell the developers");
            }
        }
        Some(answer)
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
        count(account, effect.as_str());
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

fn count(account: &AccountId, effect: &'static str) {
    metrics::counter!(names::REPORTS, "account" => account.to_string(), "effect" => effect)
        .increment(1);
}

fn again_later() -> CallbackAnswer {
    CallbackAnswer {
        status: 503,
        content_type: "text/plain",
        body: b"try again\n".to_vec(),
    }
}
