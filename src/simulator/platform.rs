//! Mensajería Negocios over XML-RPC, as far as it is publicly known: who may send what, and what is answered.
//!
//! Must not know: the gateway's adapter, dispatch, the store. `docs/SIMULATOR.md` tells facts from assumptions.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{body::Body, http::Response};

use super::{
    account::{Accounts, Login},
    answer, codes,
    entrance::ConnectionClosed,
    ledger::Ledger,
    record::{ReceivedMessage, Refusal, RefusedRequest},
    request::Call,
    script::{Action, Script, Wait},
    visit::Visit,
};
use crate::clock::Clock;

/// Most messages in one request (platform API manual; confidence B).
const MOST_MESSAGES: usize = 500;

/// Longest text, in characters: three parts of 153 (platform API manual; confidence B).
const LONGEST_TEXT_CHARACTERS: usize = 459;

/// The platform behind the entrance.
pub(super) struct Platform {
    pub accounts: Accounts,
    pub clock: Arc<dyn Clock>,
    pub ledger: Ledger,
    script: Mutex<Arc<Script>>,
}

impl Platform {
    pub fn new(accounts: Accounts, clock: Arc<dyn Clock>, ledger: Ledger, script: Script) -> Self {
        Self {
            accounts,
            clock,
            ledger,
            script: Mutex::new(Arc::new(script)),
        }
    }

    /// The script that requests play which come now.
    pub fn script(&self) -> Arc<Script> {
        let script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&script)
    }

    pub fn play(&self, script: Script) {
        *self.script.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(script);
    }

    /// Records a refusal and answers it as the platform is taken to do.
    pub fn refuse(&self, number: u64, login: Option<&str>, why: Refusal) -> Response<Body> {
        self.ledger.refuse(RefusedRequest {
            number,
            login: login.map(Login::new),
            why,
        });
        let assumed = self.script().assumed_codes();
        match why {
            Refusal::MediaType => answer::and_close(answer::status(415, None)),
            Refusal::BodyTooLarge => answer::and_close(answer::status(413, None)),
            Refusal::BodyIncomplete => answer::and_close(answer::status(408, None)),
            Refusal::UnknownEncoding | Refusal::NotUtf8 | Refusal::NotXml | Refusal::NotACall => {
                fault(codes::ASSUMED_FAULT_UNREADABLE, why)
            }
            Refusal::UnknownMethod => fault(codes::ASSUMED_FAULT_UNKNOWN_METHOD, why),
            Refusal::WrongParameters | Refusal::NotAString => {
                fault(codes::ASSUMED_FAULT_WRONG_PARAMETERS, why)
            }
            Refusal::WrongLogin | Refusal::TooManyLogins => bare_int(assumed.wrong_login),
            Refusal::TooManyMessages { .. } => bare_int(assumed.too_many_messages),
            Refusal::SecondRequest => bare_int(assumed.second_request),
        }
    }

    /// Answers a request whose body has come whole.
    pub async fn answer(
        &self,
        number: u64,
        script: &Script,
        body: &[u8],
    ) -> Result<Response<Body>, ConnectionClosed> {
        let call = match Call::read(body) {
            Ok(call) => call,
            Err(why) => return Ok(self.refuse(number, None, why)),
        };
        let visit = match self.let_in(number, &call).await {
            Ok(visit) => visit,
            Err(why) => return Ok(self.refuse(number, short_login(&call), why)),
        };
        let plan = script.plan(visit.number(), visit.messages());
        for wait in plan.waits {
            match wait {
                Wait::For(duration) => tokio::time::sleep(duration).await,
                Wait::At(gate) => {
                    let _held = self.ledger.hold();
                    gate.pass().await;
                }
            }
        }
        let codes = self.judge(&call, &visit, script);
        reply(visit, &codes, plan.answer)
    }

    /// The checks that concern the request as a whole.
    async fn let_in(&self, number: u64, call: &Call) -> Result<Visit, Refusal> {
        let login = short_login(call)
            .map(Login::new)
            .ok_or(Refusal::WrongLogin)?;
        if !self.accounts.admit(&login, &call.password) {
            self.ledger.count_wrong_login(&login)?;
            return Err(Refusal::WrongLogin);
        }
        let count = call.messages.len();
        if count > MOST_MESSAGES {
            return Err(Refusal::TooManyMessages { count });
        }
        let now = self.clock.now();
        Visit::begin(&self.ledger, number, now, &login, &call.messages).await
    }

    /// The code of each message: the platform's own checks first, then the script.
    fn judge(&self, call: &Call, visit: &Visit, script: &Script) -> Vec<i32> {
        let assumed = script.assumed_codes();
        visit
            .messages()
            .iter()
            .zip(&call.messages)
            .map(|(message, on_the_wire)| {
                if !is_phone(message.phone.expose()) {
                    codes::WRONG_NUMBER
                } else if !self.accounts.may_use(&message.login, &on_the_wire.sender) {
                    assumed.sender_not_allowed
                } else if message.characters > LONGEST_TEXT_CHARACTERS {
                    assumed.text_too_long
                } else {
                    scripted_code(script, message)
                }
            })
            .collect()
    }
}

