//! `EnviarSMS` and `EnviarSMSCERTIFICADO`: judges an order against the account, takes it, and says what follows.
//!
//! Must not know: HTTP, how parameters are written.

use std::{collections::HashSet, sync::Arc};

use super::{
    MensatekFunction, MensatekMessage,
    answer::{Reply, Wrong},
    book::{Book, Due, Entry, Stage},
    credits::Credits,
    library,
    order::{Order, Wanted},
    states,
    tags::Attachment,
    turn::Turn,
};
use crate::{
    domain::SecretText,
    simulator::{
        record::{Protocol, ReceivedMessage},
        reports::{ReportPolicy, ReportStep},
    },
};

/// The sender of an account that names none. **Assumed**.
const DEFAULT_SENDER: &str = "MENSATEK";

/// What was taken, and what follows at once.
pub(super) struct Taken {
    pub reply: Reply,
    pub now: Vec<(ReceivedMessage, Vec<ReportStep>)>,
    /// When the others follow.
    pub wake_at: Option<jiff::Timestamp>,
    /// Whether each message was taken, in order.
    pub sent: Vec<bool>,
}

/// Chooses the reports of a message: the script's, or none of its own choice.
pub(super) type Reports<'a> = dyn Fn(&ReceivedMessage) -> Option<Vec<ReportStep>> + 'a;

/// The messages of an order as the ledger keeps them, with the id that they will have if they are taken.
pub(super) fn messages(
    order: &Order,
    book: &mut Book,
    base: &ReceivedMessage,
) -> Vec<ReceivedMessage> {
    let id = order.group.unwrap_or_else(|| book.new_id());
    // A group keeps the sender of its first message (official text; confidence A).
    let of_group = book.group(id).map(|group| group.sender.clone());
    let sender = of_group.unwrap_or_else(|| match order.sender.trim() {
        "" => DEFAULT_SENDER.into(),
        sender => sender.into(),
    });
    let message = |wanted: &Wanted| {
        let text = SecretText::new(wanted.rendered.kept.clone());
        let starts = order.date.unwrap_or(base.receive_time);
        ReceivedMessage {
            protocol: Protocol::Mensatek,
            message_id: Some(id.to_string().into()),
            valid_until: order
                .validity
                .and_then(|validity| starts.checked_add(validity).ok()),
            mensatek: Some(Arc::new(details(order, wanted))),
            ..ReceivedMessage::new(
                base.request,
                base.receive_time,
                &base.login,
                (&wanted.phone, &text, &sender),
            )
        }
    };
    order.recipients.iter().map(message).collect()
}

fn details(order: &Order, wanted: &Wanted) -> MensatekMessage {
    let files = wanted.rendered.attachments.iter();
    let files = files.map(|attachment| match attachment {
        Attachment::File(name) => name.as_str().into(),
        Attachment::Inline { .. } => "base64.pdf".into(),
    });
    MensatekMessage {
        function: order.function,
        reference: order.reference.as_str().into(),
        contract_kind: order.contract_kind,
        segments: wanted.segments,
        tags: wanted.rendered.tags.clone(),
        files: files.collect(),
        scheduled: order.date,
        protection: order.protection,
        variables: wanted.variables.as_str().into(),
    }
}

