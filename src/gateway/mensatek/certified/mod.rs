//! Certified messages and contracts: the functions of API 7.0, one request each.
//!
//! Must not know: who asks, what is kept. Nothing is tried again here.

mod codes;
pub(super) mod wire;

use std::{collections::VecDeque, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};

use self::{codes::Function, wire::Form};
use super::{
    MensatekGateway,
    wire::{Answered, Unreadable, parse_answered},
};
use crate::{
    domain::{
        Reason,
        certified::{LibraryFileName, MessageGroup, SendTime},
    },
    gateway::{
        Outcome, Verdict,
        certified::{
            CertificateStream, CertifiedCancelled, CertifiedFailure, CertifiedGateway,
            CertifiedOrder, CertifiedSent, LibraryFile, LibraryUpload, PlatformRefusal,
            RecipientState, RefusalKind, WantedCertificates,
        },
        http::{Broken, ExchangeError, OpenAnswer},
        outcomes::{of_failure, of_status},
    },
};

/// How a ZIP begins: an entry, or the end of an empty one.
const ZIP_BEGINS: [&[u8]; 2] = [b"PK\x03\x04", b"PK\x05\x06"];
/// Enough to see it.
const ZIP_MARK_BYTES: usize = 4;

/// How long a request may wait to begin: the time-outs of connecting and of the whole end it before.
const START_WITHIN: Duration = Duration::from_secs(3600);

type Told<T> = Result<T, CertifiedFailure>;

impl MensatekGateway {
    fn headers(&self, form: &Form, accept: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, self.authorization.clone());
        // Made of our own letters and digits.
        if let Ok(content_type) = HeaderValue::from_str(&form.content_type) {
            headers.insert(CONTENT_TYPE, content_type);
        }
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        headers
    }

    /// One request and what a whole answer says, where it says yes.
    async fn ask(&self, function: Function, form: Form) -> Told<Answered> {
        let headers = self.headers(&form, "application/json");
        let http = self.platform.below(function.address());
        let answer = http
            .post(headers, form.body, &START_WITHIN.into())
            .await
            .map_err(|error| not_answered(function, error))?;
        self.judge(function, answer.status.is_success(), &answer.body)
            .map_err(|problem| match problem {
                Problem::Said(failure) => failure,
                Problem::Unreadable if !answer.status.is_success() => {
                    failure(function, of_status(answer.status))
                }
                Problem::Unreadable => unclear(function),
            })
    }

    fn judge(
        &self,
        function: Function,
        is_success: bool,
        body: &[u8],
    ) -> Result<Answered, Problem> {
        let answered = parse_answered(body).map_err(|_: Unreadable| Problem::Unreadable)?;
        let answer = answered.answer.clone();
        self.credit.keep(answer.credit);
        match answer.code {
            1.. if is_success => Ok(answered),
            // Success in an answer that says failure.
            1.. => Err(Problem::Said(unclear(function))),
            // Nothing sent, and nothing said against it, leaves it open what became of it.
            0 if function == Function::Send && answer.not_sent.is_none_or(|count| count == 0) => {
                Err(Problem::Said(unclear(function)))
            }
            code => Err(Problem::Said(match self.explained(function, code) {
                Some(explained) => failure(function, explained),
                None => CertifiedFailure::Refused(Box::new(codes::refusal(function, &answered))),
            })),
        }
    }

    /// What the installation says of a number; it explains those of sending alone.
    fn explained(&self, function: Function, code: i64) -> Option<Outcome> {
        let is_sending = function == Function::Send;
        is_sending.then(|| self.codes.outcome(code)).flatten()
    }
}

/// Why an answer says no.
enum Problem {
    /// It says so.
    Said(CertifiedFailure),
    /// It says nothing.
    Unreadable,
}

/// Nobody can say what became of it; of what only reads, nothing is lost.
fn unclear(function: Function) -> CertifiedFailure {
    let reason = Reason::known(Reason::GATEWAY_OUTCOME_UNKNOWN);
    if function.only_reads() {
        CertifiedFailure::NotDone(reason)
    } else {
        CertifiedFailure::Uncertain(reason)
    }
}

fn not_answered(function: Function, error: ExchangeError) -> CertifiedFailure {
    if let ExchangeError::Broken {
        kind: Broken::AnswerTooLarge,
        status: Some(status),
    } = error
        && status.is_success()
        && function.only_reads()
    {
        return CertifiedFailure::TooLarge;
    }
    failure(function, of_failure(error))
}

