//! proto ⇄ domain for certified messages. Every wrong field of a request is found, not only the first.

use std::time::Duration;

use jiff::{Timestamp, civil::Date};

use super::super::{
    convert::{Fields, to_proto_time},
    proto,
};
use crate::{
    certified::{
        KeptEvent, LibraryFile, LibraryUpload, SendRequest, ToldEvent, UploadForm, WantedOf, Whose,
    },
    domain::{
        AccountId, Dir3, News, Reason, Recipient, Reference, RequestId, Sender,
        certified::{
            AcceptanceDays, Attachment, AttachmentEvent, AttachmentEventKind, CertifiedId,
            CertifiedKind, CertifiedMessage, CertifiedMessageState, CertifiedNews, CertifiedText,
            FileContent, Identification, IdentityNumber, LibraryFileName, PlatformState,
            Protection, SendTime, Stage, Validity, Variables,
        },
    },
    intake::Refusal,
};

type Found<T> = Result<T, Vec<Refusal>>;

impl Fields {
    fn whose(&mut self, administration: &str, account: &str) -> Option<Whose> {
        let administration = self.check("administration", Dir3::parse(administration));
        let account = self.optional("account", account, account_id);
        Some(Whose {
            administration: administration?,
            account,
        })
    }

    fn message_name(&mut self, field: &'static str, name: &str) -> Option<CertifiedId> {
        self.check(field, CertifiedId::parse_name(name))
    }

    fn time(&mut self, time: Option<prost_types::Timestamp>) -> Option<SendTime> {
        let moment = self.check("send_time", super::super::convert::timestamp(time?))?;
        self.check("send_time", SendTime::new(moment))
    }

    fn addressees(
        &mut self,
        addressees: Vec<proto::CertifiedAddressee>,
    ) -> Vec<(Recipient, Variables)> {
        let parse = |addressee: proto::CertifiedAddressee| {
            let recipient = Recipient::parse(&addressee.recipient);
            let recipient = self.recipient(recipient);
            let values = addressee.variables.iter().map(String::as_str);
            let variables = self.check("addressees.variables", Variables::parse(values));
            recipient.zip(variables)
        };
        addressees.into_iter().filter_map(parse).collect()
    }

    fn attachments(&mut self, attachments: Vec<proto::CertifiedAttachment>) -> Vec<Attachment> {
        let parse = |attachment: proto::CertifiedAttachment| match attachment.content {
            Some(proto::certified_attachment::Content::LibraryFile(name)) => self
                .check("attachments.library_file", LibraryFileName::parse(&name))
                .map(Attachment::Library),
            Some(proto::certified_attachment::Content::Pdf(bytes)) => {
                Some(Attachment::Inline(FileContent::new(bytes)))
            }
            None => self.check("attachments.content", Err::<Attachment, _>("is required")),
        };
        attachments.into_iter().filter_map(parse).collect()
    }

    fn identification(
        &mut self,
        identification: &proto::CertifiedIdentification,
    ) -> Option<Identification> {
        use proto::CertifiedIdentificationMethod as Method;
        let method = identification.method();
        let number = identification.document_number.as_str();
        let needs_number = matches!(method, Method::Document | Method::Certificate);
        if !needs_number && !number.is_empty() {
            let problem = "is for the methods DOCUMENT and CERTIFICATE: leave it empty";
            return self.check("identification.document_number", Err(problem));
        }
        let mut document = || {
            let number = IdentityNumber::parse(number);
            self.check("identification.document_number", number)
        };
        Some(match method {
            Method::None => Identification::Open,
            Method::Phone => Identification::Phone,
            Method::OneTimePin => Identification::OneTimePin,
            Method::Document => Identification::Document(document()?),
            Method::Certificate => Identification::Certificate(document()?),
            Method::Unspecified => {
                return self.check("identification.method", Err("is required"));
            }
        })
    }
}

fn account_id(name: &str) -> Result<AccountId, &'static str> {
    name.strip_prefix("accounts/")
        .and_then(|id| AccountId::parse(id).ok())
        .ok_or("must be accounts/{id}")
}

fn kind(number: i32) -> Option<CertifiedKind> {
    use proto::CertifiedMessageKind as Kind;
    Some(match Kind::try_from(number).ok()? {
        Kind::Unspecified => return None,
        Kind::Certified => CertifiedKind::Certified,
        Kind::ContractByReply => CertifiedKind::ContractByReply,
        Kind::ContractByAcceptance => CertifiedKind::ContractByAcceptance,
        Kind::ContractBySignature => CertifiedKind::ContractBySignature,
        Kind::ContractByVerifiedSignature => CertifiedKind::ContractByVerifiedSignature,
    })
}

