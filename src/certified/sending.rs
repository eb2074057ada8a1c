//! A certified message goes out: judged, recorded, handed over once, and what the platform says of it recorded.

use std::{collections::HashSet, sync::Arc};

use jiff::Timestamp;
use tokio::sync::OwnedSemaphorePermit;

use super::{
    Certified, OwnAccount, Refusal, Shared, Whose,
    desk::{AccountDesk, platform},
};
use crate::{
    crash_points::{self, Point},
    domain::{
        Caller, Reason, Recipient, Reference, RequestId, Sender,
        certified::{
            AcceptanceDays, Attachment, CertifiedId, CertifiedKind, CertifiedMessage,
            CertifiedMessageState, CertifiedRecipient, CertifiedSubmission, CertifiedText,
            Identification, MessageGroup, SendTime, Validity, Variables,
        },
        day_in_spain,
    },
    gateway::certified::{CertifiedFailure, CertifiedOrder, CertifiedSent},
    routing::{self, Ask, NoRoute},
    store::{CertifiedBegun, CertifiedReceipt, Content, NewCertified, RequestKey},
};

/// What a caller asks for, parsed.
#[derive(Debug, Clone)]
pub struct SendRequest {
    /// Whose account.
    pub whose: Whose,
    /// What kind.
    pub kind: CertifiedKind,
    /// Who gets it, each with their own variables.
    pub addressees: Vec<(Recipient, Variables)>,
    /// What it says.
    pub text: CertifiedText,
    /// What goes with it.
    pub attachments: Vec<Attachment>,
    /// The sender as asked.
    pub sender: Option<Sender>,
    /// When it is to be sent.
    pub send_time: Option<SendTime>,
    /// How long the platform tries.
    pub validity: Option<Validity>,
    /// How the recipient proves who they are.
    pub identification: Option<Identification>,
    /// For how many days the recipient may accept or refuse.
    pub acceptance: Option<AcceptanceDays>,
    /// An earlier message whose number it shares.
    pub group: Option<CertifiedId>,
    /// The caller's own id.
    pub reference: Option<Reference>,
}

/// A message, and what became of the request.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// The message as it is on the disk.
    pub message: CertifiedMessage,
    /// True when this call asked the platform nothing.
    pub replayed: bool,
    /// What the platform says of a refusal; not kept.
    pub detail: Option<Box<str>>,
}

/// What is ready to be recorded and handed over.
struct Prepared {
    desk: Arc<AccountDesk>,
    order: CertifiedOrder,
    place: OwnedSemaphorePermit,
}

impl Certified {
    /// Sends one message. An answer means: it is on the disk, with what the platform said of it.
    ///
    /// A request that was taken before is answered with its message, even where it would be refused today.
    pub async fn send(
        &self,
        caller: &Caller,
        id: RequestId,
        request: SendRequest,
    ) -> Result<Sent, Refusal> {
        let own = self.account(caller, &request.whose)?;
        let key = RequestKey {
            caller: caller.name.clone(),
            request_id: id,
        };
        let content = content(&request);
        let now = self.0.clock.now();
        match self.prepare(caller, own, &request, now).await {
            Ok(prepared) => {
                let shared = Arc::clone(&self.0);
                self.to_the_end(
                    async move { hand_over(&shared, key, content, request, prepared).await },
                )
                .await
            }
            Err(refusal) => match self.0.store.certified_receipt(&key, &content).await? {
                Some(receipt) => receipt.try_into(),
                None => Err(refusal),
            },
        }
    }

    /// Everything that can be refused before the platform is asked. Writes nothing.
    async fn prepare(
        &self,
        caller: &Caller,
        own: &OwnAccount,
        request: &SendRequest,
        now: Timestamp,
    ) -> Result<Prepared, Refusal> {
        if !platform(&own.desk.access())?.can_send() {
            return Err(Refusal::ContactMissing);
        }
        judge(request, now, self.0.limits.max_recipients)?;
        let joined = self.joined(caller, own, request).await?;
        let asked = joined.as_ref().map(|(_, sender)| sender);
        let sender = sender(own, request, asked, now)?;
        let order = CertifiedOrder {
            id: CertifiedId::new(now),
            kind: request.kind,
            recipients: request.addressees.clone(),
            text: request.text.clone(),
            attachments: request.attachments.clone(),
            sender,
            send_time: request.send_time,
            validity: request.validity,
            identification: request.identification.clone(),
            acceptance: request.acceptance,
            group: joined.map(|(group, _)| group),
        };
        Ok(Prepared {
            desk: Arc::clone(&own.desk),
            order,
            place: own.desk.place()?,
        })
    }

