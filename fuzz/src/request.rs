//! Whatever a client sends: it becomes values that say the same, or every wrong field is named.

use clave_otp::{
    domain::Dir3,
    grpc::{
        create_request, list_request, preview_request,
        proto::{CreateDeliveryRequest, ListDeliveriesRequest, PreviewDeliveryRequest},
    },
    intake::{Refusal, Request},
};
use prost::Message as _;

const FIELDS: [&str; 15] = [
    "request_id",
    "administration",
    "recipient",
    "code",
    "purpose",
    "language",
    "expire_time",
    "origin",
    "sender",
    "reference",
    "states",
    "create_time_from",
    "create_time_until",
    "page_size",
    "page_token",
];

/// An input is one message as it comes over the wire, taken for each of those that have more fields than a name.
pub fn check(input: &[u8]) {
    if let Ok(message) = CreateDeliveryRequest::decode(input) {
        check_create(&message);
    }
    if let Ok(message) = PreviewDeliveryRequest::decode(input) {
        check_refusals(preview_request(message).err());
    }
    if let Ok(message) = ListDeliveriesRequest::decode(input) {
        check_list(&message);
    }
}

fn check_create(message: &CreateDeliveryRequest) {
    let created = create_request(message.clone());
    let previewed = preview_request(preview_of(message));
    match &created {
        Ok((id, request)) => {
            let written = message
                .request_id
                .replace(['-', '{', '}'], "")
                .to_lowercase();
            let hex = id.as_bytes().map(|byte| format!("{byte:02x}")).concat();
            assert_eq!(written.trim_start_matches("urn:uuid:"), hex);
            assert_says_the_same(message, request);
        }
        Err(_) => check_no_code(message, &created),
    }
    // What would be sent is judged as what is sent.
    let texts = |refusals: &[Refusal]| refusals.iter().map(ToString::to_string).collect();
    let of_preview: Vec<String> = previewed.as_ref().err().map_or(vec![], |all| texts(all));
    let mut of_create: Vec<String> = created.as_ref().err().map_or(vec![], |all| texts(all));
    of_create.retain(|text| !text.starts_with("request_id:") && !text.starts_with("reference:"));
    assert_eq!(of_create, of_preview);
    check_refusals(created.err());
}

fn preview_of(message: &CreateDeliveryRequest) -> PreviewDeliveryRequest {
    let message = message.clone();
    PreviewDeliveryRequest {
        administration: message.administration,
        recipient: message.recipient,
        code: message.code,
        purpose: message.purpose,
        language: message.language,
        expire_time: message.expire_time,
        origin: message.origin,
        sender: message.sender,
    }
}

fn assert_says_the_same(message: &CreateDeliveryRequest, request: &Request) {
    assert_eq!(request.administration.as_str(), message.administration);
    assert_eq!(request.recipient.expose_e164(), message.recipient);
    assert_eq!(request.code.expose(), message.code);
    assert_eq!(*request.language, *message.language);
    let time = message.expire_time.unwrap();
    let nanoseconds = i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos);
    assert_eq!(request.expire_time.as_nanosecond(), nanoseconds);
    let origin = request.origin.as_ref();
    assert_eq!(origin.map_or("", |origin| origin.as_str()), message.origin);
    let sender = request.sender.as_ref();
    assert_eq!(sender.map_or("", |sender| sender.as_str()), message.sender);
    let reference = request.reference.as_ref();
    assert_eq!(reference.map_or("", |own| own.as_str()), message.reference);
    let purpose = message.purpose().as_str_name();
    assert_eq!(format!("PURPOSE_{}", request.purpose.as_str()), purpose);
}

/// A refusal is the same whatever the code is, so it cannot tell it.
fn check_no_code<T>(message: &CreateDeliveryRequest, created: &Result<T, Vec<Refusal>>) {
    let is_well_formed = (3..=12).contains(&message.code.len())
        && message
            .code
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric());
    let other = CreateDeliveryRequest {
        code: if is_well_formed {
            "000".into()
        } else {
            String::new()
        },
        ..message.clone()
    };
    let texts = |refusals: &Vec<Refusal>| -> Vec<String> {
        refusals.iter().map(ToString::to_string).collect()
    };
    let of_other = create_request(other).err();
    assert_eq!(
        of_other.as_ref().map(texts),
        created.as_ref().err().map(texts)
    );
}

fn check_list(message: &ListDeliveriesRequest) {
    match list_request(message) {
        Ok((filter, page_size)) => {
            assert_eq!(i64::from(page_size), i64::from(message.page_size));
            assert_eq!(filter.states.len(), message.states.len());
            assert_eq!(
                filter.created_from.is_some(),
                message.create_time_from.is_some()
            );
            assert_eq!(
                filter.created_until.is_some(),
                message.create_time_until.is_some()
            );
            let reference = filter.reference.as_ref();
            assert_eq!(reference.map_or("", |own| own.as_str()), message.reference);
            let only = filter.administrations.unwrap_or_default();
            let only: Vec<&str> = only.iter().map(Dir3::as_str).collect();
            let asked = Some(message.administration.as_str()).filter(|asked| !asked.is_empty());
            assert_eq!(only, asked.into_iter().collect::<Vec<_>>());
        }
        Err(found) => check_refusals(Some(found)),
    }
}

/// Each names a field of the message, in one short line.
fn check_refusals(found: Option<Vec<Refusal>>) {
    let Some(found) = found else { return };
    assert!(!found.is_empty(), "refused without a reason");
    for refusal in found {
        let text = refusal.to_string();
        assert!(
            text.len() < 200 && !text.chars().any(char::is_control),
            "{text:?}"
        );
        let field = refusal.about_field();
        assert!(
            field.is_none_or(|field| FIELDS.contains(&field)),
            "{field:?}"
        );
    }
}
