//! Mensatek, API 7.0: every function of the official text, its library, schedules, contracts, certificates and callbacks.
//!
//! Must not know: the gateway's adapter, the other protocols. `docs/SIMULATOR.md` tells facts from assumptions.

mod alphabet;
mod answer;
mod book;
mod call;
mod callback;
mod certificate;
mod contract;
mod credits;
pub(super) mod form;
mod function;
mod library;
mod order;
mod pdf;
mod rules;
mod schedule;
mod sending;
mod states;
mod tags;
mod time;
mod turn;
mod zip;

use axum::{
    body::Body,
    http::{HeaderMap, Response},
};
use jiff::Timestamp;

use super::{
    account::Login,
    answer as common,
    entrance::ConnectionClosed,
    platform::Platform,
    record::{ReceivedMessage, Refusal, WirePhone},
    rest::request::credentials,
    script::{Action, Concern, Script},
    submission,
    visit::Visit,
};
use crate::domain::SecretText;
use answer::{Reply, Wrong};
use form::Form;
use order::Order;
use sending::Taken;
use turn::Turn;

pub use answer::AnswerShape;
pub(super) use book::Books;
pub use call::MensatekCall;
pub(super) use callback::write;
pub use callback::{Callback, CallbackForm};
pub use contract::{Contract, ContractError};
pub use credits::Credits;
pub use function::MensatekFunction;
pub use rules::MensatekRules;
pub use time::DateForm;

/// Path of the functions (official text; confidence A).
pub(super) const PATH: &str = "/v7";

/// What a message over Mensatek says besides.
#[derive(Debug, Clone)]
pub struct MensatekMessage {
    /// Which function brought it.
    pub function: MensatekFunction,
    /// `Referenciausuario`; empty where there is none.
    pub reference: Box<str>,
    /// `Tipocontrato`; 0 for what is no contract.
    pub contract_kind: u16,
    /// How many SMS it is, and is billed as.
    pub segments: usize,
    /// The words of the tags in its text, as `FILE`, in order.
    pub tags: Vec<Box<str>>,
    /// The names of the files that it attaches.
    pub files: Vec<Box<str>>,
    /// When it was to be sent, by the request; a later change is not told here.
    pub scheduled: Option<Timestamp>,
    /// `TipoAdjunto`: how its attachments are protected; 1 is not at all.
    pub protection: u16,
    /// A JSON object of its variables.
    pub variables: Box<str>,
}

/// What a function has done.
enum Done {
    Reply(Reply),
    Rescheduled(Reply, Timestamp),
    Sent(Taken),
    Archive(Vec<u8>),
}

/// Answers a call whose body has come whole.
pub(super) async fn answer(
    platform: &Platform,
    (number, function): (u64, MensatekFunction),
    script: &Script,
    (headers, body): (&HeaderMap, &[u8]),
) -> Result<Response<Body>, ConnectionClosed> {
    let login = match let_in(platform, headers) {
        Ok(login) => login,
        Err((login, why)) => {
            platform.record_refusal(number, login.as_deref(), why);
            let refused = Wrong::code(-1).reply().written(&[]);
            let bare = script.mensatek_rules().bare_wrong_login;
            return Ok(if bare { answer::bare(-1) } else { refused }.whole());
        }
    };
    let form = match Form::read(headers, body) {
        Ok(form) => form,
        Err(why) => {
            platform.record_refusal(number, Some(login.as_str()), why);
            return Ok(Wrong::call(why.to_string()).reply().written(&[]).whole());
        }
    };
    let asked = asked(function, &form);
    let now = platform.clock.now();
    let messages = match &asked {
        Ok(Some(order)) => {
            let base = blank(number, now, &login);
            sending::messages(order, &mut platform.books.open(), &base)
        }
        _ => Vec::new(),
    };
    let most = script.parallel_limit();
    let visit = match Visit::beside_others(&platform.ledger, number, &login, messages, most) {
        Ok(visit) => visit,
        Err(why) => {
            platform.record_refusal(number, Some(login.as_str()), why);
            return Ok(common::status(429, None));
        }
    };
    let concern = Concern {
        number,
        login: Some(login.as_str()),
        function: Some(function.name()),
    };
    let plan = script.plan_for(&concern, visit.messages());
    platform.wait(plan.waits).await;
    platform.reporter.release_due();
    let stay = Stay {
        platform,
        script,
        concern,
        login: &login,
        form: &form,
        visit,
    };
    stay.end(asked, plan.answer).await
}

/// What a call asks for: an order where its function sends.
fn asked(function: MensatekFunction, form: &Form) -> Result<Option<Order>, Wrong> {
    call::check(function, form)?;
    let order = function.sends().then(|| order::read(function, form));
    order.transpose()
}

/// Whose call it is.
fn let_in(platform: &Platform, headers: &HeaderMap) -> Result<Login, (Option<String>, Refusal)> {
    let known = credentials(headers).map_err(|why| (None, why))?;
    platform
        .admit(&known.login, &known.password)
        .map_err(|why| (Login::if_short(&known.login).map(|_| known.login), why))
}

/// A message that says nothing yet.
fn blank(number: u64, now: Timestamp, login: &Login) -> ReceivedMessage {
    let (phone, text) = (WirePhone::new(""), SecretText::new(String::new()));
    ReceivedMessage::new(number, now, login, (&phone, &text, ""))
}

/// A call that has been let in and waits for its end.
struct Stay<'a> {
    platform: &'a Platform,
    script: &'a Script,
    concern: Concern<'a>,
    login: &'a Login,
    form: &'a Form,
    visit: Visit,
}