    /// The number and the sender of the message that this one is joined to.
    async fn joined(
        &self,
        caller: &Caller,
        own: &OwnAccount,
        request: &SendRequest,
    ) -> Result<Option<(MessageGroup, Sender)>, Refusal> {
        let Some(id) = request.group else {
            return Ok(None);
        };
        let earlier = self
            .get(caller, id)
            .await
            .map_err(|refusal| match refusal {
                Refusal::NotFound => Refusal::field("group", "is no message of this caller's"),
                other => other,
            })?;
        if earlier.account != own.desk.account {
            return Err(Refusal::field("group", "is a message of another account"));
        }
        let group = earlier
            .submission
            .group
            .ok_or_else(|| Refusal::field("group", "is a message whose number is not known"))?;
        if request
            .sender
            .as_ref()
            .is_some_and(|sender| *sender != earlier.sender)
        {
            return Err(Refusal::field(
                "sender",
                "the platform sends a message that is joined to another under that one's sender: leave it empty",
            ));
        }
        Ok(Some((group, earlier.sender)))
    }
}

/// The rules between the fields.
fn judge(request: &SendRequest, now: Timestamp, most_recipients: usize) -> Result<(), Refusal> {
    let addressees = &request.addressees;
    if addressees.is_empty() || addressees.len() > most_recipients {
        return Err(Refusal::field(
            "addressees",
            format!("must be 1 to {most_recipients} (certified.max_recipients)"),
        ));
    }
    let mut seen = HashSet::new();
    if !addressees
        .iter()
        .all(|(recipient, _)| seen.insert(recipient))
    {
        return Err(Refusal::field("addressees", "holds a recipient twice"));
    }
    let places = usize::from(request.text.highest_place());
    if addressees
        .iter()
        .any(|(_, variables)| variables.len() < places)
    {
        return Err(Refusal::field(
            "addressees.variables",
            "are fewer than the text has places for",
        ));
    }
    if request.send_time.is_some_and(|time| time.moment() <= now) {
        return Err(Refusal::field("send_time", "is over"));
    }
    judge_attachments(request)?;
    let is_for_certified_sms = request.identification.is_some() || request.acceptance.is_some();
    if is_for_certified_sms && request.kind.is_contract() {
        let field = if request.identification.is_some() {
            "identification"
        } else {
            "acceptance_days"
        };
        return Err(Refusal::field(
            field,
            "is for certified SMS, not for contracts",
        ));
    }
    let names_a_person = matches!(
        request.identification,
        Some(Identification::Document(_) | Identification::Certificate(_))
    );
    if names_a_person && addressees.len() > 1 {
        return Err(Refusal::field(
            "identification.document_number",
            "is one person's: send to one addressee",
        ));
    }
    Ok(())
}

fn judge_attachments(request: &SendRequest) -> Result<(), Refusal> {
    let is_pdf = |attachment: &Attachment| match attachment {
        Attachment::Library(name) => name.is_pdf(),
        Attachment::Inline(content) => content.is_pdf(),
    };
    let strange = |attachment: &&Attachment| matches!(attachment, Attachment::Inline(content) if !content.is_pdf());
    if request
        .attachments
        .iter()
        .any(|attachment| strange(&attachment))
    {
        return Err(Refusal::field(
            "attachments.pdf",
            "is no PDF: it must begin with %PDF-",
        ));
    }
    if request.kind.needs_pdf() && !request.attachments.iter().any(is_pdf) {
        return Err(Refusal::field(
            "attachments",
            "this kind of contract needs a PDF to accept",
        ));
    }
    Ok(())
}

