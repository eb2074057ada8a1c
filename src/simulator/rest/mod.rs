//! Mensajería Negocios, the REST sibling of the SOAP interface, as far as it is publicly known.
//!
//! Must not know: the gateway's adapter, the other protocols. `docs/SIMULATOR.md` tells facts from assumptions.

mod answer;
pub(super) mod report;
pub(super) mod request;

use axum::{
    body::Body,
    http::{HeaderMap, Response},
};

use super::{
    account::Login,
    answer as common, codes,
    entrance::ConnectionClosed,
    platform::Platform,
    record::{Protocol, Refusal},
    script::{Action, Script},
    submission::{self, Credentials},
};

/// Path of the REST entrance below the base of the contract (clients in production; confidence B).
pub(super) const PATH: &str = "/restadpt_generico1/smsTextSubmit";

/// Answers a request whose body has come whole.
pub(super) async fn answer(
    platform: &Platform,
    number: u64,
    script: &Script,
    (headers, body): (&HeaderMap, &[u8]),
) -> Result<Response<Body>, ConnectionClosed> {
    let credentials = match request::credentials(headers) {
        Ok(credentials) => credentials,
        Err(why) => return Ok(refuse(platform, number, None, why)),
    };
    let refused = |why| {
        let login = Login::if_short(&credentials.login);
        Ok(refuse(platform, number, login.as_ref(), why))
    };
    // Who is not let in is not told whether the rest is right.
    if let Err(why) = known(platform, &credentials) {
        return refused(why);
    }
    let submission = match request::read(body) {
        Ok(submission) => submission,
        Err(why) => return refused(why),
    };
    let request = (number, Protocol::Rest);
    let judged = match submission::take(platform, request, script, &credentials, &submission).await
    {
        Ok(judged) => judged,
        Err(why) => return refused(why),
    };
    let right = answer::status(judged.code, None, judged.message_id.as_deref());
    let (visit, codes) = (judged.visit, judged.codes);
    let wrong = match judged.how {
        Some(Action::Fault { code, text }) => answer::fault(code, &text),
        Some(Action::MalformedXml) => answer::malformed(),
        how => return common::reply(visit, &codes, right, how.as_ref()),
    };
    visit.answered([]);
    Ok(wrong.whole())
}

fn known(platform: &Platform, credentials: &Credentials) -> Result<(), Refusal> {
    let Credentials { login, password } = credentials;
    platform.admit(login, password).map(|_| ())
}

/// Records a refusal and answers it as the platform is taken to do.
fn refuse(platform: &Platform, number: u64, login: Option<&Login>, why: Refusal) -> Response<Body> {
    platform.record_refusal(number, login.map(Login::as_str), why);
    let code = match why {
        Refusal::WrongLogin | Refusal::TooManyLogins | Refusal::NoCredentials => {
            codes::IMPROPER_IDENTIFICATION
        }
        Refusal::TooManyParallel => platform.script().assumed_submit_codes().too_many_parallel,
        Refusal::WrongFields | Refusal::WrongValue(_) => codes::VALIDATION_ERROR,
        // Not even JSON.
        _ => codes::CLIENT_ERROR,
    };
    answer::status(code, Some(&why.to_string()), None).whole()
}
