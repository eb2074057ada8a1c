//! A stand-in for the SMS platforms: listens on a loopback address, behaves as the platform is known to, does what a script
//! says, and remembers what came.
//!
//! Must not know: `dispatch`, `store`, `grpc`, nor anything of `gateway`: what reads and writes here was written apart from
//! the adapters, so that both cannot share a bug. It stands in for Mensajería Negocios over XML-RPC, SOAP and REST, with the
//! delivery reports of the latter two, and for Mensatek's API 7.0 with its callbacks.

mod account;
mod answer;
mod basic;
pub mod codes;
mod entrance;
mod ledger;
mod mensatek;
mod platform;
mod record;
mod reports;
mod rest;
mod script;
mod soap;
mod submission;
mod visit;
mod wishes;
mod xml;
mod xml_rpc;

use std::{fmt, io, net::SocketAddr, sync::Arc};

use secrecy::SecretString;
use thiserror::Error;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use platform::Platform;

pub use account::{Account, Accounts, Login};
pub use codes::{Codes, SubmitCodes};
pub use ledger::{Event, Ledger, Observer};
pub use mensatek::{
    AnswerShape, Callback, CallbackForm, Contract, ContractError, Credits, DateForm, MensatekCall,
    MensatekFunction, MensatekMessage, MensatekRules,
};
pub use record::{
    EndedRequest, Ending, Protocol, ReceivedMessage, Refusal, RefusedRequest, WirePhone,
};
pub use reports::{
    Destination, ReportAnswer, ReportEnding, ReportError, ReportPolicy, ReportStep, ReportTry,
    SentReport, WrittenAs,
};
pub use script::{Action, Gate, Match, Script, ScriptError};
pub use wishes::{ReportUrl, WantedReports};

/// How many messages and refusals the ledger keeps unless it is asked to keep all.
const KEPT_MESSAGES: usize = 10_000;

/// Why the simulator does not start or does not take a script.
#[derive(Debug, Error)]
pub enum SimulatorError {
    /// The address is not on loopback; nothing else may talk to a simulator.
    #[error("{0} is not a loopback address: use 127.0.0.1 or [::1]")]
    NotLoopback(SocketAddr),
    /// The address cannot be listened on: choose another, or port 0.
    #[error("cannot listen on {address}: {problem}")]
    Bind {
        /// Which address.
        address: SocketAddr,
        /// What the machine says.
        problem: io::Error,
    },
    /// Counted from 1.
    #[error(
        "rule {rule} of the script drops before reading and asks for a phone or a log-in, which stand in the body"
    )]
    UndecidableRule {
        /// Which rule.
        rule: usize,
    },
}

/// What a simulator is started with.
#[derive(Clone)]
pub struct SimulatorOptions {
    accounts: Accounts,
    clock: Arc<dyn Clock>,
    script: Script,
    keep: usize,
    observer: Option<Observer>,
}

impl fmt::Debug for SimulatorOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SimulatorOptions")
            .field("accounts", &self.accounts)
            .field("script", &self.script)
            .finish_non_exhaustive()
    }
}

impl SimulatorOptions {
    /// These accounts and no script. The clock dates what is received; latencies run on the machine's own time.
    pub fn new(accounts: Accounts, clock: Arc<dyn Clock>) -> Self {
        Self {
            accounts,
            clock,
            script: Script::new(),
            keep: KEPT_MESSAGES,
            observer: None,
        }
    }

    /// Plays this script.
    #[must_use]
    pub fn script(mut self, script: Script) -> Self {
        self.script = script;
        self
    }

    /// Keeps every message instead of the last 10,000: for tests, whose length is known.
    #[must_use]
    pub fn keep_all_messages(mut self) -> Self {
        self.keep = usize::MAX;
        self
    }

    /// Tells this observer of everything that ends.
    #[must_use]
    pub fn observer(mut self, observer: Observer) -> Self {
        self.observer = Some(observer);
        self
    }
}

/// A running simulator. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    ledger: Ledger,
    platform: Arc<Platform>,
    stopping: CancellationToken,
    /// Taken by `stop`.
    serving: Option<JoinHandle<()>>,
}

impl fmt::Debug for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Platform")
    }
}

