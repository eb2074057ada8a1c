//! What callbacks of an account need besides: an address that was looked at, and messages that wait for their time.
//!
//! Must not know: what a callback says.

use std::sync::Arc;

use axum::http::Method;
use jiff::Timestamp;

use super::{
    Reporter,
    call::{self, Target},
    letter,
    record::ReportAnswer,
};
use crate::simulator::{
    record::{Protocol, ReceivedMessage},
    wishes::ReportUrl,
};

impl Reporter {
    /// Looks at an address by HEAD and by GET before its first callback; tells the answer that was not a 200.
    pub(super) async fn look_at(
        &self,
        message: &ReceivedMessage,
        url: &ReportUrl,
        target: Target,
    ) -> Option<ReportAnswer> {
        if message.protocol != Protocol::Mensatek {
            return None;
        }
        // Two messages must not look at the same time.
        let _alone = self.looking.lock().await;
        if self.books.is_checked(&message.login, url.expose()) {
            return None;
        }
        for method in [Method::HEAD, Method::GET] {
            let request = letter::look(method, url);
            let answer = call::call(target, request, |_, _| None).await;
            if answer.status() != Some(200) {
                return Some(answer);
            }
        }
        self.books.mark_checked(&message.login, url.expose());
        None
    }

    /// Lets the messages go whose time has come.
    pub fn release_due(&self) {
        for (message, steps, policy) in self.books.take_due(self.clock.now()) {
            self.follow(message, steps, policy);
        }
    }

    /// Looks for messages to let go when this time has come. Where too much waits already, they go with the next call.
    pub fn wake_at(&self, time: Timestamp) {
        let Ok(place) = Arc::clone(&self.pending).try_acquire_owned() else {
            return;
        };
        let reporter = self.clone();
        let waiting = async move {
            let stopping = reporter.stopping.clone();
            tokio::select! {
                biased;
                () = stopping.cancelled() => {}
                () = reporter.sleep_until(time) => {}
            }
            drop(place);
            if !stopping.is_cancelled() {
                reporter.release_due();
            }
        };
        self.under_way.spawn_on(waiting, &self.runtime);
    }

    async fn sleep_until(&self, time: Timestamp) {
        while let Ok(rest) = std::time::Duration::try_from(time.duration_since(self.clock.now())) {
            if rest.is_zero() {
                break;
            }
            self.clock.sleep(rest).await;
        }
    }
}
