//! proto ⇄ domain. Every wrong field of a request is found, not only the first.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;

use super::proto;
use crate::{
    domain::{
        Delivery, DeliveryState, Destination, Dir3, Encoding, GatewayMessageId, OneTimeCode,
        OriginHost, Purpose, Reason, Recipient, RecipientError, Reference, RequestId, Sender,
    },
    intake::{Refusal, Request},
    status::ListFilter,
};

/// Longest language tag worth looking at.
const LANGUAGE_TAG_BYTES: usize = 35;

/// The fields that a `CreateDelivery` and a `PreviewDelivery` have in common.
struct RequestFields {
    administration: String,
    recipient: String,
    code: SecretString,
    purpose: i32,
    language: String,
    expire_time: Option<prost_types::Timestamp>,
    origin: String,
    sender: String,
    reference: String,
}

impl From<proto::CreateDeliveryRequest> for RequestFields {
    fn from(request: proto::CreateDeliveryRequest) -> Self {
        Self {
            administration: request.administration,
            recipient: request.recipient,
            code: request.code.into(),
            purpose: request.purpose,
            language: request.language,
            expire_time: request.expire_time,
            origin: request.origin,
            sender: request.sender,
            reference: request.reference,
        }
    }
}

impl From<proto::PreviewDeliveryRequest> for RequestFields {
    fn from(request: proto::PreviewDeliveryRequest) -> Self {
        Self {
            administration: request.administration,
            recipient: request.recipient,
            code: request.code.into(),
            purpose: request.purpose,
            language: request.language,
            expire_time: request.expire_time,
            origin: request.origin,
            sender: request.sender,
            reference: String::new(),
        }
    }
}

/// Finds every wrong field.
#[derive(Default)]
pub(super) struct Fields(Vec<Refusal>);

impl Fields {
    /// What was parsed, unless a field was refused; a field that is not there was refused.
    pub(super) fn all<T>(self, parsed: Option<T>) -> Result<T, Vec<Refusal>> {
        parsed.filter(|_| self.0.is_empty()).ok_or(self.0)
    }

    pub(super) fn check<T>(
        &mut self,
        field: &'static str,
        parsed: Result<T, impl ToString>,
    ) -> Option<T> {
        parsed
            .map_err(|error| self.0.push(Refusal::field(field, error.to_string())))
            .ok()
    }

    pub(super) fn optional<T, E: ToString>(
        &mut self,
        field: &'static str,
        text: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        if text.is_empty() {
            return None;
        }
        self.check(field, parse(text))
    }

    pub(super) fn request_id(&mut self, text: &str) -> Option<RequestId> {
        self.check("request_id", RequestId::parse(text))
    }

    fn request(&mut self, fields: RequestFields) -> Option<Request> {
        let administration = self.check("administration", Dir3::parse(&fields.administration));
        let recipient = self.recipient(Recipient::parse(&fields.recipient));
        let code = self.check("code", OneTimeCode::parse(fields.code));
        let purpose = self.check("purpose", purpose(fields.purpose).ok_or("is required"));
        let language_is_short = fields.language.len() <= LANGUAGE_TAG_BYTES;
        self.check(
            "language",
            language_is_short
                .then_some(())
                .ok_or("must be a BCP-47 tag"),
        );
        let expire_time = match fields.expire_time {
            None => self.check("expire_time", Err::<Timestamp, _>("is required")),
            Some(time) => self.check("expire_time", timestamp(time)),
        };
        let origin = self.optional("origin", &fields.origin, OriginHost::parse);
        let sender = self.sender(&fields.sender);
        let reference = self.optional("reference", &fields.reference, Reference::parse);
        Some(Request {
            administration: administration?,
            recipient: recipient?,
            code: code?,
            purpose: purpose?,
            language: fields.language.into_boxed_str(),
            expire_time: expire_time?,
            origin,
            sender,
            reference,
        })
    }

