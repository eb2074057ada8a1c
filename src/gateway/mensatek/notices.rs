//! What the platform tells by itself: reports of codes, and all that becomes of certified messages.
//!
//! Must not know: who may tell it, what is kept.

use jiff::Timestamp;

use super::{
    codes,
    wire::{self, AttachmentParts, Notice, NoticeParts, ReplyParts},
};
use crate::{
    domain::{
        BareDigits, DeliveryId, GatewayMessageId, News, Report, ReportedNumber, ReportedStatus,
        certified::{
            AttachmentEvent, AttachmentEventKind, CertifiedEvent, CertifiedId, CertifiedNews,
            MessageGroup, PlatformState, Protection, ReplyText, spanish_time,
        },
    },
    gateway::{Callback, CallbackAnswer, CallbackRequest, callbacks},
};

/// Longest name of a document that is kept, in characters.
const FILE_CHARACTERS: usize = 64;
/// Longest value beside an event that is kept, in characters.
const VALUE_CHARACTERS: usize = 256;

/// Whatever comes is answered with 200, also what is no notice: the platform repeats for ever what is answered otherwise
/// (confidence B), and a second time it would be no better.
pub(super) fn read_callback(request: &CallbackRequest<'_>) -> (Callback, CallbackAnswer) {
    let answer = |text: &str| CallbackAnswer {
        status: 200,
        content_type: "text/plain; charset=utf-8",
        body: text.into(),
    };
    let malformed = |word| (Callback::Malformed(word), answer(word));
    if let Err(refused) = callbacks::check(request, &wire::NOTICE_TYPES) {
        return malformed(refused.word);
    }
    let callback = match wire::parse_notice(request) {
        Ok(Notice::Report(parts)) => report(&parts),
        Ok(Notice::AttachmentEvent(parts)) => attachment(&parts),
        Ok(Notice::CitizenAnswer(parts)) => reply(&parts),
        Ok(Notice::UnknownService) => Callback::Dropped("unknown_service"),
        Err(problem) => return malformed(problem.as_str()),
    };
    (callback, answer("OK"))
}

/// What something is about: our own reference names it, else the platform's number.
struct About {
    delivery: Option<DeliveryId>,
    message: Option<CertifiedId>,
    message_id: Option<GatewayMessageId>,
    group: Option<MessageGroup>,
}

impl About {
    fn of(reference: Option<&str>, message_id: Option<&str>) -> Self {
        let group = message_id.and_then(|id| id.parse().ok());
        Self {
            delivery: reference.and_then(|id| DeliveryId::parse(id).ok()),
            message: reference.and_then(CertifiedId::from_reference),
            message_id: message_id.and_then(GatewayMessageId::parse),
            group: group.and_then(MessageGroup::new),
        }
    }

    /// Whether it can be about a certified message: not where our reference names a delivery.
    fn may_be_certified(&self) -> bool {
        self.message.is_some() || self.delivery.is_none() && self.group.is_some()
    }

    fn event(
        self,
        recipient: Option<ReportedNumber>,
        time: Option<Timestamp>,
        news: CertifiedNews,
    ) -> Box<CertifiedEvent> {
        Box::new(CertifiedEvent {
            message: self.message,
            group: self.group,
            recipient,
            time,
            news,
        })
    }
}

/// What a report says, about the delivery or the certified message that our own reference names, where it is one of ours, else
/// about the message of its id to the citizen whom it names.
fn report(parts: &NoticeParts) -> Callback {
    let about = About::of(parts.reference.as_deref(), parts.message_id.as_deref());
    let recipient = number_of(&parts.recipient);
    let state: Option<i64> = parts.state.parse().ok();
    let has_reference = about.delivery.is_some() || about.message.is_some();
    if !has_reference && about.message_id.is_some() && recipient.is_none() {
        return Callback::Dropped("report_about_no_number");
    }
    let is_about_something = about.delivery.is_some() || about.message_id.is_some();
    let report = (is_about_something && about.message.is_none()).then(|| Report {
        delivery: about.delivery,
        message_id: about.message_id.clone(),
        recipient: recipient.clone(),
        news: state.map_or(News::Unknown, codes::news),
        status: ReportedStatus::of(&parts.state),
    });
    if let Some(state) = state
        && (about.message.is_some() || !parts.is_plain && about.may_be_certified())
    {
        let time = parts.time.as_deref().and_then(spanish_time);
        let news = CertifiedNews::State {
            state: PlatformState::new(state),
            seconds: parts.seconds.and_then(|count| u32::try_from(count).ok()),
        };
        return Callback::Certified(about.event(recipient, time, news), report);
    }
    report.map_or(
        Callback::Dropped("report_about_no_message"),
        Callback::Report,
    )
}

fn attachment(parts: &AttachmentParts) -> Callback {
    let about = About::of(parts.reference.as_deref(), parts.message_id.as_deref());
    if !about.may_be_certified() {
        return Callback::Dropped("attachment_event");
    }
    let kind = AttachmentEventKind::of(parts.kind);
    let value = parts.value.as_deref().filter(|_| kind.keeps_value());
    let event = AttachmentEvent {
        file: cut(parts.file.as_deref().unwrap_or_default(), FILE_CHARACTERS),
        protection: Protection::of(parts.protection.unwrap_or_default()),
        kind,
        value: value.map(|value| cut(value, VALUE_CHARACTERS)),
        address: parts.address.as_deref().and_then(|text| text.parse().ok()),
        port: parts.port.and_then(|port| u16::try_from(port).ok()),
    };
    let recipient = parts.recipient.as_deref().and_then(number_of);
    let time = parts.time.as_deref().and_then(spanish_time);
    Callback::Certified(
        about.event(recipient, time, CertifiedNews::Attachment(event)),
        None,
    )
}

fn reply(parts: &ReplyParts) -> Callback {
    let about = About::of(parts.reference.as_deref(), parts.message_id.as_deref());
    if !about.may_be_certified() {
        return callbacks::CITIZEN_ANSWER;
    }
    // An alphanumeric sender is ours: then the number stands in the other field, as in the example of the text.
    let number = |text: &Option<String>| text.as_deref().and_then(number_of);
    let citizen = number(&parts.sender).or_else(|| number(&parts.recipient));
    let told = parts
        .timestamp
        .and_then(|seconds| Timestamp::from_second(seconds).ok());
    let time = told.or_else(|| parts.time.as_deref().and_then(spanish_time));
    let news = CertifiedNews::Reply {
        text: ReplyText::new(&parts.text),
        is_certified: parts.is_certified,
    };
    Callback::Certified(about.event(citizen, time, news), None)
}

/// Numbers begin with the code of their country, as in all of the text's examples.
fn number_of(text: &str) -> Option<ReportedNumber> {
    ReportedNumber::parse(text, BareDigits::WithCountry)
}

/// On one line, and no longer than that.
fn cut(text: &str, most: usize) -> Box<str> {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let text: String = text.chars().take(most).map(plain).collect();
    text.trim().into()
}