fn to_proto_kind(kind: CertifiedKind) -> proto::CertifiedMessageKind {
    use proto::CertifiedMessageKind as Kind;
    match kind {
        CertifiedKind::Certified => Kind::Certified,
        CertifiedKind::ContractByReply => Kind::ContractByReply,
        CertifiedKind::ContractByAcceptance => Kind::ContractByAcceptance,
        CertifiedKind::ContractBySignature => Kind::ContractBySignature,
        CertifiedKind::ContractByVerifiedSignature => Kind::ContractByVerifiedSignature,
    }
}

/// A `SendCertifiedMessage` in domain values, or everything that is wrong with it.
pub(super) fn send_request(
    message: proto::SendCertifiedMessageRequest,
) -> Found<(RequestId, SendRequest)> {
    let mut fields = Fields::default();
    let id = fields.request_id(&message.request_id);
    let whose = fields.whose(&message.administration, &message.account);
    let kind = fields.check("kind", kind(message.kind).ok_or("is required"));
    let text = fields.check("text", CertifiedText::parse(&message.text));
    let addressees = fields.addressees(message.addressees);
    let attachments = fields.attachments(message.attachments);
    let sender: Option<Sender> = fields.sender(&message.sender);
    let send_time = fields.time(message.send_time);
    let validity = message.validity.and_then(|duration| {
        let duration = Duration::try_from(duration).map_err(|_| "must not be negative");
        let duration = fields.check("validity", duration)?;
        fields.check("validity", Validity::new(duration))
    });
    let identification = message
        .identification
        .and_then(|identification| fields.identification(&identification));
    let acceptance = match message.acceptance_days {
        0 => None,
        days => {
            let days = u8::try_from(days).ok().and_then(AcceptanceDays::new);
            fields.check("acceptance_days", days.ok_or("must be 1 to 15"))
        }
    };
    let group = fields.optional("group", &message.group, CertifiedId::parse_name);
    let reference = fields.optional("reference", &message.reference, Reference::parse);
    let request = whose
        .zip(kind)
        .zip(text)
        .map(|((whose, kind), text)| SendRequest {
            whose,
            kind,
            addressees,
            text,
            attachments,
            sender,
            send_time,
            validity,
            identification,
            acceptance,
            group,
            reference,
        });
    fields.all(id.zip(request))
}

/// The name that most calls have.
pub(super) fn name(name: &str) -> Found<CertifiedId> {
    let mut fields = Fields::default();
    let id = fields.message_name("name", name);
    fields.all(id)
}

pub(super) fn reschedule_request(
    message: &proto::RescheduleCertifiedMessageRequest,
) -> Found<(CertifiedId, SendTime)> {
    let mut fields = Fields::default();
    let id = fields.message_name("name", &message.name);
    let time = match message.send_time {
        None => fields.check("send_time", Err::<SendTime, _>("is required")),
        time => fields.time(time),
    };
    fields.all(id.zip(time))
}

pub(super) fn download_request(message: &proto::DownloadCertificatesRequest) -> Found<WantedOf> {
    use proto::download_certificates_request::Wanted;
    let mut fields = Fields::default();
    let wanted = match &message.wanted {
        None => fields.check("wanted", Err::<WantedOf, _>("is required")),
        Some(Wanted::Message(of)) => {
            let id = fields.message_name("message.name", &of.name);
            let place = of.recipient_index.and_then(|place| {
                let place = u32::try_from(place).map_err(|_| "must not be negative");
                fields.check("message.recipient_index", place)
            });
            id.map(|id| WantedOf::Message(id, place))
        }
        Some(Wanted::Period(of)) => {
            let whose = fields.whose(&of.administration, &of.account);
            let mut day = |field, text: &str| {
                let day = text.parse::<Date>();
                fields.check(field, day.map_err(|_| "must be a day such as 2026-11-01"))
            };
            let days =
                day("period.first_day", &of.first_day).zip(day("period.last_day", &of.last_day));
            whose
                .zip(days)
                .map(|(whose, (first, last))| WantedOf::Period { whose, first, last })
        }
    };
    fields.all(wanted)
}

