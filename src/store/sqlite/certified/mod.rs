//! Certified messages in the embedded store.

mod events;
mod messages;

use std::num::NonZeroU32;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;
use zeroize::Zeroizing;

use self::{
    events::{Page, Row, SealedEvent},
    messages::SealedCertified,
};
use super::{SqliteStore, transactions};
use crate::{
    domain::{
        Recipient,
        certified::{
            AttachmentEvent, AttachmentEventKind, CertifiedEvent, CertifiedId, CertifiedMessage,
            CertifiedMessageState, CertifiedNews, CertifiedSubmission, PlatformState, Protection,
            ReplyText, SendTime,
        },
    },
    store::{
        CertifiedBegun, CertifiedEffect, CertifiedReceipt, CertifiedStore, ChangePlace, Content,
        EventPage, ForgottenChanges, KeptEvent, LaneClosing, NewCertified, NewCertifiedEvent,
        RequestKey, StoreError,
        sealing::{Fingerprint, Sealer},
    },
};

#[async_trait]
impl CertifiedStore for SqliteStore {
    async fn begin_certified(&self, new: NewCertified) -> Result<CertifiedBegun, StoreError> {
        let id = new.message.id;
        let sealed = SealedCertified {
            fingerprint: self.sealer.fingerprint(&new.content),
            recipients: new
                .recipients
                .iter()
                .map(|recipient| {
                    let hash = self.sealer.recipient_hash(recipient);
                    (hash, self.sealer.seal_certified_recipient(id, recipient))
                })
                .collect(),
            new,
        };
        self.writer
            .try_write(self.max_wait, move |unit| messages::begin(unit, &sealed))
            .await
    }

    async fn certified_receipt(
        &self,
        key: &RequestKey,
        content: &Content,
    ) -> Result<Option<CertifiedReceipt>, StoreError> {
        let key = key.clone();
        let fingerprint = self.sealer.fingerprint(content);
        self.readers
            .read(self.max_wait, move |connection| {
                messages::receipt_of(connection, &key, &fingerprint)
            })
            .await
    }

    async fn settle_certified(
        &self,
        id: CertifiedId,
        state: CertifiedMessageState,
        submission: CertifiedSubmission,
        now: Timestamp,
    ) -> Result<Option<CertifiedMessage>, StoreError> {
        self.writer
            .write(move |unit| messages::settle(unit, id, state, &submission, now))
            .await
    }

    async fn certified(&self, id: CertifiedId) -> Result<Option<CertifiedMessage>, StoreError> {
        self.readers
            .read(self.max_wait, move |connection| {
                messages::by_id(connection, id)
            })
            .await
    }

    async fn certified_recipient(
        &self,
        id: CertifiedId,
        place: u32,
    ) -> Result<Option<Recipient>, StoreError> {
        let sealed = self
            .readers
            .read(self.max_wait, move |connection| {
                messages::recipient(connection, id, place)
            })
            .await?;
        Ok(sealed.and_then(|sealed| self.sealer.open_certified_recipient(id, &sealed).ok()))
    }

    async fn certified_cancelled(
        &self,
        id: CertifiedId,
        now: Timestamp,
    ) -> Result<Option<CertifiedMessage>, StoreError> {
        self.writer
            .write(move |unit| messages::cancelled(unit, id, now))
            .await
    }

    async fn certified_moved(
        &self,
        id: CertifiedId,
        send_time: SendTime,
        now: Timestamp,
    ) -> Result<Option<CertifiedMessage>, StoreError> {
        self.writer
            .write(move |unit| messages::moved(unit, id, send_time, now))
            .await
    }

    async fn apply_certified_event(
        &self,
        new: NewCertifiedEvent,
    ) -> Result<CertifiedEffect, StoreError> {
        let recipient = new.event.recipient.as_ref();
        let recipient = recipient.map(|number| self.sealer.reported_hash(number));
        let looked_for = new.clone();
        // What an event is about never changes, so it may be looked for outside the transaction that keeps it; what is sealed
        // for one message must know which.
        let target = self
            .readers
            .read(self.max_wait, move |connection| {
                events::target(connection, &looked_for, recipient.as_ref())
            })
            .await?;
        let target = match target {
            Ok(target) => target,
            Err(effect) => return Ok(effect),
        };
        let detail = detail(&new.event.news);
        let sealed = SealedEvent {
            digest: digest(
                &self.sealer,
                &new.event,
                recipient.as_ref(),
                detail.as_deref(),
            ),
            detail: detail.map(|detail| self.sealer.seal_certified_detail(target.id, &detail)),
            new,
            target,
        };
        self.writer
            .try_write(self.max_wait, move |unit| events::apply(unit, &sealed))
            .await
    }

