//! `clave-otp certified send`, `get`, `cancel`, `reschedule`, `report` and `watch`.

use std::{io::Read as _, path::PathBuf};

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::{Client, Done, full_account, full_name, told, words::Out};
use crate::grpc::proto::{
    CancelCertifiedMessageRequest, CertifiedAddressee, CertifiedAttachment,
    CertifiedIdentification, CertifiedIdentificationMethod, CertifiedMessage, CertifiedMessageKind,
    CertifiedMessageState, GetCertifiedMessageRequest, GetCertifiedReportRequest,
    RescheduleCertifiedMessageRequest, SendCertifiedMessageRequest, WatchCertifiedEventsRequest,
    certified_attachment::Content,
};

/// Longest text that is read from standard input; the service takes far less.
const STDIN_LIMIT_BYTES: u64 = 64 * 1024;

/// Sends a certified SMS or a contract.
#[derive(Debug, Args)]
pub(super) struct SendArgs {
    /// Recipient, E.164, with their variables behind it: +34600000001,Pedro,2. May be given several times.
    #[arg(long = "to", required = true)]
    recipients: Vec<String>,
    /// DIR3 code of the administration that pays.
    #[arg(long)]
    administration: String,
    /// Its account; its first Mensatek account otherwise.
    #[arg(long, default_value = "")]
    account: String,
    /// What kind.
    #[arg(long, value_enum, default_value_t = KindArg::Certified)]
    kind: KindArg,
    /// What it says; {1} to {10} stand for variables. Read from standard input where absent.
    #[arg(long)]
    text: Option<String>,
    /// A file of the account's library that goes with it. May be given several times.
    #[arg(long = "library-file")]
    library_files: Vec<String>,
    /// A PDF of this machine that goes with it. May be given several times.
    #[arg(long = "pdf")]
    pdfs: Vec<PathBuf>,
    /// One of the account's senders.
    #[arg(long, default_value = "")]
    sender: String,
    /// When it is to be sent: 2026-12-01T10:00:00Z. At once where absent.
    #[arg(long)]
    at: Option<Timestamp>,
    /// Minutes for which the platform tries to reach the handset.
    #[arg(long)]
    valid_minutes: Option<i64>,
    /// How the recipient proves who they are before an attachment opens.
    #[arg(long, value_enum)]
    identify: Option<IdentifyArg>,
    /// Number of the recipient's identity document, for --identify document or certificate.
    #[arg(long, default_value = "", requires = "identify")]
    document: String,
    /// Days in which the recipient may accept or refuse before they see the content.
    #[arg(long, default_value_t = 0)]
    acceptance_days: i32,
    /// An earlier message that it is joined to.
    #[arg(long)]
    group: Option<String>,
    /// Your own id of the message.
    #[arg(long, default_value = "")]
    reference: String,
    /// UUID of the request; a repeat with the same one sends nothing. Without it a new one is made.
    #[arg(long)]
    request_id: Option<Uuid>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum KindArg {
    Certified,
    ContractByReply,
    ContractByAcceptance,
    ContractBySignature,
    ContractByVerifiedSignature,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum IdentifyArg {
    None,
    Phone,
    OneTimePin,
    Document,
    Certificate,
}

impl From<KindArg> for CertifiedMessageKind {
    fn from(kind: KindArg) -> Self {
        match kind {
            KindArg::Certified => Self::Certified,
            KindArg::ContractByReply => Self::ContractByReply,
            KindArg::ContractByAcceptance => Self::ContractByAcceptance,
            KindArg::ContractBySignature => Self::ContractBySignature,
            KindArg::ContractByVerifiedSignature => Self::ContractByVerifiedSignature,
        }
    }
}

impl From<IdentifyArg> for CertifiedIdentificationMethod {
    fn from(method: IdentifyArg) -> Self {
        match method {
            IdentifyArg::None => Self::None,
            IdentifyArg::Phone => Self::Phone,
            IdentifyArg::OneTimePin => Self::OneTimePin,
            IdentifyArg::Document => Self::Document,
            IdentifyArg::Certificate => Self::Certificate,
        }
    }
}

impl SendArgs {
    pub(super) async fn run(self, mut client: Client, out: Out) -> Done {
        let request = self.request()?;
        let request_id = request.request_id.clone();
        let answer = client
            .send_certified_message(request)
            .await
            .map_err(|status| {
                format!(
                    "{}\n  to ask again without sending twice: --request-id {request_id}",
                    told(&status)
                )
            })?
            .into_inner();
        let message = answer.message.unwrap_or_default();
        out.message(&message, json!({ "replayed": answer.replayed }));
        if !answer.gateway_detail.is_empty() {
            eprintln!("clave-otp: the platform says: {}", answer.gateway_detail);
        }
        taken(&message)
    }

    fn request(self) -> Result<SendCertifiedMessageRequest, String> {
        let text = match self.text {
            Some(text) => text,
            None => read_text()?,
        };
        let library = self.library_files.into_iter().map(Content::LibraryFile);
        let mut contents: Vec<Content> = library.collect();
        for path in &self.pdfs {
            let bytes = std::fs::read(path)
                .map_err(|error| format!("--pdf {}: {error}", path.display()))?;
            contents.push(Content::Pdf(bytes));
        }
        let request_id = self.request_id.unwrap_or_else(Uuid::new_v4);
        Ok(SendCertifiedMessageRequest {
            request_id: request_id.to_string(),
            administration: self.administration,
            account: full_account(&self.account),
            kind: CertifiedMessageKind::from(self.kind).into(),
            addressees: self.recipients.iter().map(|to| addressee(to)).collect(),
            text,
            attachments: contents
                .into_iter()
                .map(|content| CertifiedAttachment {
                    content: Some(content),
                })
                .collect(),
            sender: self.sender,
            send_time: self.at.map(to_proto),
            validity: self.valid_minutes.map(|minutes| prost_types::Duration {
                seconds: minutes.saturating_mul(60),
                nanos: 0,
            }),
            identification: self.identify.map(|method| CertifiedIdentification {
                method: CertifiedIdentificationMethod::from(method).into(),
                document_number: self.document,
            }),
            acceptance_days: self.acceptance_days,
            group: self.group.as_deref().map(full_name).unwrap_or_default(),
            reference: self.reference,
        })
    }
}

fn addressee(to: &str) -> CertifiedAddressee {
    let mut parts = to.split(',').map(str::to_owned);
    CertifiedAddressee {
        recipient: parts.next().unwrap_or_default(),
        variables: parts.collect(),
    }
}

fn read_text() -> Result<String, String> {
    let mut text = String::new();
    std::io::stdin()
        .take(STDIN_LIMIT_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| format!("standard input: {error}"))?;
    Ok(text.trim_end().to_owned())
}

fn to_proto(moment: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: moment.as_second(),
        nanos: moment.subsec_nanosecond(),
    }
}

/// Success only for what the platform took for sure.
fn taken(message: &CertifiedMessage) -> Done {
    match message.state() {
        CertifiedMessageState::Sent => Ok(()),
        _ => Err(format!(
            "the message was not taken for sure: {}",
            message.reason
        )),
    }
}

/// One message.
#[derive(Debug, Args)]
pub(super) struct NameArgs {
    /// Its name, certifiedMessages/{id}; the bare id will do.
    name: String,
}

impl NameArgs {
    pub(super) async fn get(self, mut client: Client, out: Out) -> Done {
        let name = full_name(&self.name);
        let request = GetCertifiedMessageRequest { name };
        let answer = client.get_certified_message(request).await;
        let answer = answer.map_err(|status| told(&status))?.into_inner();
        out.message(&answer.message.unwrap_or_default(), json!({}));
        Ok(())
    }