pub(super) fn upload_request(
    message: proto::UploadLibraryFileRequest,
) -> Found<(Whose, LibraryUpload)> {
    let mut fields = Fields::default();
    let whose = fields.whose(&message.administration, &message.account);
    let name = fields.check("file_name", LibraryFileName::parse(&message.file_name));
    let form = match message.form() {
        proto::LibraryUploadForm::Base64 => UploadForm::Base64,
        proto::LibraryUploadForm::Files | proto::LibraryUploadForm::Unspecified => {
            UploadForm::Files
        }
    };
    let is_there = (!message.content.is_empty())
        .then_some(())
        .ok_or("is required");
    fields.check("content", is_there);
    let upload = name.map(|name| LibraryUpload {
        name,
        content: FileContent::new(message.content),
        delete_when_certified: message.delete_when_certified,
        form,
    });
    fields.all(whose.zip(upload))
}

pub(super) fn whose(administration: &str, account: &str) -> Found<Whose> {
    let mut fields = Fields::default();
    let whose = fields.whose(administration, account);
    fields.all(whose)
}

pub(super) fn delete_request(
    message: &proto::DeleteLibraryFileRequest,
) -> Found<(Whose, LibraryFileName)> {
    let mut fields = Fields::default();
    let whose = fields.whose(&message.administration, &message.account);
    let name = fields.check("file_name", LibraryFileName::parse(&message.file_name));
    fields.all(whose.zip(name))
}

pub(super) fn watch_request(message: &proto::WatchCertifiedEventsRequest) -> Found<Option<Dir3>> {
    let mut fields = Fields::default();
    let administration = fields.optional("administration", &message.administration, Dir3::parse);
    fields.all(Some(administration))
}

pub(super) fn to_proto_message(message: &CertifiedMessage) -> proto::CertifiedMessage {
    let submission = &message.submission;
    let count =
        |count: Option<u64>| count.map_or(0, |count| i64::try_from(count).unwrap_or(i64::MAX));
    proto::CertifiedMessage {
        name: message.id.name(),
        administration: message.administration.to_string(),
        account: format!("accounts/{}", message.account),
        kind: to_proto_kind(message.kind).into(),
        state: to_proto_state(message.state).into(),
        reason: reason(submission.reason.as_ref()),
        gateway_code: submission.code.unwrap_or_default(),
        gateway_message_id: submission
            .group
            .map(|group| group.number().to_string())
            .unwrap_or_default(),
        sender: message.sender.as_str().to_owned(),
        reference: message
            .reference
            .as_ref()
            .map(|reference| reference.as_str().to_owned())
            .unwrap_or_default(),
        recipients: message
            .recipients
            .iter()
            .map(|recipient| proto::CertifiedMessageRecipient {
                masked_recipient: recipient.masked.to_string(),
                status: recipient.state.map(to_proto_status),
                status_time: recipient.state_time.map(to_proto_time),
            })
            .collect(),
        messages: count(submission.messages),
        not_sent: count(submission.not_sent),
        credits_used: submission.credits_used,
        credits_needed: submission.credits_needed,
        send_time: message.send_time.map(to_proto_time),
        create_time: Some(to_proto_time(message.create_time)),
        update_time: Some(to_proto_time(message.update_time)),
    }
}

fn reason(reason: Option<&Reason>) -> String {
    reason
        .map(|word| word.as_str().to_owned())
        .unwrap_or_default()
}

fn to_proto_state(state: CertifiedMessageState) -> proto::CertifiedMessageState {
    match state {
        CertifiedMessageState::Sending => proto::CertifiedMessageState::Sending,
        CertifiedMessageState::Sent => proto::CertifiedMessageState::Sent,
        CertifiedMessageState::Failed => proto::CertifiedMessageState::Failed,
        CertifiedMessageState::Uncertain => proto::CertifiedMessageState::Uncertain,
        CertifiedMessageState::Cancelled => proto::CertifiedMessageState::Cancelled,
    }
}

