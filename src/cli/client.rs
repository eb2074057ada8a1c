//! What the commands that speak to the service share: a connection, a delivery in words, a refusal in words.

use std::{
    error::Error,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{Args, ValueEnum};
use serde_json::json;
use tonic::{
    Status,
    transport::{Certificate, Channel, ClientTlsConfig, Identity},
};
use tonic_types::StatusExt as _;
use zeroize::Zeroizing;

use crate::grpc::proto::{Delivery, DeliveryState, delivery_service_client::DeliveryServiceClient};

/// Where the service is and how to print.
#[derive(Debug, Args)]
pub struct ClientArgs {
    /// Address of the service.
    #[arg(
        long,
        global = true,
        env = "CLAVE_OTP_SERVER",
        default_value = "http://127.0.0.1:50051"
    )]
    server: String,
    /// PEM file of the authority that signed the service's certificate; with https:// alone.
    #[arg(long, env = "CLAVE_OTP_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// PEM file of the caller's own certificate.
    #[arg(
        long,
        env = "CLAVE_OTP_CERTIFICATE",
        value_name = "FILE",
        requires = "key"
    )]
    certificate: Option<PathBuf>,
    /// PEM file of its private key.
    #[arg(
        long,
        env = "CLAVE_OTP_KEY",
        value_name = "FILE",
        requires = "certificate"
    )]
    key: Option<PathBuf>,
    /// How to print.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line, for programs.
    Json,
}

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) type Client = DeliveryServiceClient<Channel>;

impl ClientArgs {
    pub(super) async fn connect(&self) -> Result<Client, String> {
        self.channel().await.map(DeliveryServiceClient::new)
    }

    pub(super) async fn channel(&self) -> Result<Channel, String> {
        let mut endpoint = Channel::from_shared(self.server.clone())
            .map_err(|error| {
                format!("--server: {error}; expected http://HOST:PORT or https://HOST:PORT")
            })?
            .connect_timeout(CONNECT_TIMEOUT);
        if endpoint.uri().scheme_str() == Some("https") {
            endpoint = endpoint
                .tls_config(self.tls()?)
                .map_err(|error| format!("--ca, --certificate or --key: {error}"))?;
        }
        endpoint.connect().await.map_err(|error| {
            format!(
                "{}: no service answers{}; start one with `clave-otp serve` or `clave-otp demo`",
                self.server,
                causes(&error)
            )
        })
    }

    fn tls(&self) -> Result<ClientTlsConfig, String> {
        let read = |option: &str, path: &Path| {
            fs::read(path).map_err(|error| format!("{option}: {}: {error}", path.display()))
        };
        let ca = self.ca.as_deref().ok_or(
            "--ca: name the PEM file of the authority that signed the service's certificate",
        )?;
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read("--ca", ca)?));
        Ok(match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => tls.identity(Identity::from_pem(
                read("--certificate", certificate)?,
                Zeroizing::new(read("--key", key)?),
            )),
            _ => tls,
        })
    }

    pub(super) fn print(&self, delivery: &Delivery, replayed: bool) {
        match self.format {
            Format::Text => println!("{}", in_words(delivery, replayed)),
            Format::Json => println!("{}", as_json(delivery, replayed)),
        }
    }
}

/// What lies beneath an error, such as a certificate that is not trusted.
fn causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(String::new(), |told, cause| format!("{told}: {cause}"))
}

/// Ends with what went wrong on standard error.
pub(super) fn failed(problem: &str) -> ExitCode {
    eprintln!("clave-otp: {problem}");
    ExitCode::FAILURE
}

/// A refusal for people: its reason, what to do, when to try again.
pub(super) fn explain(status: &Status) -> String {
    let details = status.get_error_details();
    let mut words = String::new();
    if let Some(info) = details.error_info() {
        let _ = write!(words, "{}: ", info.reason);
    }
    let _ = write!(words, "{}", status.message());
    if let Some(bad_request) = details.bad_request() {
        for violation in bad_request.field_violations.iter().skip(1) {
            let _ = write!(words, "\n  {}", violation.description);
        }
    }
    if let Some(delay) = details.retry_info().and_then(|retry| retry.retry_delay) {
        let _ = write!(words, " (try again in {} s)", delay.as_secs());
    }
    words
}

fn word_of(state: DeliveryState) -> &'static str {
    state
        .as_str_name()
        .strip_prefix("DELIVERY_STATE_")
        .unwrap_or("UNKNOWN")
}

fn in_words(delivery: &Delivery, replayed: bool) -> String {
    let mut words = format!(
        "{}  {:<10} {} from {} by {}, {} segment{}",
        delivery.name,
        word_of(delivery.state()),
        delivery.masked_recipient,
        delivery.sender,
        delivery.account,
        delivery.segments,
        if delivery.segments == 1 { "" } else { "s" },
    );
    if !delivery.reason.is_empty() {
        let _ = write!(words, "  {}", delivery.reason);
    }
    if replayed {
        words.push_str("  (a repeat: nothing new was sent)");
    }
    words
}

pub(super) fn as_json(delivery: &Delivery, replayed: bool) -> serde_json::Value {
    let time = |time: Option<prost_types::Timestamp>| time.map(|time| time.to_string());
    json!({
        "name": delivery.name,
        "administration": delivery.administration,
        "account": delivery.account,
        "state": word_of(delivery.state()),
        "reason": delivery.reason,
        "sender": delivery.sender,
        "destination": delivery.destination().as_str_name().trim_start_matches("DESTINATION_"),
        "masked_recipient": delivery.masked_recipient,
        "purpose": delivery.purpose().as_str_name().trim_start_matches("PURPOSE_"),
        "language": delivery.language,
        "encoding": delivery.encoding().as_str_name().trim_start_matches("ENCODING_"),
        "segments": delivery.segments,
        "attempts": delivery.attempts,
        "gateway_message_id": delivery.gateway_message_id,
        "reference": delivery.reference,
        "create_time": time(delivery.create_time),
        "expire_time": time(delivery.expire_time),
        "submit_time": time(delivery.submit_time),
        "report_time": time(delivery.report_time),
        "update_time": time(delivery.update_time),
        "replayed": replayed,
    })
}