    pub(super) async fn cancel(self, mut client: Client, out: Out) -> Done {
        let name = full_name(&self.name);
        let request = CancelCertifiedMessageRequest { name };
        let answer = client.cancel_certified_message(request).await;
        let answer = answer.map_err(|status| told(&status))?.into_inner();
        let more = json!({
            "cancelled_recipients": answer.cancelled_recipients,
            "credits_back": answer.credits_back,
        });
        out.message(&answer.message.unwrap_or_default(), more);
        Ok(())
    }

    pub(super) async fn report(self, mut client: Client, out: Out) -> Done {
        let name = full_name(&self.name);
        let request = GetCertifiedReportRequest { name };
        let answer = client.get_certified_report(request).await;
        let answer = answer.map_err(|status| told(&status))?.into_inner();
        out.message(&answer.message.unwrap_or_default(), json!({}));
        Ok(())
    }
}

/// Moves a message that waits for its time, and what waits in its group.
#[derive(Debug, Args)]
pub(super) struct RescheduleArgs {
    /// Its name, certifiedMessages/{id}; the bare id will do.
    name: String,
    /// Its new time: 2026-12-01T10:00:00Z.
    #[arg(long)]
    at: Timestamp,
}

impl RescheduleArgs {
    pub(super) async fn run(self, mut client: Client, out: Out) -> Done {
        let request = RescheduleCertifiedMessageRequest {
            name: full_name(&self.name),
            send_time: Some(to_proto(self.at)),
        };
        let answer = client.reschedule_certified_message(request).await;
        let answer = answer.map_err(|status| told(&status))?.into_inner();
        let more = json!({ "moved_messages": answer.moved_messages });
        out.message(&answer.message.unwrap_or_default(), more);
        Ok(())
    }
}

/// Follows what the platform tells of certified messages.
#[derive(Debug, Args)]
pub(super) struct WatchArgs {
    /// DIR3 code: of this administration alone.
    #[arg(long, default_value = "")]
    administration: String,
    /// Goes on behind this token of an earlier watch; otherwise with what comes from now on.
    #[arg(long, default_value = "")]
    resume_token: String,
}

impl WatchArgs {
    pub(super) async fn run(self, mut client: Client, out: Out) -> Done {
        let mut token = self.resume_token.clone();
        let request = WatchCertifiedEventsRequest {
            administration: self.administration,
            resume_token: self.resume_token,
        };
        let stream = client.watch_certified_events(request).await;
        let mut events = stream.map_err(|status| told(&status))?.into_inner();
        let problem = loop {
            match events.message().await {
                Ok(Some(message)) => {
                    out.event(&message);
                    token = message.resume_token;
                }
                Ok(None) => break "the watch ended".to_owned(),
                Err(status) => break told(&status),
            }
        };
        Err(format!(
            "{problem}\n  to go on without a gap: clave-otp certified watch --resume-token {token}"
        ))
    }
}