fn to_proto_status(known: PlatformState) -> proto::CertifiedStatus {
    let stage = match known.stage() {
        Stage::Silent => proto::CertifiedStage::Unspecified,
        Stage::Waiting => proto::CertifiedStage::Waiting,
        Stage::Failed => proto::CertifiedStage::Failed,
        Stage::Delivered => proto::CertifiedStage::Delivered,
        Stage::Opened => proto::CertifiedStage::Opened,
        Stage::Read => proto::CertifiedStage::Read,
        Stage::Accepted => proto::CertifiedStage::Accepted,
        Stage::Signed => proto::CertifiedStage::Signed,
        Stage::Closed => proto::CertifiedStage::Closed,
    };
    let failed = match known.news() {
        News::Failed(word) => Some(word),
        News::Delivered | News::Waiting | News::Unknown => None,
    };
    proto::CertifiedStatus {
        number: known.number(),
        meaning: known.meaning().unwrap_or_default().to_owned(),
        stage: stage.into(),
        reason: reason(failed.as_ref()),
        r#final: known.is_final(),
        certificate_available: known.has_certificate(),
    }
}

pub(super) fn to_proto_file(file: &LibraryFile) -> proto::LibraryFile {
    proto::LibraryFile {
        file_name: file.name.to_string(),
        upload_time: file
            .upload_time
            .map(|time| time.to_string())
            .unwrap_or_default(),
    }
}

pub(super) fn to_proto_told(told: ToldEvent) -> proto::WatchCertifiedEventsResponse {
    proto::WatchCertifiedEventsResponse {
        resume_token: told.token,
        event: told.event.map(|event| to_proto_event(&event)),
    }
}

fn to_proto_event(event: &KeptEvent) -> proto::CertifiedEvent {
    use proto::certified_event::News as ProtoNews;
    let news = match &event.news {
        CertifiedNews::State { state, seconds } => ProtoNews::State(proto::CertifiedStateEvent {
            status: Some(to_proto_status(*state)),
            seconds: seconds.and_then(|seconds| i32::try_from(seconds).ok()),
        }),
        CertifiedNews::Attachment(attachment) => {
            ProtoNews::Attachment(to_proto_attachment(attachment))
        }
        CertifiedNews::Reply { text, is_certified } => {
            ProtoNews::Reply(proto::CertifiedReplyEvent {
                text: text.expose().to_owned(),
                certified: *is_certified,
            })
        }
    };
    let time = |time: Option<Timestamp>| time.map(to_proto_time);
    proto::CertifiedEvent {
        message: event.message.name(),
        administration: event.administration.to_string(),
        account: format!("accounts/{}", event.account),
        recipient_index: i32::try_from(event.recipient).unwrap_or(i32::MAX),
        masked_recipient: event.masked_recipient.to_string(),
        event_time: time(event.time),
        receive_time: time(Some(event.receive_time)),
        news: Some(news),
    }
}

fn to_proto_attachment(event: &AttachmentEvent) -> proto::CertifiedAttachmentEvent {
    use proto::{CertifiedAttachmentAction as Action, CertifiedAttachmentProtection as Protected};
    let action = match event.kind {
        AttachmentEventKind::Opened => Action::Opened,
        AttachmentEventKind::PinSent => Action::PinSent,
        AttachmentEventKind::PinRight => Action::PinRight,
        AttachmentEventKind::PinWrong => Action::PinWrong,
        AttachmentEventKind::PinInvalidated => Action::PinInvalidated,
        AttachmentEventKind::PhoneWrong => Action::PhoneWrong,
        AttachmentEventKind::PhoneRight => Action::PhoneRight,
        AttachmentEventKind::DocumentRight => Action::DocumentRight,
        AttachmentEventKind::DocumentWrong => Action::DocumentWrong,
        AttachmentEventKind::CertificateRight => Action::CertificateRight,
        AttachmentEventKind::CertificateWrong => Action::CertificateWrong,
        AttachmentEventKind::Accepted => Action::Accepted,
        AttachmentEventKind::Refused => Action::Refused,
        AttachmentEventKind::Unknown(_) => Action::Unspecified,
    };
    let protection = match event.protection {
        Protection::Open => Protected::None,
        Protection::OneTimePin => Protected::OneTimePin,
        Protection::Phone => Protected::Phone,
        Protection::Document => Protected::Document,
        Protection::Certificate => Protected::Certificate,
        Protection::Unknown(_) => Protected::Unspecified,
    };
    proto::CertifiedAttachmentEvent {
        action: action.into(),
        gateway_number: event.kind.number(),
        file_name: event.file.to_string(),
        protection: protection.into(),
        value: event.value.as_deref().unwrap_or_default().to_owned(),
        address: event
            .address
            .map(|address| address.to_string())
            .unwrap_or_default(),
        port: event.port.map_or(0, i32::from),
    }
}