fn scripted_code(script: &Script, message: &ReceivedMessage) -> i32 {
    script.code_for(message).unwrap_or(codes::ACCEPTED)
}

/// The log-in, where it is short enough to be remembered.
fn short_login(call: &Call) -> Option<&str> {
    let short = call.login.chars().nth(Login::MAX_CHARACTERS).is_none();
    short.then_some(call.login.as_str())
}

/// Nine digits that begin with 6 or 7 for a Spanish mobile number (platform API manual; confidence A); `00` or `+`, country
/// code and number for a foreign one (confidence C). A Spanish number in the foreign form is taken for wrong.
fn is_phone(phone: &str) -> bool {
    let foreign = phone.strip_prefix('+').or_else(|| phone.strip_prefix("00"));
    let digits = foreign.unwrap_or(phone);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    match foreign {
        Some(digits) => {
            (7..=15).contains(&digits.len())
                && !digits.starts_with('0')
                && !digits.starts_with("34")
        }
        None => digits.len() == 9 && digits.starts_with(['6', '7']),
    }
}

fn fault(code: i32, why: Refusal) -> Response<Body> {
    answer::whole(answer::fault(code, &why.to_string()))
}

fn bare_int(code: i32) -> Response<Body> {
    answer::whole(answer::bare_int(code))
}

/// Ends the visit and answers, rightly or as the script wants.
///
/// The visit ends before the last byte is written: a client that has read the whole answer may call again at once.
fn reply(
    visit: Visit,
    codes: &[i32],
    how: Option<Action>,
) -> Result<Response<Body>, ConnectionClosed> {
    let told = |codes: &[i32]| -> Vec<_> { codes.iter().copied().map(Some).collect() };
    let response = match how {
        Some(Action::DropAfterReading) => {
            visit.dropped();
            return Err(ConnectionClosed);
        }
        Some(Action::PartialAnswer) => {
            visit.dropped();
            return Ok(answer::partial(answer::array(codes)));
        }
        Some(Action::SlowDrip { pause }) => {
            let told = told(codes);
            let at_end = move || visit.answered(told);
            return Ok(answer::dripping(answer::array(codes), pause, at_end));
        }
        Some(Action::Flood { megabytes }) => {
            return Ok(answer::flood(megabytes, move || visit.answered([])));
        }
        Some(Action::TooShort) => {
            let fewer = &codes[..codes.len().saturating_sub(1)];
            visit.answered(told(fewer));
            return Ok(answer::whole(answer::array(fewer)));
        }
        Some(Action::TooLong) => {
            visit.answered(told(codes));
            let more = [codes, &[codes::ACCEPTED]].concat();
            return Ok(answer::whole(answer::array(&more)));
        }
        Some(Action::WrongType) => {
            let all_but_first = codes.iter().copied().map(Some).skip(1);
            visit.answered(std::iter::once(None).chain(all_but_first));
            return Ok(answer::whole(answer::array_of_wrong_type(codes)));
        }
        Some(Action::BareInt(code)) => bare_int(code),
        Some(Action::Fault { code, text }) => answer::whole(answer::fault(code, &text)),
        Some(Action::MalformedXml) => answer::whole(answer::malformed()),
        Some(Action::HtmlPage) => answer::html_page(),
        Some(Action::HttpStatus {
            status,
            retry_after,
        }) => answer::status(status, retry_after),
        // The other actions are not answers: the script never plans them as such.
        _ => {
            visit.answered(told(codes));
            return Ok(answer::whole(answer::array(codes)));
        }
    };
    visit.answered([]);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_has_nine_digits_in_spain_and_a_country_code_elsewhere() {
        for good in ["600000001", "712345678", "00351912345678", "+33612345678"] {
            assert!(is_phone(good), "{good}");
        }
        for bad in [
            "",
            "60000000",
            "6000000011",
            "912345678",
            "+34600000001",
            "0034600000001",
            "34600000001",
            "+",
            "00",
            "+0351912345678",
            "+1234567890123456",
            "6000o0001",
            "６００000001",
        ] {
            assert!(!is_phone(bad), "{bad}");
        }
    }
}