impl Stay<'_> {
    /// Does what is asked for, unless the script has it refused, and answers.
    async fn end(
        mut self,
        asked: Result<Option<Order>, Wrong>,
        how: Option<Action>,
    ) -> Result<Response<Body>, ConnectionClosed> {
        let done = match &how {
            how if submission::refuses(how.as_ref()) => Err(Wrong::code(0)),
            Some(Action::BareInt(code)) if *code <= 0 => Err(Wrong::code(*code)),
            _ => asked.and_then(|order| self.perform(order.as_ref())),
        };
        let mut sent = Vec::new();
        let right = match done {
            Err(wrong) => Ok(wrong.reply()),
            Ok(Done::Archive(archive)) => Err(archive),
            Ok(Done::Reply(reply)) => Ok(reply),
            Ok(Done::Rescheduled(reply, at)) => {
                self.wake_at(at);
                Ok(reply)
            }
            Ok(Done::Sent(taken)) => {
                let taken = self.follow_up(taken).await;
                sent = taken.sent;
                Ok(taken.reply)
            }
        };
        let right = right.map(|reply| self.with_balance(reply));
        let res = right.as_ref().map_or(None, Reply::told);
        // A message that was left out of an accepted order is told 0.
        let code = |place| match sent.get(place) {
            Some(false) => 0,
            _ => res.unwrap_or_default(),
        };
        let codes: Vec<i32> = (0..self.visit.messages().len()).map(code).collect();
        self.remember(res);
        reply(self.visit, &codes, right, how.as_ref())
    }

    fn perform(&self, order: Option<&Order>) -> Result<Done, Wrong> {
        let messages = self.visit.messages();
        let scripted = || match messages {
            [] => self.script.code_for_call(&self.concern),
            messages => messages
                .iter()
                .find_map(|message| self.script.code_for(message)),
        };
        let turn = Turn {
            login: self.login,
            now: self.platform.clock.now(),
            scripted: &scripted,
        };
        let book = &mut *self.platform.books.open();
        if let Some(order) = order {
            let reports = |message: &ReceivedMessage| self.script.reports_for(message);
            let following: (&sending::Reports<'_>, _) = (&reports, self.script.reporting());
            return sending::take(book, &turn, (order, messages), following).map(Done::Sent);
        }
        let form = self.form;
        let function = self.concern.function.and_then(MensatekFunction::named);
        Ok(match function {
            Some(MensatekFunction::Cancel) => Done::Reply(schedule::cancel(book, &turn, form)?),
            Some(MensatekFunction::Reschedule) => {
                let (reply, at) = schedule::reschedule(book, &turn, form)?;
                Done::Rescheduled(reply, at)
            }
            Some(MensatekFunction::Certificates) => {
                Done::Archive(certificate::download(book, &turn, form)?)
            }
            Some(MensatekFunction::Report) => Done::Reply(certificate::report(book, &turn, form)?),
            Some(MensatekFunction::UploadFile) => Done::Reply(library::upload(book, &turn, form)?),
            Some(MensatekFunction::ListFiles) => Done::Reply(library::list(book, &turn)?),
            Some(MensatekFunction::DeleteFile) => Done::Reply(library::delete(book, &turn, form)?),
            // The functions that send came with an order.
            _ => Done::Reply(Reply::res(turn.allows()?.unwrap_or(1))),
        })
    }

    /// Sends the callbacks that come before the answer; the others follow it.
    async fn follow_up(&mut self, mut taken: Taken) -> Taken {
        let mut reports = std::mem::take(&mut taken.now);
        submission::report_before_answer(self.platform, self.script, &mut reports).await;
        let reporter = self.platform.reporter.clone();
        let policy = self.script.reporting().clone();
        self.visit.then(move || {
            for (message, steps) in reports {
                reporter.follow(message, steps, policy.clone());
            }
        });
        if let Some(at) = taken.wake_at {
            self.wake_at(at);
        }
        taken
    }

    fn wake_at(&self, at: Timestamp) {
        self.platform.reporter.wake_at(at);
    }

    /// With the balance after the call, under the name that the function has for it.
    fn with_balance(&self, reply: Reply) -> Reply {
        let credits = self.platform.books.credits(self.login).json();
        let cancels = self.concern.function == Some(MensatekFunction::Cancel.name());
        reply.with(if cancels { "CRED" } else { "Cred" }, credits)
    }

    fn remember(&self, res: Option<i32>) {
        let function = self.concern.function.and_then(MensatekFunction::named);
        if let Some(function) = function {
            let whose = (self.concern.number, self.login);
            let call = MensatekCall::new(whose, function, self.form, res);
            self.platform.ledger.called(call);
        }
    }
}

/// Answers rightly, or as the script wants.
fn reply(
    visit: Visit,
    codes: &[i32],
    right: Result<Reply, Vec<u8>>,
    how: Option<&Action>,
) -> Result<Response<Body>, ConnectionClosed> {
    let wrong = match how {
        Some(Action::BareInt(code)) => answer::bare(*code),
        Some(Action::Fault { code, text }) => {
            let fault = Reply::res(*code).with("Error", text.as_str());
            fault.written(&[])
        }
        Some(Action::MalformedXml) => answer::malformed(),
        how => {
            let shapes: &[AnswerShape] = match how {
                Some(Action::Shapes(shapes)) => shapes,
                _ => &[],
            };
            let right = match (right, how) {
                (Ok(reply), Some(Action::NoMessageId)) => reply.without_id().written(shapes),
                (Ok(reply), _) => reply.written(shapes),
                (Err(archive), _) => answer::zip(archive),
            };
            return common::reply(visit, codes, right, how);
        }
    };
    let told = match how {
        Some(Action::BareInt(code)) => vec![Some(*code); visit.messages().len()],
        _ => Vec::new(),
    };
    visit.answered(told);
    Ok(wrong.whole())
}