/// The sender that reaches every recipient; `joined` is forced upon the message by the platform.
fn sender(
    own: &OwnAccount,
    request: &SendRequest,
    joined: Option<&Sender>,
    now: Timestamp,
) -> Result<Sender, Refusal> {
    let mut chosen: Option<&Sender> = None;
    for (recipient, _) in &request.addressees {
        let ways = routing::ways(
            &own.administration,
            &Ask {
                recipient,
                sender: request.sender.as_ref().or(joined),
                origin: None,
                today: day_in_spain(now),
            },
        )?;
        let sender = ways.first().map(|route| route.sender);
        let sender = sender.ok_or(Refusal::NoRoute(NoRoute::SenderNotAllowed))?;
        if *chosen.get_or_insert(sender) != sender {
            return Err(Refusal::field(
                "addressees",
                "are reached under different senders: send to those abroad apart",
            ));
        }
    }
    chosen
        .cloned()
        .ok_or(Refusal::NoRoute(NoRoute::SenderNotAllowed))
}

/// Records the message, hands it over, records what the platform says.
async fn hand_over(
    shared: &Shared,
    key: RequestKey,
    content: Content,
    request: SendRequest,
    prepared: Prepared,
) -> Result<Sent, Refusal> {
    let Prepared { desk, order, place } = prepared;
    let access = desk.access();
    let platform = platform(&access)?;
    let new = new_certified(key, content, request, &desk, &order, shared.clock.now());
    match shared.store.begin_certified(new).await? {
        CertifiedBegun::Recorded => crash_points::reach(Point::AfterAttemptRecord),
        CertifiedBegun::Known(receipt) => return receipt.try_into(),
        CertifiedBegun::LaneClosed(closure) => return Err(Refusal::LaneClosed(closure)),
    }
    let held = (&*shared.store, &*shared.clock);
    let request = platform.send(&order);
    let told = desk.ask(&access, held, "send", request).await;
    crash_points::reach(Point::AfterGatewayAnswer);
    drop(place);
    let told = told.unwrap_or_else(|refusal| {
        // The platform was not asked: its credentials were refused, or the store fails, since the message was recorded.
        tracing::warn!(message = %order.id, %refusal, "certified: a recorded message was not handed over");
        let reason = Reason::known(Reason::GATEWAY_CREDENTIALS_REJECTED);
        Err(CertifiedFailure::NotDone(match refusal {
            Refusal::LaneClosed(_) => reason,
            _ => Reason::known("STORE_UNAVAILABLE"),
        }))
    });
    let (state, submission, detail) = settlement(told);
    tracing::info!(message = %order.id, account = %desk.account, state = state.as_str(), reason = submission.reason.as_ref().map(Reason::as_str), "certified: handed over");
    let now = shared.clock.now();
    let settled = shared
        .store
        .settle_certified(order.id, state, submission, now)
        .await?;
    Ok(Sent {
        message: settled.ok_or(Refusal::NotFound)?,
        replayed: false,
        detail,
    })
}

/// What the platform's answer makes of a message.
fn settlement(
    told: Result<CertifiedSent, CertifiedFailure>,
) -> (CertifiedMessageState, CertifiedSubmission, Option<Box<str>>) {
    let with = |reason| CertifiedSubmission {
        reason: Some(reason),
        ..CertifiedSubmission::default()
    };
    match told {
        Ok(sent) => {
            let submission = CertifiedSubmission {
                group: sent.group,
                messages: Some(sent.messages),
                not_sent: Some(sent.not_sent),
                credits_used: sent.credits_used,
                ..CertifiedSubmission::default()
            };
            (CertifiedMessageState::Sent, submission, None)
        }
        Err(CertifiedFailure::Refused(refused)) => {
            let submission = CertifiedSubmission {
                code: refused.code,
                credits_needed: refused.credits_needed,
                ..with(refused.reason)
            };
            (CertifiedMessageState::Failed, submission, refused.detail)
        }
        Err(CertifiedFailure::NotDone(reason)) => {
            (CertifiedMessageState::Failed, with(reason), None)
        }
        Err(CertifiedFailure::Uncertain(reason)) => {
            (CertifiedMessageState::Uncertain, with(reason), None)
        }
        // Something was answered that nobody has read.
        Err(CertifiedFailure::TooLarge) => {
            let reason = Reason::known(Reason::GATEWAY_OUTCOME_UNKNOWN);
            (CertifiedMessageState::Uncertain, with(reason), None)
        }
    }
}