    async fn certified_events_after(
        &self,
        place: ChangePlace,
        limit: NonZeroU32,
    ) -> Result<EventPage, StoreError> {
        let rows = self
            .readers
            .read(self.max_wait, move |connection| {
                events::after(connection, place, limit)
            })
            .await?;
        Ok(match rows {
            Page::Events(rows) => EventPage::Events(
                rows.into_iter()
                    .map(|row| kept(&self.sealer, row))
                    .collect(),
            ),
            Page::Forgotten => EventPage::Forgotten,
            Page::Unknown => EventPage::Unknown,
        })
    }

    async fn certified_events_end(&self) -> Result<ChangePlace, StoreError> {
        self.readers
            .read(self.max_wait, |connection| events::EVENTS.end(connection))
            .await
    }

    async fn forget_certified_events(
        &self,
        before: Timestamp,
        limit: NonZeroU32,
    ) -> Result<ForgottenChanges, StoreError> {
        self.writer
            .write(move |unit| events::EVENTS.forget(unit, before, limit))
            .await
    }

    async fn close_lane(&self, closing: LaneClosing, now: Timestamp) -> Result<(), StoreError> {
        self.writer
            .write(move |unit| {
                // So that it says of itself that it is closed.
                unit.note_bell(&closing.account);
                transactions::close_lane(unit, &closing, now)
            })
            .await
    }

    async fn recover_certified(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.writer
            .write(move |unit| messages::recover(unit, now))
            .await
    }

    fn certified_grew(&self) -> watch::Receiver<()> {
        self.changes.certified()
    }
}

/// What of an event is a citizen's: sealed as one text, a line for each part.
fn detail(news: &CertifiedNews) -> Option<Zeroizing<String>> {
    match news {
        CertifiedNews::State { .. } => None,
        CertifiedNews::Attachment(attachment) => {
            let address = attachment.address.map(|address| address.to_string());
            let port = attachment.port.map(|port| port.to_string());
            let parts = [
                attachment.value.as_deref().unwrap_or_default(),
                address.as_deref().unwrap_or_default(),
                port.as_deref().unwrap_or_default(),
            ];
            Some(Zeroizing::new(parts.join("\n")))
        }
        CertifiedNews::Reply { text, .. } => Some(Zeroizing::new(text.expose().to_owned())),
    }
}

/// Tells what was told twice.
fn digest(
    sealer: &Sealer,
    event: &CertifiedEvent,
    recipient: Option<&[u8; 32]>,
    detail: Option<&String>,
) -> Fingerprint {
    let (kind, number, file) = match &event.news {
        CertifiedNews::State { state, .. } => (events::STATE, state.number(), ""),
        CertifiedNews::Attachment(attachment) => (
            events::ATTACHMENT,
            attachment.kind.number(),
            &*attachment.file,
        ),
        CertifiedNews::Reply { .. } => (events::REPLY, 0, ""),
    };
    let time = event.time.map_or(i64::MIN, Timestamp::as_microsecond);
    sealer.fingerprint(&Content::of_fields(&[
        kind.as_bytes(),
        &number.to_be_bytes(),
        file.as_bytes(),
        &time.to_be_bytes(),
        recipient.map_or(&[], <[u8; 32]>::as_slice),
        detail.map_or(b"", |detail| detail.as_bytes()),
    ]))
}

fn kept(sealer: &Sealer, row: Row) -> KeptEvent {
    let detail = row
        .detail
        .as_ref()
        .and_then(|sealed| sealer.open_certified_detail(row.message, sealed).ok())
        .unwrap_or_default();
    let news = match row.kind.as_str() {
        events::STATE => CertifiedNews::State {
            state: PlatformState::new(row.number),
            seconds: row.seconds,
        },
        events::ATTACHMENT => {
            let mut parts = detail.split('\n');
            let value = parts.next().filter(|value| !value.is_empty());
            CertifiedNews::Attachment(AttachmentEvent {
                file: row.file.unwrap_or_default().into_boxed_str(),
                protection: Protection::of(row.protection.unwrap_or_default()),
                kind: AttachmentEventKind::of(row.number),
                value: value.map(Into::into),
                address: parts.next().and_then(|text| text.parse().ok()),
                port: parts.next().and_then(|text| text.parse().ok()),
            })
        }
        _ => CertifiedNews::Reply {
            text: ReplyText::new(&detail),
            is_certified: row.number != 0,
        },
    };
    KeptEvent {
        place: row.place,
        message: row.message,
        administration: row.administration,
        account: row.account,
        recipient: row.recipient,
        masked_recipient: row.masked.into_boxed_str(),
        news,
        time: row.time,
        receive_time: row.receive_time,
    }
}
