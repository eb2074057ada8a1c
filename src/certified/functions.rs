//! The other functions of the platform: on a message that was sent, on the account's library, on its credit.

use std::{hash::Hash, sync::Arc};

use bytes::Bytes;
use futures_util::StreamExt as _;
use jiff::civil::Date;
use tokio::sync::OwnedSemaphorePermit;

use super::{
    Certified, Refusal, Shared, Whose,
    desk::{AccountDesk, Question, platform, refusal},
};
use crate::{
    domain::{
        AccountId, Caller, Reason,
        certified::{
            CertifiedEvent, CertifiedId, CertifiedMessage, CertifiedMessageState, CertifiedNews,
            LibraryFileName, MessageGroup, SendTime,
        },
    },
    gateway::{
        Access,
        certified::{
            CertificateStream, CertifiedFailure, LibraryFile, LibraryUpload, RecipientState,
            WantedCertificates,
        },
    },
    store::NewCertifiedEvent,
    telemetry::names,
};

/// A message that was withdrawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Cancelled {
    /// As it is now.
    pub message: CertifiedMessage,
    /// Recipients that get nothing, by the platform's count.
    pub recipients: u64,
    /// Credits that came back.
    pub credits_back: Option<f64>,
}

/// A message that was moved.
#[derive(Debug, Clone, PartialEq)]
pub struct Moved {
    /// As it is now.
    pub message: CertifiedMessage,
    /// Messages that were moved, by the platform's count.
    pub messages: u64,
}

/// Which certificates a caller wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WantedOf {
    /// Of one message; of one of its recipients, by their place, or of all.
    Message(CertifiedId, Option<u32>),
    /// Of all that an account sent in some days, both included.
    Period {
        /// Whose.
        whose: Whose,
        /// First day.
        first: Date,
        /// Last day.
        last: Date,
    },
}

/// Certificates as they come, piece by piece; its place for a download is given back when it is dropped.
pub struct Certificates {
    account: AccountId,
    pieces: CertificateStream,
    _places: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Certificates({})", self.account)
    }
}

impl Certificates {
    /// The next piece; `None` at the end. Nothing is read ahead of this call.
    pub async fn next(&mut self) -> Option<Result<Bytes, Refusal>> {
        let piece = self.pieces.next().await?;
        let account = self.account.to_string();
        match &piece {
            Ok(bytes) => {
                metrics::counter!(names::CERTIFIED_DOWNLOAD_BYTES, "account" => account)
                    .increment(bytes.len() as u64);
            }
            Err(failure) => {
                let cause = match failure {
                    CertifiedFailure::TooLarge => "too_large",
                    _ => "broken",
                };
                metrics::counter!(names::CERTIFIED_DOWNLOADS_CUT, "account" => account, "cause" => cause)
                    .increment(1);
            }
        }
        Some(piece.map_err(refusal))
    }
}

impl Certified {
    /// Withdraws a message that waits for its time on the platform, and with it what waits in its group.
    pub async fn cancel(&self, caller: &Caller, id: CertifiedId) -> Result<Cancelled, Refusal> {
        let message = self.get(caller, id).await?;
        let group = number_of(&message)?;
        let desk = Arc::clone(self.desk_of(&message)?);
        let place = desk.place()?;
        let shared = Arc::clone(&self.0);
        self.to_the_end(async move {
            let access = desk.access();
            let request = platform(&access)?.cancel(group);
            let told =
                ask_unless_refused(&shared, (&desk, &access), ("cancel", &group), request).await?;
            drop(place);
            let is_gone = match &told {
                Ok(_) => true,
                // An earlier call did it, whose answer was lost.
                Err(CertifiedFailure::Refused(refused)) => {
                    refused.reason.as_str() == "ALREADY_CANCELLED"
                }
                Err(_) => false,
            };
            let now = shared.clock.now();
            let message = if is_gone {
                tracing::info!(message = %id, "certified: cancelled");
                shared.store.certified_cancelled(id, now).await?
            } else {
                None
            };
            let told = told.map_err(refusal)?;
            Ok(Cancelled {
                message: message.ok_or(Refusal::NotFound)?,
                recipients: told.recipients,
                credits_back: told.credits_back,
            })
        })
        .await
    }

