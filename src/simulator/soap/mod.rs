//! Mensajería Negocios, "Interfaz Simplificada", SOAP 1.1, as far as it is publicly known.
//!
//! Must not know: the gateway's adapter, the other protocols. `docs/SIMULATOR.md` tells facts from assumptions.

mod answer;
pub(super) mod report;
mod request;

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
    submission,
};

/// Path of the simulated SOAP entrance. **Assumed**: the true one is in each contract.
pub(super) const PATH: &str = "/InterfazSimplificada";

/// Namespace of an envelope of SOAP 1.1 (the W3C's note).
const ENVELOPE: &str = "http://schemas.xmlsoap.org/soap/envelope/";

/// Namespace of the root element of requests and answers (the platform's WSDL; confidence A).
const SCHEMAS: &str = "http://www.telefonica.es/MI/InterfazSimplificado/schemas";

/// The one version (platform API manual; confidence A).
const VERSION: &str = "1.0";

/// Answers a request whose body has come whole.
pub(super) async fn answer(
    platform: &Platform,
    number: u64,
    script: &Script,
    (headers, body): (&HeaderMap, &[u8]),
) -> Result<Response<Body>, ConnectionClosed> {
    let (credentials, submission) = match request::read(headers, body) {
        Ok(read) => read,
        Err(why) => return Ok(refuse(platform, number, None, why)),
    };
    let request = (number, Protocol::Soap);
    let judged = match submission::take(platform, request, script, &credentials, &submission).await
    {
        Ok(judged) => judged,
        Err(why) => {
            let login = Login::if_short(&credentials.login);
            return Ok(refuse(platform, number, login.as_ref(), why));
        }
    };
    let right = answer::submit_res(judged.code, None, judged.message_id.as_deref());
    let (visit, codes) = (judged.visit, judged.codes);
    let wrong = match judged.how {
        Some(Action::Fault { code, text }) => {
            // A `faultcode` is a qualified name, which no number is; SOAP 1.1 tells kinds of `Server` by what follows a dot.
            answer::fault(&format!("soapenv:Server.{code}"), &text)
        }
        Some(Action::MalformedXml) => answer::malformed(),
        how => return common::reply(visit, &codes, right, how.as_ref()),
    };
    visit.answered([]);
    Ok(wrong.whole())
}

/// Records a refusal and answers it as the platform is taken to do.
fn refuse(platform: &Platform, number: u64, login: Option<&Login>, why: Refusal) -> Response<Body> {
    platform.record_refusal(number, login.map(Login::as_str), why);
    let details = why.to_string();
    let code = match why {
        Refusal::WrongLogin | Refusal::TooManyLogins | Refusal::NoCredentials => {
            codes::IMPROPER_IDENTIFICATION
        }
        Refusal::WrongVersion => codes::UNSUPPORTED_VERSION,
        Refusal::TooManyParallel => platform.script().assumed_submit_codes().too_many_parallel,
        Refusal::WrongElements | Refusal::WrongValue(_) => codes::VALIDATION_ERROR,
        // What is no such request reaches no operation that could answer.
        _ => return answer::fault("soapenv:Client", &details).whole(),
    };
    answer::submit_res(code, Some(&details), None).whole()
}
