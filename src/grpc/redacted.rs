//! Hand-written `Debug` for the messages that carry a code, a citizen's own words or data, or the secret part of an address: printing one cannot leak it.

use std::fmt;

use super::proto::{
    Account, CertifiedAddressee, CertifiedAttachment, CertifiedAttachmentEvent,
    CertifiedIdentification, CertifiedReplyEvent, CreateDeliveryRequest,
    DownloadCertificatesResponse, PreviewDeliveryRequest, SendCertifiedMessageRequest,
    UploadLibraryFileRequest,
};

const HIDDEN: &str = "•••";

impl fmt::Debug for CreateDeliveryRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CreateDeliveryRequest")
            .field("request_id", &self.request_id)
            .field("administration", &self.administration)
            .field("recipient", &HIDDEN)
            .field("code", &HIDDEN)
            .field("purpose", &self.purpose)
            .field("language", &self.language)
            .field("expire_time", &self.expire_time)
            .field("origin", &self.origin)
            .field("sender", &self.sender)
            .field("reference", &self.reference)
            .finish()
    }
}

impl fmt::Debug for PreviewDeliveryRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PreviewDeliveryRequest")
            .field("administration", &self.administration)
            .field("recipient", &HIDDEN)
            .field("code", &HIDDEN)
            .field("purpose", &self.purpose)
            .field("language", &self.language)
            .field("expire_time", &self.expire_time)
            .field("origin", &self.origin)
            .field("sender", &self.sender)
            .finish()
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Account")
            .field("name", &self.name)
            .field("administration", &self.administration)
            .field("gateway", &self.gateway)
            .field("senders", &self.senders)
            .field("lane_state", &self.lane_state)
            .field("queue_length", &self.queue_length)
            .field("in_flight", &self.in_flight)
            .field("last_failure_reason", &self.last_failure_reason)
            .field("report_url", &HIDDEN)
            .field("aliases", &self.aliases)
            .finish_non_exhaustive()
    }
}

/// Messages of which nothing but their name and a size may be printed.
macro_rules! sized {
    ($($name:ty => $field:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{}({} of {})", stringify!($name), HIDDEN, self.$field.len())
            }
        }
    )*};
}

sized! {
    CertifiedAddressee => variables,
    CertifiedReplyEvent => text,
    DownloadCertificatesResponse => content,
    UploadLibraryFileRequest => content
}

impl fmt::Debug for CertifiedAttachment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("CertifiedAttachment(•••)")
    }
}

impl fmt::Debug for CertifiedIdentification {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "CertifiedIdentification({:?}, {HIDDEN})",
            self.method()
        )
    }
}

impl fmt::Debug for CertifiedAttachmentEvent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CertifiedAttachmentEvent")
            .field("action", &self.action())
            .field("protection", &self.protection())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SendCertifiedMessageRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SendCertifiedMessageRequest")
            .field("request_id", &self.request_id)
            .field("administration", &self.administration)
            .field("account", &self.account)
            .field("kind", &self.kind())
            .field("addressees", &self.addressees.len())
            .field("attachments", &self.attachments.len())
            .field("sender", &self.sender)
            .field("send_time", &self.send_time)
            .field("group", &self.group)
            .field("reference", &self.reference)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_request_shows_neither_code_nor_number() {
        let create = CreateDeliveryRequest {
            recipient: "+34600000001".into(),
            code: "748291".into(),
            ..CreateDeliveryRequest::default()
        };
        let preview = PreviewDeliveryRequest {
            recipient: "+34600000001".into(),
            code: "748291".into(),
            ..PreviewDeliveryRequest::default()
        };
        let printed = format!("{create:?} {preview:?}");
        assert!(!printed.contains("748291") && !printed.contains("600000001"));
    }
}