    /// Moves a message that waits for its time on the platform, and with it what waits in its group.
    pub async fn reschedule(
        &self,
        caller: &Caller,
        id: CertifiedId,
        send_time: SendTime,
    ) -> Result<Moved, Refusal> {
        let message = self.get(caller, id).await?;
        let group = number_of(&message)?;
        if send_time.moment() <= self.0.clock.now() {
            return Err(Refusal::field("send_time", "is over"));
        }
        let desk = Arc::clone(self.desk_of(&message)?);
        let place = desk.place()?;
        let shared = Arc::clone(&self.0);
        self.to_the_end(async move {
            let access = desk.access();
            let request = platform(&access)?.reschedule(group, send_time);
            let asked = (group, send_time.moment());
            let told =
                ask_unless_refused(&shared, (&desk, &access), ("reschedule", &asked), request)
                    .await?;
            drop(place);
            let messages = told.map_err(refusal)?;
            tracing::info!(message = %id, "certified: moved");
            let now = shared.clock.now();
            let moved = shared.store.certified_moved(id, send_time, now).await?;
            Ok(Moved {
                message: moved.ok_or(Refusal::NotFound)?,
                messages,
            })
        })
        .await
    }

    /// Asks the platform what has become of a message, keeps it, and answers the message as it is then.
    pub async fn report(
        &self,
        caller: &Caller,
        id: CertifiedId,
    ) -> Result<CertifiedMessage, Refusal> {
        let message = self.get(caller, id).await?;
        let group = known_number_of(&message)?;
        let desk = self.desk_of(&message)?;
        let place = desk.place()?;
        self.note(desk, Question::Report(group))?;
        let held = (&*self.0.store, &*self.0.clock);
        let access = desk.access();
        let request = platform(&access)?.report(group);
        let rows = desk
            .ask(&access, held, "report", request)
            .await?
            .map_err(refusal)?;
        drop(place);
        for row in rows {
            self.keep(&message, group, row).await?;
        }
        self.get(caller, id).await
    }

    /// What the platform says of one recipient of a group.
    async fn keep(
        &self,
        message: &CertifiedMessage,
        group: MessageGroup,
        row: RecipientState,
    ) -> Result<(), Refusal> {
        // Without a number nobody can say whose state it is.
        let Some(recipient) = row.recipient else {
            return Ok(());
        };
        let effect = self
            .0
            .store
            .apply_certified_event(NewCertifiedEvent {
                account: message.account.clone(),
                event: CertifiedEvent {
                    message: None,
                    group: Some(group),
                    recipient: Some(recipient),
                    time: row.time,
                    news: CertifiedNews::State {
                        state: row.state,
                        seconds: row.seconds,
                    },
                },
                was_asked: true,
                receive_time: self.0.clock.now(),
                limit: self.0.limits.events_per_message,
            })
            .await?;
        metrics::counter!(names::REPORTS, "account" => message.account.to_string(), "effect" => effect.as_str())
            .increment(1);
        Ok(())
    }

    /// Begins to download certificates.
    pub async fn certificates(
        &self,
        caller: &Caller,
        wanted: WantedOf,
    ) -> Result<Certificates, Refusal> {
        let (desk, wanted) = match wanted {
            WantedOf::Message(id, place) => {
                let message = self.get(caller, id).await?;
                let group = known_number_of(&message)?;
                let wanted = match place {
                    None => WantedCertificates::OfMessage(group),
                    Some(place) => {
                        let recipient = self.0.store.certified_recipient(id, place).await?;
                        let recipient = recipient.ok_or_else(|| {
                            Refusal::field("message.recipient_index", "is no recipient of it")
                        })?;
                        WantedCertificates::OfRecipient(group, recipient)
                    }
                };
                (Arc::clone(self.desk_of(&message)?), wanted)
            }
            WantedOf::Period { whose, first, last } => {
                let own = self.account(caller, &whose)?;
                if last < first {
                    return Err(Refusal::field("period.last_day", "is before the first"));
                }
                (
                    Arc::clone(&own.desk),
                    WantedCertificates::Between(first, last),
                )
            }
        };
        let download = Arc::clone(&self.0.downloads)
            .try_acquire_owned()
            .map_err(|_| Refusal::TooManyCalls("certified.max_downloads"))?;
        let place = desk.place()?;
        let access = desk.access();
        let request = platform(&access)?.certificates(&wanted);
        let pieces = ask_unless_refused(
            &self.0,
            (&desk, &access),
            ("certificates", &wanted),
            request,
        )
        .await?
        .map_err(refusal)?;
        Ok(Certificates {
            account: desk.account.clone(),
            pieces,
            _places: (download, place),
        })
    }