    pub(super) fn recipient(
        &mut self,
        parsed: Result<Recipient, RecipientError>,
    ) -> Option<Recipient> {
        parsed
            .map_err(|error| self.0.push(Refusal::Recipient(error)))
            .ok()
    }

    /// A text that cannot be a sender is none of the account's senders.
    pub(super) fn sender(&mut self, text: &str) -> Option<Sender> {
        if text.is_empty() {
            return None;
        }
        Sender::parse(text)
            .map_err(|_| self.0.push(Refusal::SenderNotAllowed))
            .ok()
    }

    fn list_filter(&mut self, request: &proto::ListDeliveriesRequest) -> ListFilter {
        let states = request
            .states
            .iter()
            .filter_map(|number| {
                self.check("states", state(*number).ok_or("holds an unknown state"))
            })
            .collect();
        let mut time = |field, time: Option<prost_types::Timestamp>| {
            time.and_then(|time| self.check(field, timestamp(time)))
        };
        let created_from = time("create_time_from", request.create_time_from);
        let created_until = time("create_time_until", request.create_time_until);
        ListFilter {
            administrations: self
                .optional("administration", &request.administration, Dir3::parse)
                .map(|dir3| vec![dir3]),
            states,
            created_from,
            created_until,
            reference: self.optional("reference", &request.reference, Reference::parse),
        }
    }

    /// AIP-158: negative sizes are refused, too large ones are cut.
    pub(super) fn page_size(&mut self, size: i32) -> Option<u32> {
        self.check(
            "page_size",
            u32::try_from(size).map_err(|_| "must not be negative"),
        )
    }
}

/// A `CreateDelivery` in domain values, or everything that is wrong with it: at least one refusal, the first wrong field
/// first. Never panics, whatever a client sends.
pub fn create_request(
    message: proto::CreateDeliveryRequest,
) -> Result<(RequestId, Request), Vec<Refusal>> {
    let mut fields = Fields::default();
    let id = fields.request_id(&message.request_id);
    let request = fields.request(message.into());
    fields.all(id.zip(request))
}

/// A `PreviewDelivery` in domain values, or everything that is wrong with it, as [`create_request`].
pub fn preview_request(message: proto::PreviewDeliveryRequest) -> Result<Request, Vec<Refusal>> {
    let mut fields = Fields::default();
    let request = fields.request(message.into());
    fields.all(request)
}

/// The filter and the page size of a `ListDeliveries`, or everything that is wrong with them, as [`create_request`].
pub fn list_request(
    message: &proto::ListDeliveriesRequest,
) -> Result<(ListFilter, u32), Vec<Refusal>> {
    let mut fields = Fields::default();
    let filter = fields.list_filter(message);
    let page_size = fields.page_size(message.page_size);
    fields.all(page_size.map(|size| (filter, size)))
}

/// The administration of a `WatchDeliveries`, if one is asked for, as [`create_request`].
pub(super) fn watch_request(
    request: &proto::WatchDeliveriesRequest,
) -> Result<Option<Dir3>, Vec<Refusal>> {
    let mut fields = Fields::default();
    let administration = fields.optional("administration", &request.administration, Dir3::parse);
    fields.all(Some(administration))
}

pub(super) fn timestamp(time: prost_types::Timestamp) -> Result<Timestamp, &'static str> {
    if !(0..1_000_000_000).contains(&time.nanos) {
        return Err("is not a time");
    }
    Timestamp::new(time.seconds, time.nanos).map_err(|_| "is not a time")
}

pub(super) fn to_proto_time(time: Timestamp) -> prost_types::Timestamp {
    // Times here are after 1970, where seconds and nanoseconds have the same sign.
    prost_types::Timestamp {
        seconds: time.as_second(),
        nanos: time.subsec_nanosecond(),
    }
}

pub(super) fn to_proto_duration(duration: Duration) -> Option<prost_types::Duration> {
    duration.try_into().ok()
}

