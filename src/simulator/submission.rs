//! One text submitted over SOAP or REST: let in, judged, and followed by its reports.
//!
//! Must not know: XML, JSON, HTTP.

use secrecy::SecretString;
use uuid::Uuid;

use super::{
    codes,
    platform::{PhoneForms, Platform, Verdict},
    record::{Protocol, ReceivedMessage, Refusal, WirePhone},
    reports::ReportStep,
    script::{Action, Script},
    visit::Visit,
    wishes::{self, ReportUrl, WantedReports},
};
use crate::domain::SecretText;

/// Most recipients of one text. **Assumed**: as many as an XML-RPC request may carry.
pub(super) const MOST_RECIPIENTS: usize = 500;

/// Who submits.
#[derive(Debug)]
pub(super) struct Credentials {
    pub login: String,
    pub password: SecretString,
}

/// What is submitted: a text in the right shape. Phones, sender and text have not been judged yet.
#[derive(Debug)]
pub(super) struct Submission {
    pub sender: String,
    pub recipients: Vec<WirePhone>,
    pub text: SecretText,
    /// `ExpiryDate`, as on the wire.
    pub validity: Option<String>,
    pub wants: WantedReports,
    pub report_url: Option<ReportUrl>,
}

/// A submission that was let in and judged.
pub(super) struct Judged {
    pub visit: Visit,
    /// The code of each message.
    pub codes: Vec<i32>,
    /// The code of the whole.
    pub code: i32,
    /// Told with an accepting code.
    pub message_id: Option<Box<str>>,
    /// How to answer; the right answer where there is none.
    pub how: Option<Action>,
}

/// Lets a submission in, waits and judges as the script wants, and sends the reports that come before the answer; the others
/// follow when the visit ends, whether its client is still there or not.
pub(super) async fn take(
    platform: &Platform,
    (number, protocol): (u64, Protocol),
    script: &Script,
    credentials: &Credentials,
    submission: &Submission,
) -> Result<Judged, Refusal> {
    let login = platform.admit(&credentials.login, &credentials.password)?;
    let now = platform.clock.now();
    let valid_until = match &submission.validity {
        None => None,
        Some(text) => {
            let ends = wishes::valid_until(text, now);
            Some(ends.ok_or(Refusal::WrongValue("ExpiryDate"))?)
        }
    };
    let message_id: Box<str> = format!("SIM-{}", Uuid::new_v4().simple()).into();
    let messages = submission.recipients.iter().map(|phone| {
        let fields = (phone, &submission.text, submission.sender.as_str());
        ReceivedMessage {
            protocol,
            message_id: Some(message_id.clone()),
            valid_until,
            wants: submission.wants,
            report_url: submission.report_url.clone(),
            ..ReceivedMessage::new(number, now, &login, fields)
        }
    });
    let most = script.parallel_limit();
    let mut visit =
        Visit::beside_others(&platform.ledger, number, &login, messages.collect(), most)?;
    let plan = script.plan(visit.number(), visit.messages());
    platform.wait(plan.waits).await;
    let codes = judge(platform, &visit, &submission.sender, script);
    let code = overall(&codes);
    let mut reports = if refuses(plan.answer.as_ref()) {
        Vec::new()
    } else {
        follow_up(platform, &visit, &codes, script)
    };
    report_before_answer(platform, script, &mut reports).await;
    let (reporter, policy) = (platform.reporter.clone(), script.reporting().clone());
    visit.then(move || {
        for (message, steps) in reports {
            reporter.follow(message, steps, policy.clone());
        }
    });
    let is_told = is_accepting(code) && !matches!(plan.answer, Some(Action::NoMessageId));
    Ok(Judged {
        visit,
        codes,
        code,
        message_id: is_told.then_some(message_id),
        how: plan.answer,
    })
}

/// Sends the reports that come before the answer; leaves those that follow it.
pub(super) async fn report_before_answer(
    platform: &Platform,
    script: &Script,
    follow_up: &mut [(ReceivedMessage, Vec<ReportStep>)],
) {
    for (message, steps) in follow_up {
        let (before, after): (Vec<_>, Vec<_>) = std::mem::take(steps)
            .into_iter()
            .partition(|step| step.before_answer);
        *steps = after;
        let reporter = &platform.reporter;
        reporter.play(message, &before, script.reporting()).await;
    }
}

fn judge(platform: &Platform, visit: &Visit, sender: &str, script: &Script) -> Vec<i32> {
    let assumed = script.assumed_submit_codes();
    let messages = visit.messages().iter();
    messages
        .map(|message| {
            let forms = match message.protocol {
                Protocol::Rest => PhoneForms::NationalOrE164,
                Protocol::XmlRpc | Protocol::Soap | Protocol::Mensatek => {
                    PhoneForms::NationalOrForeign
                }
            };
            match platform.judge(message, sender, forms, script) {
                Verdict::WrongNumber => assumed.wrong_number,
                Verdict::SenderNotAllowed => assumed.sender_not_allowed,
                Verdict::TextTooLong => assumed.text_too_long,
                Verdict::Scripted(code) => code,
                Verdict::Accepted => codes::SUCCESS,
            }
        })
        .collect()
}

/// One code for all: theirs where they agree, else the first that refuses, or partial success where some were accepted.
fn overall(codes: &[i32]) -> i32 {
    let refusing = codes.iter().copied().find(|code| *code != codes::SUCCESS);
    match refusing {
        None => codes::SUCCESS,
        Some(_) if codes.contains(&codes::SUCCESS) => codes::PARTIAL_SUCCESS,
        Some(code) => code,
    }
}

fn is_accepting(code: i32) -> bool {
    matches!(code, codes::SUCCESS | codes::PARTIAL_SUCCESS)
}

/// Whether an answer says that nothing was taken: no reports follow it. After a connection that broke or an answer that
/// nobody can read they do, for the messages were taken.
pub(super) fn refuses(how: Option<&Action>) -> bool {
    matches!(how, Some(Action::HttpStatus { .. } | Action::Fault { .. }))
}

/// The reports of each accepted message that wants some and says where: the script's, or that it was delivered, or that its
/// validity was over.
fn follow_up(
    platform: &Platform,
    visit: &Visit,
    codes: &[i32],
    script: &Script,
) -> Vec<(ReceivedMessage, Vec<ReportStep>)> {
    let now = platform.clock.now();
    let accepted = visit.messages().iter().zip(codes);
    accepted
        .filter(|(message, code)| {
            is_accepting(**code)
                && message.wants != WantedReports::None
                && message.report_url.is_some()
        })
        .map(|(message, _)| {
            let scripted = script.reports_for(message);
            let mut steps = scripted.unwrap_or_else(|| vec![ReportStep::delivered()]);
            let too_late = message.valid_until.is_some_and(|ends| ends <= now);
            for step in &mut steps {
                step.expire_if(too_late);
            }
            steps.retain(|step| message.wants.include(step.status()));
            (message.clone(), steps)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_of_the_whole_is_theirs_or_partial_success() {
        for (codes, code) in [
            (&[1000][..], 1000),
            (&[1000, 1000], 1000),
            (&[1000, 2002], 1100),
            (&[2002, 1000], 1100),
            (&[2002, 2001], 2002),
        ] {
            assert_eq!(overall(codes), code, "{codes:?}");
        }
    }
}