fn new_certified(
    key: RequestKey,
    content: Content,
    request: SendRequest,
    desk: &AccountDesk,
    order: &CertifiedOrder,
    now: Timestamp,
) -> NewCertified {
    let recipients: Vec<Recipient> = request
        .addressees
        .into_iter()
        .map(|(recipient, _)| recipient)
        .collect();
    NewCertified {
        message: CertifiedMessage {
            id: order.id,
            caller: key.caller.clone(),
            administration: request.whose.administration,
            account: desk.account.clone(),
            kind: order.kind,
            sender: order.sender.clone(),
            reference: request.reference,
            state: CertifiedMessageState::Sending,
            submission: CertifiedSubmission {
                group: order.group,
                ..CertifiedSubmission::default()
            },
            send_time: order.send_time.map(SendTime::moment),
            recipients: recipients
                .iter()
                .map(|recipient| CertifiedRecipient {
                    masked: recipient.masked().into_boxed_str(),
                    state: None,
                    state_time: None,
                })
                .collect(),
            create_time: now,
            update_time: now,
        },
        key,
        content,
        recipients,
    }
}

impl TryFrom<CertifiedReceipt> for Sent {
    type Error = Refusal;

    fn try_from(receipt: CertifiedReceipt) -> Result<Self, Refusal> {
        match receipt {
            CertifiedReceipt::Same(message) => Ok(Self {
                message: *message,
                replayed: true,
                detail: None,
            }),
            CertifiedReceipt::Reused => Err(Refusal::RequestIdReused),
        }
    }
}

/// All that the caller wrote, each part with its length before it.
fn content(request: &SendRequest) -> Content {
    let number = |number: i64| number.to_be_bytes();
    let kind = number(request.kind.number().into());
    let send_time = number(
        request
            .send_time
            .map_or(0, |time| time.moment().as_microsecond()),
    );
    let (days, hours, minutes) = request.validity.map_or((0, 0, 0), Validity::parts);
    let validity = number(i64::from((days * 24 + hours) * 60 + minutes));
    let acceptance = number(request.acceptance.map_or(0, |days| i64::from(days.days())));
    let (way, document) = match &request.identification {
        None => (0, ""),
        Some(Identification::Open) => (1, ""),
        Some(Identification::Phone) => (2, ""),
        Some(Identification::OneTimePin) => (3, ""),
        Some(Identification::Document(number)) => (4, number.expose()),
        Some(Identification::Certificate(number)) => (5, number.expose()),
    };
    let (way, group) = (number(way), request.group.map(|id| *id.as_bytes()));
    let mut fields: Vec<&[u8]> = vec![
        request.whose.administration.as_str().as_bytes(),
        request
            .whose
            .account
            .as_ref()
            .map_or(b"", |id| id.as_str().as_bytes()),
        &kind,
        request.text.expose().as_bytes(),
        request
            .sender
            .as_ref()
            .map_or(b"", |sender| sender.as_str().as_bytes()),
        &send_time,
        &validity,
        &acceptance,
        &way,
        document.as_bytes(),
        group.as_ref().map_or(b"", |id| id.as_slice()),
        request
            .reference
            .as_ref()
            .map_or(b"", |own| own.as_str().as_bytes()),
    ];
    for (recipient, variables) in &request.addressees {
        fields.extend([b"addressee", recipient.expose_e164().as_bytes()]);
        fields.extend(variables.expose().map(str::as_bytes));
    }
    for attachment in &request.attachments {
        fields.extend(match attachment {
            Attachment::Library(name) => [b"library".as_slice(), name.as_str().as_bytes()],
            Attachment::Inline(content) => [b"inline".as_slice(), content.expose()],
        });
    }
    Content::of_fields(&fields)
}
