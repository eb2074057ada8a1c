//! Mensajería Negocios over XML-RPC, as far as it is publicly known: what a request holds and what is answered.
//!
//! Must not know: the gateway's adapter, the other protocols. `docs/SIMULATOR.md` tells facts from assumptions.

mod answer;
mod request;

use axum::{body::Body, http::Response};

use super::{
    account::Login,
    answer as common, codes,
    entrance::ConnectionClosed,
    platform::{PhoneForms, Platform, Verdict},
    record::{ReceivedMessage, Refusal},
    script::{Action, Script},
    visit::Visit,
};
use request::Call;

/// Path of the platform's XML-RPC entrance (platform API manual; confidence A).
pub(super) const PATH: &str = "/SrvConexion";

/// Most messages in one request (platform API manual; confidence B).
const MOST_MESSAGES: usize = 500;

/// Records a refusal and answers it as the platform is taken to do.
pub(super) fn refuse(
    platform: &Platform,
    number: u64,
    login: Option<&str>,
    why: Refusal,
) -> Response<Body> {
    platform.record_refusal(number, login, why);
    let assumed = platform.script().assumed_codes();
    match why {
        Refusal::UnknownMethod => fault(codes::ASSUMED_FAULT_UNKNOWN_METHOD, why),
        Refusal::WrongParameters | Refusal::NotAString => {
            fault(codes::ASSUMED_FAULT_WRONG_PARAMETERS, why)
        }
        Refusal::WrongLogin | Refusal::TooManyLogins => bare_int(assumed.wrong_login),
        Refusal::TooManyMessages { .. } => bare_int(assumed.too_many_messages),
        Refusal::SecondRequest => bare_int(assumed.second_request),
        // The body is not what it should be; the other refusals belong to other protocols.
        _ => fault(codes::ASSUMED_FAULT_UNREADABLE, why),
    }
}

/// Answers a request whose body has come whole.
pub(super) async fn answer(
    platform: &Platform,
    number: u64,
    script: &Script,
    body: &[u8],
) -> Result<Response<Body>, ConnectionClosed> {
    let call = match Call::read(body) {
        Ok(call) => call,
        Err(why) => return Ok(refuse(platform, number, None, why)),
    };
    let visit = match let_in(platform, number, &call).await {
        Ok(visit) => visit,
        Err(why) => {
            let login = Login::if_short(&call.login);
            return Ok(refuse(
                platform,
                number,
                login.as_ref().map(Login::as_str),
                why,
            ));
        }
    };
    let plan = script.plan(visit.number(), visit.messages());
    platform.wait(plan.waits).await;
    let codes = judge(platform, &call, &visit, script);
    reply(visit, &codes, plan.answer)
}

/// The checks that concern the request as a whole.
async fn let_in(platform: &Platform, number: u64, call: &Call) -> Result<Visit, Refusal> {
    let login = platform.admit(&call.login, &call.password)?;
    let count = call.messages.len();
    if count > MOST_MESSAGES {
        return Err(Refusal::TooManyMessages { count });
    }
    let now = platform.clock.now();
    let messages = call.messages.iter().map(|message| {
        let fields = (&message.phone, &message.text, message.sender.as_str());
        ReceivedMessage::new(number, now, &login, fields)
    });
    Visit::alone(&platform.ledger, number, &login, messages.collect()).await
}

/// The code of each message: the platform's own checks first, then the script.
fn judge(platform: &Platform, call: &Call, visit: &Visit, script: &Script) -> Vec<i32> {
    let assumed = script.assumed_codes();
    let messages = visit.messages().iter().zip(&call.messages);
    messages
        .map(|(message, on_the_wire)| {
            let sender = &on_the_wire.sender;
            match platform.judge(message, sender, PhoneForms::NationalOrForeign, script) {
                Verdict::WrongNumber => codes::WRONG_NUMBER,
                Verdict::SenderNotAllowed => assumed.sender_not_allowed,
                Verdict::TextTooLong => assumed.text_too_long,
                Verdict::Scripted(code) => code,
                Verdict::Accepted => codes::ACCEPTED,
            }
        })
        .collect()
}

fn fault(code: i32, why: Refusal) -> Response<Body> {
    answer::whole(answer::fault(code, &why.to_string()))
}

fn bare_int(code: i32) -> Response<Body> {
    answer::whole(answer::bare_int(code))
}

/// Ends the visit and answers, rightly or as the script wants.
fn reply(
    visit: Visit,
    codes: &[i32],
    how: Option<Action>,
) -> Result<Response<Body>, ConnectionClosed> {
    let told = |codes: &[i32]| -> Vec<_> { codes.iter().copied().map(Some).collect() };
    let body = match how {
        Some(Action::TooShort) => {
            let fewer = &codes[..codes.len().saturating_sub(1)];
            visit.answered(told(fewer));
            answer::array(fewer)
        }
        Some(Action::TooLong) => {
            visit.answered(told(codes));
            answer::array(&[codes, &[codes::ACCEPTED]].concat())
        }
        Some(Action::WrongType) => {
            let all_but_first = codes.iter().copied().map(Some).skip(1);
            visit.answered(std::iter::once(None).chain(all_but_first));
            answer::array_of_wrong_type(codes)
        }
        Some(Action::BareInt(code)) => {
            visit.answered([]);
            answer::bare_int(code)
        }
        Some(Action::Fault { code, text }) => {
            visit.answered([]);
            answer::fault(code, &text)
        }
        Some(Action::MalformedXml) => {
            visit.answered([]);
            answer::malformed()
        }
        how => return common::reply(visit, codes, answer::right(codes), how.as_ref()),
    };
    Ok(answer::whole(body))
}
