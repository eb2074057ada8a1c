//! Certified messages and what becomes of them, in words and as JSON.

use serde_json::{Value, json};

use super::super::client::Format;
use crate::grpc::proto::{
    CertifiedEvent, CertifiedMessage, CertifiedMessageKind, CertifiedMessageState, CertifiedStage,
    CertifiedStatus, WatchCertifiedEventsResponse, certified_event::News,
};

/// Prints.
#[derive(Debug, Clone, Copy)]
pub(super) struct Out(pub(super) Format);

impl Out {
    /// A message; for programs with what else the answer says.
    pub(super) fn message(self, message: &CertifiedMessage, more: Value) {
        match self.0 {
            Format::Text => println!("{}", in_words(message)),
            Format::Json => {
                let mut line = as_json(message);
                if let (Some(line), Value::Object(more)) = (line.as_object_mut(), more) {
                    line.extend(more);
                }
                println!("{line}");
            }
        }
    }

    /// Anything else: words for people, one object for programs.
    pub(super) fn other(self, words: &str, value: &Value) {
        match self.0 {
            Format::Text => println!("{words}"),
            Format::Json => println!("{value}"),
        }
    }

    /// An event; programs see each token too, so that they can go on behind what they have dealt with.
    pub(super) fn event(self, told: &WatchCertifiedEventsResponse) {
        match (self.0, &told.event) {
            (Format::Text, Some(event)) => println!("{}", event_in_words(event)),
            (Format::Text, None) => {}
            (Format::Json, event) => {
                let mut line = event.as_ref().map_or_else(|| json!({}), event_as_json);
                line["resume_token"] = told.resume_token.as_str().into();
                println!("{line}");
            }
        }
    }
}

fn state(state: CertifiedMessageState) -> &'static str {
    let name = state.as_str_name();
    name.strip_prefix("CERTIFIED_MESSAGE_STATE_")
        .unwrap_or(name)
}

fn kind(kind: CertifiedMessageKind) -> &'static str {
    let name = kind.as_str_name();
    name.strip_prefix("CERTIFIED_MESSAGE_KIND_").unwrap_or(name)
}

fn stage(stage: CertifiedStage) -> &'static str {
    let name = stage.as_str_name();
    name.strip_prefix("CERTIFIED_STAGE_").unwrap_or(name)
}

fn time(time: Option<prost_types::Timestamp>) -> Option<String> {
    time.map(|time| time.to_string())
}

fn status_in_words(status: &CertifiedStatus) -> String {
    if status.meaning.is_empty() {
        format!("state {}", status.number)
    } else {
        format!("{} ({})", status.meaning, status.number)
    }
}

fn in_words(message: &CertifiedMessage) -> String {
    let mut words = format!(
        "{}  {:<9} {} from {} by {}",
        message.name,
        state(message.state()),
        kind(message.kind()),
        message.sender,
        message.account,
    );
    if !message.reason.is_empty() {
        words = format!("{words}  {}", message.reason);
    }
    for recipient in &message.recipients {
        let status = recipient.status.as_ref();
        let status = status.map_or_else(|| "nothing told yet".to_owned(), status_in_words);
        words = format!("{words}\n  {}  {status}", recipient.masked_recipient);
    }
    words
}

fn status_as_json(status: &CertifiedStatus) -> Value {
    json!({
        "number": status.number,
        "meaning": status.meaning,
        "stage": stage(status.stage()),
        "reason": status.reason,
        "final": status.r#final,
        "certificate_available": status.certificate_available,
    })
}

fn as_json(message: &CertifiedMessage) -> Value {
    let recipients: Vec<Value> = message
        .recipients
        .iter()
        .map(|recipient| {
            json!({
                "masked_recipient": recipient.masked_recipient,
                "status": recipient.status.as_ref().map(status_as_json),
                "status_time": time(recipient.status_time),
            })
        })
        .collect();
    json!({
        "name": message.name,
        "administration": message.administration,
        "account": message.account,
        "kind": kind(message.kind()),
        "state": state(message.state()),
        "reason": message.reason,
        "gateway_code": message.gateway_code,
        "gateway_message_id": message.gateway_message_id,
        "sender": message.sender,
        "reference": message.reference,
        "recipients": recipients,
        "messages": message.messages,
        "not_sent": message.not_sent,
        "credits_used": message.credits_used,
        "credits_needed": message.credits_needed,
        "send_time": time(message.send_time),
        "create_time": time(message.create_time),
        "update_time": time(message.update_time),
    })
}

fn news_in_words(news: &News) -> String {
    match news {
        News::State(state) => state
            .status
            .as_ref()
            .map_or_else(String::new, status_in_words),
        News::Attachment(attachment) => {
            let action = attachment.action().as_str_name();
            let action = action
                .strip_prefix("CERTIFIED_ATTACHMENT_ACTION_")
                .unwrap_or(action);
            format!("{action} {}", attachment.file_name)
        }
        // What a citizen wrote is for programs that asked for it, not for a screen that others see.
        News::Reply(reply) => format!("an answer of {} characters", reply.text.chars().count()),
    }
}

fn event_in_words(event: &CertifiedEvent) -> String {
    let news = event.news.as_ref().map_or_else(String::new, news_in_words);
    let when = time(event.event_time).unwrap_or_default();
    format!(
        "{}  {}  {news}  {when}",
        event.message, event.masked_recipient
    )
}

fn event_as_json(event: &CertifiedEvent) -> Value {
    let news = match &event.news {
        None => Value::Null,
        Some(News::State(state)) => json!({
            "state": state.status.as_ref().map(status_as_json),
            "seconds": state.seconds,
        }),
        Some(News::Attachment(attachment)) => json!({
            "action": attachment.action().as_str_name().trim_start_matches("CERTIFIED_ATTACHMENT_ACTION_"),
            "gateway_number": attachment.gateway_number,
            "file_name": attachment.file_name,
            "protection": attachment.protection().as_str_name().trim_start_matches("CERTIFIED_ATTACHMENT_PROTECTION_"),
            "value": attachment.value,
            "address": attachment.address,
            "port": attachment.port,
        }),
        Some(News::Reply(reply)) => json!({ "reply": reply.text, "certified": reply.certified }),
    };
    json!({
        "message": event.message,
        "administration": event.administration,
        "account": event.account,
        "recipient_index": event.recipient_index,
        "masked_recipient": event.masked_recipient,
        "event_time": time(event.event_time),
        "receive_time": time(event.receive_time),
        "news": news,
    })
}
