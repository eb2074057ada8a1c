//! One account's way to its platform: how many requests at a time, never with credentials that were refused, never the same
//! question over and over.
//!
//! Must not know: what is asked.

use std::{
    collections::HashMap,
    future::Future,
    hash::{DefaultHasher, Hash, Hasher as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{CertifiedAccount, Refusal};
use crate::{
    clock::Clock,
    domain::{AccountId, certified::MessageGroup},
    gateway::{
        Access, AccessNow,
        certified::{CertifiedFailure, CertifiedGateway, RefusalKind},
    },
    store::{CertifiedStore, ClosingCause, LaneClosing, LaneClosure},
    telemetry::names,
};

/// What may not be asked over and over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Question {
    Report(MessageGroup),
    Files,
    Balance,
    /// What the platform refused: the function, and a hash of all that was asked of it.
    Refused(&'static str, u64),
}

impl Question {
    /// What a function is asked. Only its hash is kept: it may hold a number or a document.
    pub(super) fn of(function: &'static str, asked: &impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        asked.hash(&mut hasher);
        Self::Refused(function, hasher.finish())
    }
}

/// Most questions that are remembered; the oldest are forgotten first. No key: it bounds memory alone, and whoever asks so much in
/// so short a time has been told so by the platform each time.
const QUESTIONS: usize = 1024;

/// The way to one account's platform.
#[derive(Debug)]
pub(super) struct AccountDesk {
    pub(super) account: AccountId,
    places: Arc<Semaphore>,
    access: AccessNow,
    /// When each question was last asked, or refused, in uptime.
    asked: Mutex<Asked>,
}

type Asked = HashMap<Question, Duration>;

impl AccountDesk {
    pub(super) fn new(account: CertifiedAccount, places: usize) -> Self {
        let CertifiedAccount { account, access } = account;
        Self {
            account,
            places: Arc::new(Semaphore::new(places)),
            access,
            asked: Mutex::default(),
        }
    }

    /// What a request that begins now is made with.
    pub(super) fn access(&self) -> Arc<Access> {
        self.access.get()
    }

    /// A place for one request, or a refusal at once.
    pub(super) fn place(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| Refusal::TooManyCalls("certified.max_in_flight"))
    }

    /// Notes that a question is asked, unless it was a moment ago.
    pub(super) fn note(
        &self,
        question: Question,
        now: Duration,
        again_after: Duration,
    ) -> Result<(), Refusal> {
        let mut asked = self.asked();
        may_ask(&asked, question, now, again_after)?;
        remember(&mut asked, question, now, again_after);
        Ok(())
    }

    /// Refuses what the platform refused a moment ago.
    pub(super) fn look(
        &self,
        question: Question,
        now: Duration,
        again_after: Duration,
    ) -> Result<(), Refusal> {
        may_ask(&self.asked(), question, now, again_after)
    }

    /// Notes that the platform has refused something; what it does may be asked again at once.
    pub(super) fn note_refused(&self, question: Question, now: Duration, again_after: Duration) {
        remember(&mut self.asked(), question, now, again_after);
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes one request with an access. Where the platform has refused the account's credentials it is not asked; and while
    /// nothing is known of them, one request at a time tries them.
    pub(super) async fn ask<T>(
        &self,
        access: &Access,
        (store, clock): (&dyn CertifiedStore, &dyn Clock),
        function: &'static str,
        request: impl Future<Output = Result<T, CertifiedFailure>>,
    ) -> Result<Result<T, CertifiedFailure>, Refusal> {
        let presenting = &access.presenting;
        let trial = presenting.trial_unless_proven().await;
        let rejected = || Refusal::LaneClosed(LaneClosure::CredentialsRejected);
        let permit = presenting.permit().ok_or_else(rejected)?;
        let closure = store.closure_of(self.account.clone()).await?;
        if closure == Some(LaneClosure::CredentialsRejected) {
            return Err(rejected());
        }
        let told = request.await;
        // The account's health tells it, whatever was asked.
        let last_said = || access.gateway.credit();
        store.lanes().hear_credit(&self.account, last_said);
        let outcome = match &told {
            Ok(_) => "done",
            Err(CertifiedFailure::Refused(_)) => "refused",
            Err(CertifiedFailure::NotDone(_)) => "not_done",
            Err(CertifiedFailure::Uncertain(_)) => "uncertain",
            Err(CertifiedFailure::TooLarge) => "too_large",
        };
        metrics::counter!(names::CERTIFIED_CALLS, "account" => self.account.to_string(), "function" => function, "outcome" => outcome)
            .increment(1);
        match self.closing(&told, access) {
            Some(closing) => {
                let (cause, rejection) = match closing.cause {
                    ClosingCause::Credentials(_) => {
                        ("credentials rejected", Some(presenting.reject()))
                    }
                    ClosingCause::NoCredit => ("no credit", None),
                };
                tracing::error!(account = %self.account, cause, "certified: the platform turns the account away; its lane is closed");
                // On the disk before the next one tries.
                if let Err(error) = store.close_lane(closing, clock.now()).await {
                    tracing::error!(account = %self.account, %error, "certified: the closing of a lane was not kept");
                }
                // Kept or not: codes must not stand still because of a disk that was full for a moment.
                if let Some(rejection) = rejection {
                    rejection.recorded();
                }
            }
            None if matches!(told, Ok(_) | Err(CertifiedFailure::Refused(_))) => {
                presenting.prove(&permit);
            }
            None => {}
        }
        drop(trial);
        Ok(told)
    }

    /// How the account's lane closes, where that follows from an answer.
    fn closing<T>(
        &self,
        told: &Result<T, CertifiedFailure>,
        access: &Access,
    ) -> Option<LaneClosing> {
        let Err(CertifiedFailure::Refused(refused)) = told else {
            return None;
        };
        let cause = match refused.kind {
            // The account has other credentials by now, of which this says nothing.
            RefusalKind::Credentials if access.presenting.is_retired() => return None,
            RefusalKind::Credentials => ClosingCause::Credentials(access.credentials),
            RefusalKind::NoCredit => ClosingCause::NoCredit,
            RefusalKind::Invalid
            | RefusalKind::Absent
            | RefusalKind::State
            | RefusalKind::Trouble => return None,
        };
        Some(LaneClosing {
            account: self.account.clone(),
            cause,
        })
    }
}

/// Accounts whose platform has no such functions have no desk.
pub(super) fn platform(access: &Access) -> Result<&dyn CertifiedGateway, Refusal> {
    access.gateway.certified().ok_or(Refusal::NoAccount)
}

fn may_ask(
    asked: &Asked,
    question: Question,
    now: Duration,
    again_after: Duration,
) -> Result<(), Refusal> {
    let Some(last) = asked.get(&question) else {
        return Ok(());
    };
    let wait = again_after.saturating_sub(now.saturating_sub(*last));
    if wait.is_zero() {
        Ok(())
    } else {
        Err(Refusal::AskedTooSoon { wait })
    }
}

fn remember(asked: &mut Asked, question: Question, now: Duration, again_after: Duration) {
    asked.retain(|_, last| now.saturating_sub(*last) < again_after);
    if asked.len() >= QUESTIONS
        && let Some(oldest) = asked
            .iter()
            .min_by_key(|(_, last)| **last)
            .map(|(key, _)| *key)
    {
        asked.remove(&oldest);
    }
    asked.insert(question, now);
}

/// What a failure is to a caller.
pub(super) fn refusal(failure: CertifiedFailure) -> Refusal {
    match failure {
        CertifiedFailure::Refused(refused) => Refusal::Platform(refused),
        CertifiedFailure::NotDone(reason) => Refusal::NotDone(reason),
        CertifiedFailure::Uncertain(reason) => Refusal::Unclear(reason),
        CertifiedFailure::TooLarge => Refusal::TooLarge,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{CredentialsVersion, certified::MessageGroup},
        gateway::Gateway,
    };

    #[test]
    fn the_same_is_asked_again_only_when_its_time_has_come() {
        #[derive(Debug)]
        struct Nobody;
        #[async_trait::async_trait]
        impl Gateway for Nobody {
            fn batch_limit(&self) -> std::num::NonZeroU32 {
                std::num::NonZeroU32::MIN
            }
            async fn submit(
                &self,
                _: &[crate::gateway::Message],
                _: &crate::gateway::Start,
            ) -> Vec<crate::gateway::Outcome> {
                Vec::new()
            }
        }
        let desk = AccountDesk::new(
            CertifiedAccount {
                account: AccountId::parse("a").unwrap(),
                access: AccessNow::fixed(Access::new(
                    Arc::new(Nobody),
                    CredentialsVersion::from_bytes([0; 16]),
                )),
            },
            1,
        );
        let again_after = Duration::from_secs(10);
        let at = |seconds| Duration::from_secs(seconds);
        let report = Question::Report(MessageGroup::new(7).unwrap());
        assert!(desk.note(report, at(0), again_after).is_ok());
        let refused = desk.note(report, at(4), again_after);
        assert!(matches!(refused, Err(Refusal::AskedTooSoon { wait }) if wait == at(6)));
        assert!(desk.note(Question::Balance, at(4), again_after).is_ok());
        assert!(desk.note(report, at(10), again_after).is_ok());
        // What was refused waits, and nothing else of that function.
        let gone = Question::of("delete_file", &"gone.pdf");
        assert!(desk.look(gone, at(10), again_after).is_ok());
        assert!(desk.look(gone, at(10), again_after).is_ok());
        desk.note_refused(gone, at(10), again_after);
        let refused = desk.look(gone, at(13), again_after);
        assert!(matches!(refused, Err(Refusal::AskedTooSoon { wait }) if wait == at(7)));
        let others = [
            Question::of("delete_file", &"else.pdf"),
            Question::of("upload", &"gone.pdf"),
        ];
        for other in others {
            assert!(desk.look(other, at(13), again_after).is_ok());
        }
        assert!(desk.look(gone, at(20), again_after).is_ok());
        let place = desk.place().unwrap();
        assert!(matches!(desk.place(), Err(Refusal::TooManyCalls(_))));
        drop(place);
        assert!(desk.place().is_ok());
        for number in 1..3000 {
            let report = Question::Report(MessageGroup::new(number + 10).unwrap());
            desk.note(report, at(20), again_after).unwrap();
        }
        assert!(desk.asked.lock().unwrap().len() <= QUESTIONS);
    }
}