/// Judges an order and takes it.
pub(super) fn take(
    book: &mut Book,
    turn: &Turn<'_>,
    (order, messages): (&Order, &[ReceivedMessage]),
    (reports, policy): (&Reports<'_>, &ReportPolicy),
) -> Result<Taken, Wrong> {
    judge(book, turn, order)?;
    let id = messages
        .first()
        .and_then(|message| message.message_id.clone());
    let id: u64 = id.and_then(|id| id.parse().ok()).unwrap_or_default();
    let sent = chosen(book, id, order);
    let count = sent.iter().filter(|sent| **sent).count();
    if count == 0 {
        return Err(Wrong::call("Ningún destinatario correcto"));
    }
    let price = match order.function {
        MensatekFunction::SendSms => book.rules.sms_cost,
        _ => book.rules.certified_cost,
    };
    let cost = |wanted: &Wanted| Credits::whole(price).times(wanted.segments);
    let recipients = || order.recipients.iter().zip(&sent).zip(messages);
    let needed = recipients()
        .filter(|((_, sent), _)| **sent)
        .fold(Credits::default(), |sum, ((wanted, _), _)| {
            sum.plus(cost(wanted))
        });
    let credits = book.own(turn.login).credits;
    let Some(left) = credits.minus(needed) else {
        // The text has two codes for it and does not tell them apart.
        let code = if credits == Credits::default() {
            -2
        } else {
            -5
        };
        return Err(Wrong {
            needed: Some(needed),
            ..Wrong::code(code)
        });
    };
    let res = turn.allows()?;
    book.own(turn.login).credits = left;
    let mut taken = Taken {
        reply: Reply::res(res.map_or(count, |code| usize::try_from(code).unwrap_or(count)))
            .with("Destinatarios", order.recipients.len())
            .with("Msgid", id)
            .with("idMensaje", id)
            .with("Mensajes", count)
            .with("NoEnviados", order.recipients.len() - count)
            .with("CreditosUsados", needed.json()),
        now: Vec::new(),
        wake_at: order.date,
        sent: sent.clone(),
    };
    let mut entries = Vec::new();
    for ((wanted, _), message) in recipients().filter(|((_, sent), _)| **sent) {
        let steps = steps(turn, message, reports(message));
        let (now, stage) = begin(order, steps, policy);
        entries.push(Entry {
            message: message.clone(),
            cost: cost(wanted),
            state: if order.date.is_some() {
                states::SCHEDULED
            } else {
                0
            },
            state_time: turn.now,
            stage,
        });
        taken.now.push((message.clone(), now));
    }
    let sender = messages.first().map_or("", |message| &message.sender);
    book.add(id, (turn.login, sender), entries);
    if let Some(at) = order.date {
        book.look_at(at, id);
    }
    Ok(taken)
}

/// What follows at once, and what waits for its time.
fn begin(order: &Order, steps: Vec<ReportStep>, policy: &ReportPolicy) -> (Vec<ReportStep>, Stage) {
    match order.date {
        None => (steps, Stage::Sent),
        Some(at) => {
            let silent = steps.iter().all(ReportStep::is_silent);
            let told = ReportStep::state_of(states::SCHEDULED).silent_if(silent);
            let due = Due {
                at,
                steps,
                policy: policy.clone(),
            };
            (vec![told], Stage::Scheduled(due))
        }
    }
}

/// What the account and its library have against an order.
fn judge(book: &mut Book, turn: &Turn<'_>, order: &Order) -> Result<(), Wrong> {
    let sender = order.sender.trim();
    if !sender.is_empty() && book.forbids(turn.login, sender) {
        return Err(Wrong::call("Remitente no autorizado"));
    }
    if order.date.is_some_and(|date| date <= turn.now) {
        return Err(Wrong::call("Fecha ya ha pasado"));
    }
    if let Some(id) = order.group {
        let unknown = || Wrong::call("Idmensaje desconocido");
        let group = book.group(id).ok_or_else(unknown)?;
        let kind = group.entries.first().and_then(Entry::details);
        if group.login != *turn.login || kind.is_some_and(|kind| kind.function != order.function) {
            return Err(unknown());
        }
    }
    let rules = book.rules;
    for wanted in &order.recipients {
        let mut has_pdf = false;
        for attachment in &wanted.rendered.attachments {
            has_pdf |= match attachment {
                Attachment::File(name) if !library::is_allowed(name) => {
                    return Err(Wrong::code(-4));
                }
                Attachment::File(name) => {
                    let found = book.own(turn.login).library.find(name);
                    found.ok_or(Wrong::code(-16))?
                }
                Attachment::Inline { is_pdf, bytes } => {
                    if !is_pdf || *bytes > rules.file_bytes {
                        return Err(Wrong::code(-4));
                    }
                    true
                }
            };
        }
        if order.contract_kind > 1 && !has_pdf {
            return Err(Wrong::code(-15));
        }
    }
    Ok(())
}

/// Which recipients get it: those with a right number that neither the order nor the group has had before.
fn chosen(book: &Book, id: u64, order: &Order) -> Vec<bool> {
    let earlier = book.group(id).map(|group| &group.entries);
    let earlier = earlier.into_iter().flatten();
    let mut seen: HashSet<&str> = earlier.map(|entry| entry.message.phone.expose()).collect();
    let recipients = order.recipients.iter();
    recipients
        .map(|wanted| wanted.is_phone() && seen.insert(wanted.phone.expose()))
        .collect()
}

/// The reports of a message: the script's or the usual ones; where the script wants none, the usual states come unsaid.
fn steps(
    turn: &Turn<'_>,
    message: &ReceivedMessage,
    scripted: Option<Vec<ReportStep>>,
) -> Vec<ReportStep> {
    let too_late = message.valid_until.is_some_and(|ends| ends <= turn.now);
    let usual = usual(message, too_late);
    match scripted {
        None => usual,
        Some(steps) if steps.is_empty() => {
            let unsaid = usual.into_iter().map(|step| step.silent_if(true));
            unsaid.collect()
        }
        Some(steps) => {
            let delivered = delivered(message);
            let steps = steps.into_iter();
            steps
                .map(|step| step.in_states_of_mensatek(delivered))
                .collect()
        }
    }
}

/// The state that says that the handset has it, or that this is certified.
fn delivered(message: &ReceivedMessage) -> i32 {
    match message.mensatek.as_deref() {
        Some(details) if details.function == MensatekFunction::SendSms => 11,
        Some(details) if details.contract_kind == 0 => 14,
        _ => 13,
    }
}

/// The usual states: under way and delivered; delivered and certified; or over. Contracts then wait for the citizen.
fn usual(message: &ReceivedMessage, too_late: bool) -> Vec<ReportStep> {
    let details = message.mensatek.as_deref();
    let contract_kind = details.map_or(0, |details| details.contract_kind);
    let certified =
        details.is_some_and(|details| details.function == MensatekFunction::SendCertified);
    let states: &[i32] = match (too_late, certified, contract_kind) {
        (true, ..) => &[2, 53],
        (_, false, _) => &[2, 11],
        (_, _, 0) => &[13, 14],
        (_, _, 1) => &[13, 15],
        _ => &[13],
    };
    states.iter().copied().map(ReportStep::state_of).collect()
}
