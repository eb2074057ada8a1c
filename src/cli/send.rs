//! `clave-otp send`: a gRPC client for people that sends one code.

use std::{io::Read as _, process::ExitCode, time::Duration};

use clap::{Args, ValueEnum};
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;
use zeroize::Zeroize as _;

use super::{
    client::{ClientArgs, Format, explain, failed},
    follow,
};
use crate::{
    clock::{Clock as _, SystemClock},
    domain::Purpose as Known,
    grpc::proto::{CreateDeliveryRequest, Purpose},
};

/// Sends one code and follows it.
#[derive(Debug, Args)]
pub struct SendArgs {
    /// Recipient, E.164: +34600000001.
    #[arg(long)]
    to: String,
    /// DIR3 code of the administration that pays.
    #[arg(long)]
    administration: String,
    /// The code. Others on this machine can see arguments: prefer --code-stdin. Without either, a random one is made.
    #[arg(long, conflicts_with = "code_stdin")]
    code: Option<SecretString>,
    /// Reads the code from standard input.
    #[arg(long)]
    code_stdin: bool,
    /// Why it is sent; selects the text.
    #[arg(long, value_enum, default_value_t = PurposeArg::Test)]
    purpose: PurposeArg,
    /// Language of the text (es, ca, ca-valencia, gl, eu, oc-aranes, en).
    #[arg(long, default_value = "")]
    language: String,
    /// Seconds that the code lives.
    #[arg(long, default_value_t = 600)]
    expires_in: u64,
    /// Host for an origin-bound last line.
    #[arg(long, default_value = "")]
    origin: String,
    /// One of the account's senders.
    #[arg(long, default_value = "")]
    sender: String,
    /// Your own id of the delivery.
    #[arg(long, default_value = "")]
    reference: String,
    /// UUID of the request; a repeat with the same one sends nothing. Without it a new one is made.
    #[arg(long)]
    request_id: Option<Uuid>,
    /// Ends when the code is stored, without following it.
    #[arg(long)]
    no_watch: bool,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum PurposeArg {
    Login,
    Signature,
    Activation,
    PasswordChange,
    PasswordReset,
    PhoneVerification,
    Test,
}

impl From<PurposeArg> for Purpose {
    fn from(purpose: PurposeArg) -> Self {
        match purpose {
            PurposeArg::Login => Self::Login,
            PurposeArg::Signature => Self::Signature,
            PurposeArg::Activation => Self::Activation,
            PurposeArg::PasswordChange => Self::PasswordChange,
            PurposeArg::PasswordReset => Self::PasswordReset,
            PurposeArg::PhoneVerification => Self::PhoneVerification,
            PurposeArg::Test => Self::Test,
        }
    }
}

/// A code is far shorter; more is not read.
const STDIN_LIMIT_BYTES: u64 = 1024;

impl SendArgs {
    /// Runs the command.
    pub async fn run(self) -> ExitCode {
        let code = match self.code() {
            Ok(code) => code,
            Err(problem) => return failed(&problem),
        };
        let mut client = match self.client.connect().await {
            Ok(client) => client,
            Err(problem) => return failed(&problem),
        };
        let created = match client.create_delivery(self.request(&code)).await {
            Ok(created) => created.into_inner(),
            Err(status) => return failed(&explain(&status)),
        };
        let Some(delivery) = created.delivery else {
            return failed("the service answered without a delivery; is it a clave-otp service?");
        };
        self.client.print(&delivery, created.replayed);
        if self.no_watch {
            return ExitCode::SUCCESS;
        }
        follow::follow(&mut client, &self.client, delivery).await
    }

    fn code(&self) -> Result<SecretString, String> {
        if let Some(code) = &self.code {
            return Ok(code.clone());
        }
        if self.code_stdin {
            let mut text = String::new();
            std::io::stdin()
                .take(STDIN_LIMIT_BYTES)
                .read_to_string(&mut text)
                .map_err(|error| format!("--code-stdin: {error}"))?;
            let code = SecretString::from(text.trim_end());
            text.zeroize();
            return Ok(code);
        }
        let digits = Uuid::new_v4().as_u128() % 1_000_000;
        if self.client.format == Format::Text {
            eprintln!(
                "no code given: a random one of six digits is sent (purpose {})",
                self.purpose_word()
            );
        }
        Ok(SecretString::from(format!("{digits:06}")))
    }

    fn purpose_word(&self) -> &'static str {
        Purpose::from(self.purpose)
            .as_str_name()
            .strip_prefix("PURPOSE_")
            .unwrap_or(Known::Test.as_str())
    }

    fn request(&self, code: &SecretString) -> CreateDeliveryRequest {
        let expire_time = SystemClock::new()
            .now()
            .saturating_add(Duration::from_secs(self.expires_in))
            .unwrap_or(jiff::Timestamp::MAX);
        CreateDeliveryRequest {
            request_id: self.request_id.unwrap_or_else(Uuid::new_v4).to_string(),
            administration: self.administration.clone(),
            recipient: self.to.clone(),
            code: code.expose_secret().to_owned(),
            purpose: Purpose::from(self.purpose).into(),
            language: self.language.clone(),
            expire_time: Some(prost_types::Timestamp {
                seconds: expire_time.as_second(),
                nanos: expire_time.subsec_nanosecond(),
            }),
            origin: self.origin.clone(),
            sender: self.sender.clone(),
            reference: self.reference.clone(),
        }
    }
}
