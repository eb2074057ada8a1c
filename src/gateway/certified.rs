//! The port to what a platform can do with certified messages and contracts: one function each, as its API has them.
//!
//! Must not know: who asks, what is kept of it. Nothing is tried again here; a function that may have been carried out says so.

use std::{fmt, pin::Pin};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;
use jiff::{
    Timestamp,
    civil::{Date, DateTime},
};

use crate::domain::{
    Reason, Recipient, ReportedNumber, Sender,
    certified::{
        AcceptanceDays, Attachment, CertifiedId, CertifiedKind, CertifiedText, FileContent,
        Identification, LibraryFileName, MessageGroup, PlatformState, SendTime, Validity,
        Variables,
    },
};

/// One certified message, or contract, for some recipients.
#[derive(Debug, Clone)]
pub struct CertifiedOrder {
    /// Our own id; comes back with every event.
    pub id: CertifiedId,
    /// What kind.
    pub kind: CertifiedKind,
    /// Who gets it, each with their own variables; at least one.
    pub recipients: Vec<(Recipient, Variables)>,
    /// What it says.
    pub text: CertifiedText,
    /// What goes with it, in this order.
    pub attachments: Vec<Attachment>,
    /// What the recipient sees as its origin.
    pub sender: Sender,
    /// When it is to be sent; at once where there is none.
    pub send_time: Option<SendTime>,
    /// How long the platform tries.
    pub validity: Option<Validity>,
    /// How the recipient proves who they are.
    pub identification: Option<Identification>,
    /// Whether the recipient is asked to accept first, and for how many days.
    pub acceptance: Option<AcceptanceDays>,
    /// Joins the message to an earlier one.
    pub group: Option<MessageGroup>,
}

/// What the platform took.
#[derive(Debug, Clone, PartialEq)]
pub struct CertifiedSent {
    /// Its number there.
    pub group: Option<MessageGroup>,
    /// Messages that it took.
    pub messages: u64,
    /// Messages that it did not: a repeated or wrong number.
    pub not_sent: u64,
    /// What it cost, in the platform's credits.
    pub credits_used: Option<f64>,
}

/// Why a function did not do what was asked.
#[derive(Debug, Clone, PartialEq)]
pub enum CertifiedFailure {
    /// The platform refused: nothing was done.
    Refused(Box<PlatformRefusal>),
    /// Nothing reached the platform, or it is busy, or nothing is lost by asking again: it may be tried again.
    NotDone(Reason),
    /// It may or may not have been done.
    Uncertain(Reason),
    /// What comes is larger than we read.
    TooLarge,
}

/// What the platform says against what was asked.
#[derive(Debug, Clone, PartialEq)]
pub struct PlatformRefusal {
    /// What it means: a word of its own for each function and number.
    pub reason: Reason,
    /// What follows from it.
    pub kind: RefusalKind,
    /// The platform's number; none where it answered with an HTTP status alone.
    pub code: Option<i64>,
    /// What the platform says of it, for developers: cut, and without digits. Whoever asked may see it; it is neither kept nor
    /// logged, for it may repeat what was asked.
    pub detail: Option<Box<str>>,
    /// Credits that would have been needed, where told.
    pub credits_needed: Option<f64>,
}

/// What follows from a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// The account's credentials are not accepted: its lane must close.
    Credentials,
    /// The account has no credit: its lane must close.
    NoCredit,
    /// What was asked is wrong.
    Invalid,
    /// There is no such thing in this account.
    Absent,
    /// It cannot be done as things stand.
    State,
    /// The platform could not do it; later it may.
    Trouble,
}

/// What became of a cancelled message.
#[derive(Debug, Clone, PartialEq)]
pub struct CertifiedCancelled {
    /// Recipients that get nothing.
    pub recipients: u64,
    /// Credits that came back.
    pub credits_back: Option<f64>,
}

/// What the platform knows of one recipient.
#[derive(Debug, Clone, PartialEq)]
pub struct RecipientState {
    /// Who.
    pub recipient: Option<ReportedNumber>,
    /// Which state.
    pub state: PlatformState,
    /// When.
    pub time: Option<Timestamp>,
    /// How long it took, in seconds.
    pub seconds: Option<u32>,
}

/// Which certificates are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum WantedCertificates {
    /// Of all recipients of a message.
    OfMessage(MessageGroup),
    /// Of one recipient of a message.
    OfRecipient(MessageGroup, Recipient),
    /// Of everything sent between two days, both included. Their names `FechaInicio` and `FechaFin` stand in the text, their form
    /// does not: `YYYY-MM-DD` is an assumption (confidence C).
    Between(Date, Date),
}

/// A ZIP of PDF certificates and a CSV, piece by piece: never held whole.
pub type CertificateStream = Pin<Box<dyn Stream<Item = Result<Bytes, CertifiedFailure>> + Send>>;

/// A file for the library.
#[derive(Debug, Clone)]
pub struct LibraryUpload {
    /// Its name there.
    pub name: LibraryFileName,
    /// What it holds.
    pub content: FileContent,
    /// Whether the platform deletes it when the message that uses it is certified: for files that are used once.
    pub delete_when_certified: bool,
    /// How it travels.
    pub form: UploadForm,
}

/// How a file travels: `Tipo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum UploadForm {
    /// As a part of a form (`FILES`): what the platform recommends.
    #[default]
    Files,
    /// As text in Base64 (`BASE64`).
    Base64,
}

/// A file of the library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LibraryFile {
    /// Its name as the platform tells it.
    pub name: Box<str>,
    /// When it was uploaded, in Spanish time, where that can be read.
    pub upload_time: Option<DateTime>,
}

/// A platform that certifies messages.
#[async_trait]
pub trait CertifiedGateway: Send + Sync + fmt::Debug {
    /// Whether it can send: certificates name a contact, which not every account has.
    fn can_send(&self) -> bool;
    /// `EnviarSMSCERTIFICADO`
    async fn send(&self, order: &CertifiedOrder) -> Result<CertifiedSent, CertifiedFailure>;
    /// `CancelarSMSCERTIFICADO`
    async fn cancel(&self, group: MessageGroup) -> Result<CertifiedCancelled, CertifiedFailure>;
    /// `ReprogramarSMSCERTIFICADO`; answers how many messages were moved.
    async fn reschedule(
        &self,
        group: MessageGroup,
        send_time: SendTime,
    ) -> Result<u64, CertifiedFailure>;
    /// `GetReportSMSCERTIFICADO`
    async fn report(&self, group: MessageGroup) -> Result<Vec<RecipientState>, CertifiedFailure>;
    /// `GetSMSCERTIFICADO`
    async fn certificates(
        &self,
        wanted: &WantedCertificates,
    ) -> Result<CertificateStream, CertifiedFailure>;
    /// `CargarFichero`; answers the name that the platform gave it.
    async fn upload(&self, file: &LibraryUpload) -> Result<Box<str>, CertifiedFailure>;
    /// `ListarFicheros`
    async fn files(&self) -> Result<Vec<LibraryFile>, CertifiedFailure>;
    /// `BorrarFichero`
    async fn delete_file(&self, name: &LibraryFileName) -> Result<(), CertifiedFailure>;
    /// `GetCreditos`
    async fn balance(&self) -> Result<f64, CertifiedFailure>;
}