/// What the end of an exchange says, as the other services say it, in the words of these functions.
fn failure(function: Function, outcome: Outcome) -> CertifiedFailure {
    match outcome {
        Outcome::NotSent { reason, .. } => CertifiedFailure::NotDone(reason),
        Outcome::Rejected {
            reason,
            code,
            verdict,
        } => CertifiedFailure::Refused(Box::new(PlatformRefusal {
            reason,
            kind: match verdict {
                Verdict::Message => RefusalKind::State,
                Verdict::Credentials => RefusalKind::Credentials,
                Verdict::Quota => RefusalKind::NoCredit,
            },
            code,
            detail: None,
            credits_needed: None,
        })),
        Outcome::Uncertain { reason } if function.only_reads() => CertifiedFailure::NotDone(reason),
        Outcome::Uncertain { reason } => CertifiedFailure::Uncertain(reason),
        // No failure says so.
        Outcome::Accepted(_) => unclear(function),
    }
}

#[async_trait]
impl CertifiedGateway for MensatekGateway {
    fn can_send(&self) -> bool {
        self.contact.is_some()
    }

    async fn send(&self, order: &CertifiedOrder) -> Told<CertifiedSent> {
        let Some(contact) = &self.contact else {
            let reason = Reason::known("CERTIFIED_CONTACT_MISSING");
            return Err(CertifiedFailure::NotDone(reason));
        };
        let form = wire::send(order, contact, self.reports);
        let answered = self.ask(Function::Send, form).await?;
        let answer = &answered.answer;
        let count = |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok());
        let (messages, not_sent) = (count(answer.sent), count(answer.not_sent).unwrap_or(0));
        // All of them were wrong numbers, or repeated ones.
        if messages == Some(0) && not_sent > 0 {
            return Err(CertifiedFailure::Refused(Box::new(PlatformRefusal {
                reason: Reason::known(Reason::GATEWAY_REJECTED_NUMBER),
                kind: RefusalKind::Invalid,
                code: Some(answer.code),
                detail: None,
                credits_needed: None,
            })));
        }
        let code = u64::try_from(answer.code).unwrap_or_default();
        Ok(CertifiedSent {
            group: answer.message_id.as_ref().and_then(|id| {
                let number = id.as_str().parse().ok()?;
                MessageGroup::new(number)
            }),
            messages: messages.unwrap_or(code),
            not_sent,
            credits_used: answered.number(&["creditosusados"]),
        })
    }

    async fn cancel(&self, group: MessageGroup) -> Told<CertifiedCancelled> {
        let form = wire::of_message(Some(group.number()));
        let answered = self.ask(Function::Cancel, form).await?;
        Ok(CertifiedCancelled {
            recipients: u64::try_from(answered.answer.code).unwrap_or_default(),
            credits_back: answered.number(&["credr"]),
        })
    }

    async fn reschedule(&self, group: MessageGroup, send_time: SendTime) -> Told<u64> {
        let form = wire::reschedule(group.number(), send_time);
        let Answered { answer, .. } = self.ask(Function::Reschedule, form).await?;
        Ok(u64::try_from(answer.code).unwrap_or_default())
    }

    async fn report(&self, group: MessageGroup) -> Told<Vec<RecipientState>> {
        let form = wire::of_message(Some(group.number()));
        let Answered { fields, .. } = self.ask(Function::Report, form).await?;
        let rows = fields.as_ref().map_or(Ok(Vec::new()), wire::report);
        rows.map_err(|_| unclear(Function::Report))
    }

    /// The answer to a wrong question is read whole; a ZIP is handed on as it comes.
    async fn certificates(&self, wanted: &WantedCertificates) -> Told<CertificateStream> {
        let function = Function::Certificates;
        let form = wire::certificates(wanted);
        let headers = self.headers(
            &form,
            "application/zip, application/octet-stream, application/json",
        );
        let http = self.platform.below(function.address());
        let mut answer = http
            .post_and_open(headers, form.body, START_WITHIN, self.download.patience)
            .await
            .map_err(|error| not_answered(function, error))?;
        let most = self.download.max_bytes;
        let (begin, is_zip) = beginning(&mut answer)
            .await
            .map_err(|error| not_answered(function, error))?;
        if is_zip && answer.status().is_success() {
            if answer.announced_bytes().is_some_and(|bytes| bytes > most) {
                return Err(CertifiedFailure::TooLarge);
            }
            return Ok(pieces(begin, answer, most));
        }
        let joined = Bytes::from(begin.iter().flatten().copied().collect::<Vec<u8>>());
        let answer = answer
            .whole(joined)
            .await
            .map_err(|error| not_answered(function, error))?;
        match self.judge(function, answer.status.is_success(), &answer.body) {
            Err(Problem::Said(failure)) => Err(failure),
            Err(Problem::Unreadable) if !answer.status.is_success() => {
                Err(failure(function, of_status(answer.status)))
            }
            // Neither a refusal nor certificates.
            Ok(_) | Err(Problem::Unreadable) => Err(unclear(function)),
        }
    }

    async fn upload(&self, file: &LibraryUpload) -> Told<Box<str>> {
        // 122 random bits: no file holds them by chance.
        let boundary = format!("clave-otp-{}", uuid::Uuid::new_v4().simple());
        let form = wire::upload(file, &boundary);
        let Answered { fields, .. } = self.ask(Function::Upload, form).await?;
        let given = fields.as_ref().and_then(wire::name);
        Ok(given.unwrap_or_else(|| file.name.as_str().into()))
    }

    async fn files(&self) -> Told<Vec<LibraryFile>> {
        let Answered { fields, .. } = self.ask(Function::Files, wire::of_message(None)).await?;
        let rows = fields.as_ref().map_or(Ok(Vec::new()), wire::files);
        rows.map_err(|_| unclear(Function::Files))
    }

    async fn delete_file(&self, name: &LibraryFileName) -> Told<()> {
        self.ask(Function::Delete, wire::delete(name))
            .await
            .map(drop)
    }

    async fn balance(&self) -> Told<f64> {
        let answered = self.ask(Function::Balance, wire::of_message(None)).await?;
        answered
            .answer
            .credit
            .ok_or_else(|| unclear(Function::Balance))
    }
}