fn purpose(number: i32) -> Option<Purpose> {
    Some(match proto::Purpose::try_from(number).ok()? {
        proto::Purpose::Unspecified => return None,
        proto::Purpose::Login => Purpose::Login,
        proto::Purpose::Signature => Purpose::Signature,
        proto::Purpose::Activation => Purpose::Activation,
        proto::Purpose::PasswordChange => Purpose::PasswordChange,
        proto::Purpose::PasswordReset => Purpose::PasswordReset,
        proto::Purpose::PhoneVerification => Purpose::PhoneVerification,
        proto::Purpose::Test => Purpose::Test,
    })
}

fn to_proto_purpose(purpose: Purpose) -> proto::Purpose {
    match purpose {
        Purpose::Login => proto::Purpose::Login,
        Purpose::Signature => proto::Purpose::Signature,
        Purpose::Activation => proto::Purpose::Activation,
        Purpose::PasswordChange => proto::Purpose::PasswordChange,
        Purpose::PasswordReset => proto::Purpose::PasswordReset,
        Purpose::PhoneVerification => proto::Purpose::PhoneVerification,
        Purpose::Test => proto::Purpose::Test,
    }
}

fn state(number: i32) -> Option<DeliveryState> {
    let wanted = proto::DeliveryState::try_from(number).ok()?;
    DeliveryState::ALL
        .into_iter()
        .find(|state| to_proto_state(*state) == wanted)
}

fn to_proto_state(state: DeliveryState) -> proto::DeliveryState {
    match state {
        DeliveryState::Accepted => proto::DeliveryState::Accepted,
        DeliveryState::Sending => proto::DeliveryState::Sending,
        DeliveryState::Sent => proto::DeliveryState::Sent,
        DeliveryState::Delivered => proto::DeliveryState::Delivered,
        DeliveryState::Failed => proto::DeliveryState::Failed,
        DeliveryState::Expired => proto::DeliveryState::Expired,
        DeliveryState::Uncertain => proto::DeliveryState::Uncertain,
        DeliveryState::Cancelled => proto::DeliveryState::Cancelled,
        DeliveryState::Superseded => proto::DeliveryState::Superseded,
    }
}

pub(super) fn to_proto_destination(destination: Destination) -> proto::Destination {
    match destination {
        Destination::National => proto::Destination::National,
        Destination::International => proto::Destination::International,
    }
}

pub(super) fn to_proto_encoding(encoding: Encoding) -> proto::Encoding {
    match encoding {
        Encoding::Gsm7 => proto::Encoding::Gsm7,
        Encoding::Ucs2 => proto::Encoding::Ucs2,
    }
}

pub(super) fn to_proto_delivery(delivery: &Delivery) -> proto::Delivery {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    proto::Delivery {
        name: delivery.id.name(),
        administration: delivery.administration.to_string(),
        account: format!("accounts/{}", delivery.account),
        state: to_proto_state(delivery.state).into(),
        reason: text(delivery.reason.as_ref().map(Reason::as_str)),
        sender: delivery.sender.as_str().to_owned(),
        destination: to_proto_destination(delivery.destination).into(),
        masked_recipient: delivery.masked_recipient.to_string(),
        purpose: to_proto_purpose(delivery.purpose).into(),
        language: delivery.language.tag().to_owned(),
        encoding: to_proto_encoding(delivery.encoding).into(),
        segments: i32::from(delivery.segments),
        attempts: i32::try_from(delivery.attempts).unwrap_or(i32::MAX),
        gateway_message_id: text(
            delivery
                .gateway_message_id
                .as_ref()
                .map(GatewayMessageId::as_str),
        ),
        reference: text(delivery.reference.as_ref().map(Reference::as_str)),
        create_time: Some(to_proto_time(delivery.create_time)),
        expire_time: Some(to_proto_time(delivery.expire_time)),
        submit_time: delivery.submit_time.map(to_proto_time),
        report_time: delivery.report_time.map(to_proto_time),
        update_time: Some(to_proto_time(delivery.update_time)),
    }
}