    /// Uploads a file; answers the name that the platform gave it.
    pub async fn upload(
        &self,
        caller: &Caller,
        whose: &Whose,
        file: LibraryUpload,
    ) -> Result<Box<str>, Refusal> {
        let desk = Arc::clone(&self.account(caller, whose)?.desk);
        let place = desk.place()?;
        let shared = Arc::clone(&self.0);
        self.to_the_end(async move {
            let access = desk.access();
            let request = platform(&access)?.upload(&file);
            let asked = (
                (&file.name, file.content.expose()),
                (file.delete_when_certified, file.form),
            );
            let told =
                ask_unless_refused(&shared, (&desk, &access), ("upload", &asked), request).await?;
            drop(place);
            told.map_err(refusal)
        })
        .await
    }

    /// Lists the files of an account's library.
    pub async fn files(&self, caller: &Caller, whose: &Whose) -> Result<Vec<LibraryFile>, Refusal> {
        let desk = &self.account(caller, whose)?.desk;
        let _place = desk.place()?;
        self.note(desk, Question::Files)?;
        let held = (&*self.0.store, &*self.0.clock);
        let access = desk.access();
        let request = platform(&access)?.files();
        let told = desk.ask(&access, held, "files", request).await?;
        told.map_err(refusal)
    }

    /// Deletes a file.
    pub async fn delete_file(
        &self,
        caller: &Caller,
        whose: &Whose,
        name: LibraryFileName,
    ) -> Result<(), Refusal> {
        let desk = Arc::clone(&self.account(caller, whose)?.desk);
        let place = desk.place()?;
        let shared = Arc::clone(&self.0);
        self.to_the_end(async move {
            let access = desk.access();
            let request = platform(&access)?.delete_file(&name);
            let told =
                ask_unless_refused(&shared, (&desk, &access), ("delete_file", &name), request)
                    .await?;
            drop(place);
            told.map_err(refusal)
        })
        .await
    }

    /// Asks how much credit an account has.
    pub async fn balance(&self, caller: &Caller, whose: &Whose) -> Result<f64, Refusal> {
        let desk = &self.account(caller, whose)?.desk;
        let _place = desk.place()?;
        self.note(desk, Question::Balance)?;
        let held = (&*self.0.store, &*self.0.clock);
        let access = desk.access();
        let request = platform(&access)?.balance();
        let told = desk.ask(&access, held, "balance", request).await?;
        told.map_err(refusal)
    }

    fn note(&self, desk: &AccountDesk, question: Question) -> Result<(), Refusal> {
        let (now, again_after) = (self.0.clock.uptime(), self.0.limits.ask_again_after);
        desk.note(question, now, again_after)
    }
}

/// Asks for what may be asked again at once where it was done, and not where the platform has just refused the same: it takes wrong
/// calls that are repeated for an attack.
async fn ask_unless_refused<T>(
    shared: &Shared,
    (desk, access): (&AccountDesk, &Access),
    (function, asked): (&'static str, &impl Hash),
    request: impl Future<Output = Result<T, CertifiedFailure>>,
) -> Result<Result<T, CertifiedFailure>, Refusal> {
    let (question, again_after) = (Question::of(function, asked), shared.limits.ask_again_after);
    desk.look(question, shared.clock.uptime(), again_after)?;
    let held = (&*shared.store, &*shared.clock);
    let told = desk.ask(access, held, function, request).await?;
    let is_no = match &told {
        Err(CertifiedFailure::Refused(_)) => true,
        // Of a download that is not there nobody knows how the platform says so.
        Err(CertifiedFailure::NotDone(reason)) => {
            reason.as_str() == Reason::GATEWAY_OUTCOME_UNKNOWN
        }
        Ok(_) | Err(CertifiedFailure::Uncertain(_) | CertifiedFailure::TooLarge) => false,
    };
    if is_no {
        desk.note_refused(question, shared.clock.uptime(), again_after);
    }
    Ok(told)
}

/// The platform's number of a message that can be cancelled or moved.
fn number_of(message: &CertifiedMessage) -> Result<MessageGroup, Refusal> {
    match message.state {
        CertifiedMessageState::Cancelled => Err(Refusal::AlreadyCancelled),
        // Under the number that it was to be joined to there may be others alone.
        CertifiedMessageState::Uncertain | CertifiedMessageState::Sending => {
            Err(Refusal::NumberUnknown)
        }
        CertifiedMessageState::Sent | CertifiedMessageState::Failed => known_number_of(message),
    }
}

/// The platform's number of a message that can be asked about.
fn known_number_of(message: &CertifiedMessage) -> Result<MessageGroup, Refusal> {
    match (message.state, message.submission.group) {
        (CertifiedMessageState::Failed, _) => Err(Refusal::NotSent),
        (_, Some(group)) => Ok(group),
        (_, None) => Err(Refusal::NumberUnknown),
    }
}