impl Simulator {
    /// Listens on this loopback address; port 0 takes a free one. Must be called within a tokio runtime.
    pub async fn start(
        address: SocketAddr,
        options: SimulatorOptions,
    ) -> Result<Self, SimulatorError> {
        if !address.ip().is_loopback() {
            return Err(SimulatorError::NotLoopback(address));
        }
        check(&options.script)?;
        let (listener, bound) = entrance::bind(address)
            .await
            .map_err(|problem| SimulatorError::Bind { address, problem })?;
        let ledger = Ledger::new(options.keep, options.observer);
        let stopping = CancellationToken::new();
        let platform = Arc::new(Platform::new(
            options.accounts,
            options.clock,
            ledger.clone(),
            options.script,
            stopping.clone(),
        ));
        let serving = entrance::serve(listener, Arc::clone(&platform), stopping.clone());
        Ok(Self {
            address: bound,
            ledger,
            platform,
            stopping,
            serving: Some(tokio::spawn(serving)),
        })
    }

    /// The address that is listened on, with its true port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of the XML-RPC entrance, as an account's `endpoint`.
    pub fn endpoint(&self) -> String {
        format!("http://{}{}", self.address, xml_rpc::PATH)
    }

    /// The URL of the SOAP entrance, as an account's `endpoint`.
    pub fn soap_endpoint(&self) -> String {
        format!("http://{}{}", self.address, soap::PATH)
    }

    /// The base URL of the REST entrance, without the interface's own path.
    pub fn rest_base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The whole URL of the REST entrance.
    pub fn rest_endpoint(&self) -> String {
        format!("http://{}{}", self.address, rest::PATH)
    }

    /// The base URL of Mensatek's functions: `<base>/<Function>`.
    pub fn mensatek_base(&self) -> String {
        format!("http://{}{}", self.address, mensatek::PATH)
    }

    /// This log-in has this password from now on. In reality a panel sets that.
    pub fn set_password(&self, login: &str, password: SecretString) {
        self.platform.change_password(Login::new(login), password);
    }

    /// Over Mensatek: the callbacks of this log-in go here from now on, without credentials. In reality a panel sets that.
    pub fn set_callback(&self, login: &str, url: ReportUrl, form: CallbackForm) {
        self.set_callback_to(login, Callback::new(url, form));
    }

    /// Over Mensatek: the callbacks of this log-in go here from now on.
    pub fn set_callback_to(&self, login: &str, callback: Callback) {
        let login = Login::new(login);
        self.platform.books.set_callback(&login, callback);
    }

    /// Over Mensatek: the balance of this log-in.
    pub fn credits(&self, login: &str) -> Credits {
        self.platform.books.credits(&Login::new(login))
    }

    /// Over Mensatek: this log-in has this balance from now on.
    pub fn set_credits(&self, login: &str, credits: Credits) {
        let login = Login::new(login);
        self.platform.books.set_credits(&login, credits);
    }

    /// Over Mensatek: the messages with this `idMensaje`, in the hands of their citizens.
    pub fn contract(&self, id: u64) -> Contract {
        let script = self.platform.script();
        let Platform {
            books, reporter, ..
        } = &*self.platform;
        Contract::new(books, reporter, script.reporting().clone(), id)
    }

    /// Sends a report about a message once, now, in the message's protocol and whatever the script says, and tells what was
    /// answered. The step's status, id, recipient, form and address count; its time, gate and number do not. The message
    /// may have come to another simulator: to one that ran before this one.
    pub async fn send_report(
        &self,
        message: &ReceivedMessage,
        report: impl Into<ReportStep>,
    ) -> Result<ReportAnswer, ReportError> {
        let script = self.platform.script();
        let reporter = &self.platform.reporter;
        let policy = script.reporting();
        reporter.send_once(message, &report.into(), policy).await
    }

    /// How many messages have reports that are under way or still to come.
    pub fn reports_to_come(&self) -> usize {
        self.platform.reporter.to_come()
    }

    /// What has come so far.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Plays another script for the requests that come from now on; its counts begin anew. The numbers of requests go on.
    pub fn play(&self, script: Script) -> Result<(), SimulatorError> {
        check(&script)?;
        self.platform.play(script);
        Ok(())
    }

    /// Closes the listener and every connection, those of held requests and of reports too, and returns when they are closed.
    pub async fn stop(mut self) {
        self.stopping.cancel();
        if let Some(serving) = self.serving.take() {
            // An error is a panic of the serving task, which has closed everything as well.
            let _ = serving.await;
        }
        self.platform.reporter.stopped().await;
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}

fn check(script: &Script) -> Result<(), SimulatorError> {
    match script.first_undecidable_rule() {
        None => Ok(()),
        Some(index) => Err(SimulatorError::UndecidableRule { rule: index + 1 }),
    }
}