/// What has come when it can be told whether it is a ZIP.
async fn beginning(answer: &mut OpenAnswer) -> Result<(VecDeque<Bytes>, bool), ExchangeError> {
    let mut begin = VecDeque::new();
    let mut mark = Vec::with_capacity(ZIP_MARK_BYTES);
    while mark.len() < ZIP_MARK_BYTES {
        let Some(piece) = answer.piece().await? else {
            break;
        };
        mark.extend(piece.iter().take(ZIP_MARK_BYTES - mark.len()));
        begin.push_back(piece);
    }
    let is_zip = ZIP_BEGINS.contains(&mark.as_slice());
    Ok((begin, is_zip))
}

/// The pieces of a download, which ends with a failure where it is longer than `most` bytes or breaks off.
fn pieces(begin: VecDeque<Bytes>, answer: OpenAnswer, most: u64) -> CertificateStream {
    struct Coming {
        begin: VecDeque<Bytes>,
        answer: OpenAnswer,
        left: u64,
    }
    let coming = Coming {
        begin,
        answer,
        left: most,
    };
    Box::pin(stream::unfold(Some(coming), |coming| async {
        let mut coming = coming?;
        let piece = match coming.begin.pop_front() {
            Some(piece) => Some(piece),
            None => match coming.answer.piece().await {
                Ok(piece) => piece,
                Err(error) => {
                    let failure = not_answered(Function::Certificates, error);
                    return Some((Err(failure), None));
                }
            },
        }?;
        let length = piece.len() as u64;
        if length > coming.left {
            return Some((Err(CertifiedFailure::TooLarge), None));
        }
        coming.left -= length;
        Some((Ok(piece), Some(coming)))
    }))
}

/// Limits on what is read piece by piece.
#[derive(Debug, Clone, Copy)]
pub struct DownloadLimits {
    /// Most bytes of one download (`certified.max_download_bytes`).
    pub max_bytes: u64,
    /// Longest time for all of it (`certified.download_timeout_seconds`).
    pub patience: Duration,
}

impl Default for DownloadLimits {
    /// 256 MiB in ten minutes.
    fn default() -> Self {
        Self {
            max_bytes: 256 * 1024 * 1024,
            patience: Duration::from_secs(600),
        }
    }
}
