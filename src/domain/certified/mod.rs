//! Certified messages and contracts by SMS: what is sent, what is asked of the recipient, what becomes of it.
//!
//! Everything of a citizen (texts, identities, files, answers) masks itself in `Debug`.

mod event;
mod file;
mod message;
mod request;
mod state;
mod text;
mod time;

pub use event::{
    AttachmentEvent, AttachmentEventKind, CertifiedEvent, CertifiedNews, Protection, ReplyText,
};
pub use file::{FileContent, LibraryFileName, LibraryFileNameError};
pub use message::{
    CertifiedMessage, CertifiedMessageState, CertifiedRecipient, CertifiedSubmission,
};
pub use request::{
    AcceptanceDays, Attachment, CertifiedId, CertifiedKind, Identification, IdentityNumber,
    MessageGroup, Validity, ValidityError, Variables,
};
pub use state::{PlatformState, Stage};
pub use text::{CertifiedText, CertifiedTextError, TextPart, forms_a_tag};
pub use time::{SendTime, SendTimeError, spanish_date_time, spanish_time};
