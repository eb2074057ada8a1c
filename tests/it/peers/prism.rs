//! The adapter of Mensatek against a server that nobody here wrote: Prism (`tests/peers/package.json`), made from
//! `docs/openapi/mensatek-7.0.yaml`. It judges each request by the description and answers with the description's examples.

use std::{process::Command, time::Duration};

use clave_otp::{
    domain::{GatewayMessageId, Reason, Recipient, certified::CertifiedKind},
    gateway::{
        Gateway as _, Message, Outcome, Verdict,
        certified::{
            CertifiedFailure, CertifiedGateway, CertifiedOrder, UploadForm, WantedCertificates,
        },
        http::HttpSettings,
        mensatek::{MensatekGateway, MensatekSettings, Service},
    },
};
use serde_json::Value;
use url::{Url, form_urlencoded::Serializer};

use super::{Running, environment};
use crate::{
    gateway_common::{LOGIN, PASSWORD, credentials, message, refused},
    gateway_mensatek::{
        self,
        certified::{
            BALANCE, CANCEL, CERTIFICATES, DELETE, FILES, REPORT, RESCHEDULE, SEND, UPLOAD, file,
            full_order, group,
        },
        certified_refusals::{self, REFUSALS},
        contact,
    },
    simulator::client,
    support::openapi,
};

/// Prism, running.
pub(super) struct Prism {
    // Stopped when it is dropped.
    _running: Running,
    pub(super) base: Url,
}

impl Prism {
    /// It answers itself.
    fn ready() -> Option<Self> {
        Self::start("mock", None)
    }

    /// It stands before the server at this address and judges both directions.
    pub(super) fn before(address: &str) -> Option<Self> {
        Self::start("proxy", Some(address))
    }

    /// `None` where it is missing and nobody insists on it.
    fn start(mode: &str, upstream: Option<&str>) -> Option<Self> {
        let program = environment("node/node_modules/.bin/prism")?;
        let mut command = Command::new(program);
        // --errors: what the description does not allow is refused, not only noted. Port 0 takes a free one.
        command.args([mode, "--errors", "--host", "127.0.0.1", "--port", "0"]);
        let running = Running::start(command.arg(openapi::path()).args(upstream));
        let address = running.announced_somewhere("Prism is listening on ");
        Some(Self {
            base: address.trim().parse().unwrap(),
            _running: running,
        })
    }

    /// The base address of the functions, whose answer is the example of this name.
    fn answering(&self, example: &str) -> Url {
        let mut address = self.base.join("v7").unwrap();
        address.query_pairs_mut().append_pair("__example", example);
        address
    }

    fn settings(&self, service: Service, example: &str) -> MensatekSettings {
        MensatekSettings {
            http: HttpSettings::new(self.answering(example)),
            service,
            reports: true,
            ..gateway_mensatek::settings("http://127.0.0.1:9")
        }
    }

    /// The adapter for certified messages; the answers are this example, or the first of each.
    fn gateway(&self, example: Option<&str>) -> MensatekGateway {
        let http = match example {
            Some(example) => self.answering(example),
            None => self.base.join("v7").unwrap(),
        };
        let settings = MensatekSettings {
            http: HttpSettings::new(http),
            contact: Some(contact()),
            ..self.settings(Service::Sms, "sent")
        };
        MensatekGateway::new(settings).unwrap()
    }

    /// A request written here and not by the adapter: its status, and what is found wrong with it.
    async fn asked(&self, function: &str, fields: &[(&str, &str)], known: bool) -> (u16, String) {
        let address = self.base.join(&format!("v7/{function}")).unwrap();
        let form = Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = client().post(address);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let request = if known {
            request.basic_auth(LOGIN, Some(PASSWORD))
        } else {
            request
        };
        let response = request.body(form).send().await.unwrap();
        let status = response.status().as_u16();
        let body = response.text().await.unwrap();
        // What is answered well need not be JSON: a ZIP, of which there is no example.
        let body: Value = body.parse().unwrap_or_default();
        let found = &body["validation"][0]["message"];
        (status, found.as_str().unwrap_or_default().to_owned())
    }
}

/// One that needs Unicode, abroad.
fn code() -> Message {
    message("+351912345678", "Cl@ve α: 748291", "217812")
}

fn no_credit(code: i64) -> Outcome {
    Outcome::Rejected {
        reason: Reason::known("NO_CREDIT"),
        code: Some(code),
        verdict: Verdict::Quota,
    }
}

/// Every example of an answer to a message, and what becomes of the message.
fn sent() -> Vec<(&'static str, Outcome)> {
    let accepted = || Outcome::Accepted(GatewayMessageId::parse("10573758"));
    vec![
        ("sent", accepted()),
        ("not-sent", refused("GATEWAY_REJECTED_NUMBER", Some(0))),
        ("res-1", credentials(Some(-1))),
        ("res-2", no_credit(-2)),
        ("res-3", refused("GATEWAY_REQUEST_INVALID", Some(-3))),
        ("res-4", refused("GATEWAY_ATTACHMENT_REFUSED", Some(-4))),
        ("res-5", no_credit(-5)),
        (
            "res-15",
            refused("GATEWAY_CONTRACT_WITHOUT_FILE", Some(-15)),
        ),
        ("res-16", refused("GATEWAY_FILE_UNKNOWN", Some(-16))),
        ("practice-bare-object", accepted()),
        ("practice-quoted", accepted()),
        ("practice-bare-number", credentials(Some(-1))),
    ]
}

#[tokio::test]
async fn prism_takes_what_the_adapter_sends_and_each_of_its_answers_is_understood() {
    let Some(prism) = Prism::ready() else { return };
    let table = sent();
    let named: Vec<&str> = table.iter().map(|(example, _)| *example).collect();
    assert_eq!(
        openapi::examples_of("Sent"),
        named,
        "every example is tried"
    );
    for (example, expected) in &table {
        for service in [Service::Sms, Service::Certified(contact())] {
            let gateway = MensatekGateway::new(prism.settings(service, example)).unwrap();
            let found = gateway.submit(&[code()], &Duration::MAX.into()).await;
            assert_eq!(found, std::slice::from_ref(expected), "{example}");
            let credit = match *example {
                "sent" | "not-sent" | "practice-bare-object" => Some(99.5),
                "practice-quoted" => Some(12_345.67),
                _ => None,
            };
            assert_eq!(gateway.credit(), credit, "{example}");
        }
    }
}

/// What the adapter asks of every function about certified messages, and that it understands the example of its answer.
#[tokio::test]
async fn prism_takes_what_the_adapter_asks_of_every_function_about_certified_messages() {
    let Some(prism) = Prism::ready() else { return };
    let gateway = prism.gateway(None);
    let asked = [
        SEND, CANCEL, RESCHEDULE, REPORT, UPLOAD, FILES, DELETE, BALANCE,
    ];
    for function in openapi::functions() {
        let is_asked =
            asked.contains(&&*function) || [CERTIFICATES, "EnviarSMS"].contains(&&*function);
        assert!(is_asked, "{function}");
    }
    for function in asked {
        let found = certified_refusals::call(&gateway, function).await;
        assert_eq!(found, Ok(()), "{function}");
    }
    let found = certified_refusals::call(&gateway, CERTIFICATES).await;
    assert_eq!(found, taken_without_archive());
}

/// Of the archive there is no example: the request is taken, and what comes is no archive. A request that is not taken ends
/// with the status that says so.
fn taken_without_archive() -> Result<(), CertifiedFailure> {
    let reason = Reason::known(Reason::GATEWAY_OUTCOME_UNKNOWN);
    Err(CertifiedFailure::NotDone(reason))
}

/// Times, proofs, days, a group, variables, both kinds of attachment; files in both forms; certificates in all ways.
#[tokio::test]
async fn prism_takes_everything_that_a_request_about_certified_messages_can_carry() {
    let Some(prism) = Prism::ready() else { return };
    let gateway = prism.gateway(None);
    for kind in CertifiedKind::ALL {
        let order = CertifiedOrder {
            kind,
            ..full_order()
        };
        let found = CertifiedGateway::send(&gateway, &order).await;
        assert!(found.is_ok(), "{kind:?}: {found:?}");
    }
    for form in [UploadForm::Base64, UploadForm::Files] {
        let found = gateway.upload(&file(form)).await;
        assert_eq!(found.as_deref(), Ok("mifichero.pdf"), "{form:?}");
    }
    let citizen = Recipient::parse("+34600000001").unwrap();
    let days = |text: &str| text.parse().unwrap();
    for wanted in [
        WantedCertificates::OfRecipient(group(), citizen),
        WantedCertificates::Between(days("2026-11-01"), days("2026-11-30")),
    ] {
        let found = gateway.certificates(&wanted).await.map(drop);
        assert_eq!(found, taken_without_archive(), "{wanted:?}");
    }
}

/// The answers of the functions about certified messages. That of `GetSMSCERTIFICADO` is left out: Prism answers in the form
/// that is asked for first, an archive, of which there is no example.
const ANSWERS: [(&str, &str); 8] = [
    (SEND, "Sent"),
    (CANCEL, "Cancelled"),
    (RESCHEDULE, "Rescheduled"),
    (REPORT, "Reported"),
    (UPLOAD, "Uploaded"),
    (FILES, "Listed"),
    (DELETE, "Deleted"),
    (BALANCE, "Credit"),
];

#[tokio::test]
async fn every_example_of_every_answer_is_understood_by_its_function() {
    let Some(prism) = Prism::ready() else { return };
    let mut tried = Vec::new();
    for (function, answer) in ANSWERS {
        for example in openapi::examples_of(answer) {
            let gateway = prism.gateway(Some(&example));
            let found = certified_refusals::call(&gateway, function).await;
            let code: i64 = match example.as_str() {
                "not-sent" => 0,
                "practice-bare-number" => -1,
                other => {
                    let number = other.strip_prefix("res").and_then(|text| text.parse().ok());
                    number.unwrap_or(1)
                }
            };
            if code > 0 {
                assert_eq!(found, Ok(()), "{function} {example}");
                continue;
            }
            let Err(CertifiedFailure::Refused(refused)) = found else {
                panic!("{function} {example}: {found:?}");
            };
            let row = REFUSALS
                .iter()
                .find(|row| (row.0, row.1) == (function, code));
            let (_, _, word, kind) = row.unwrap_or_else(|| panic!("{function} {example}"));
            let told = (refused.reason.as_str(), refused.kind, refused.code);
            assert_eq!(told, (*word, *kind, Some(code)), "{function} {example}");
            tried.push((function, code));
        }
    }
    // All that the text knows, and not only what the description happens to have.
    let known = |word: &str| !word.starts_with("GATEWAY_CODE_");
    for (function, code, word, _) in REFUSALS {
        let is_tried = tried.contains(&(function, *code));
        assert!(
            is_tried || *function == CERTIFICATES || !known(word),
            "{function} {code}"
        );
    }
}

/// The text lets `Vpd` begin at one day. Whether the platform really refuses less is not known: hence `validity` is a setting
/// that is off until somebody has seen it work.
#[tokio::test]
async fn prism_refuses_a_validity_below_a_day_as_the_text_does() {
    let Some(prism) = Prism::ready() else { return };
    let accepted = Outcome::Accepted(GatewayMessageId::parse("10573758"));
    for (minutes, expected) in [
        (10, refused("GATEWAY_HTTP_422", None)),
        (24 * 60 + 10, accepted),
    ] {
        let mut settings = prism.settings(Service::Sms, "sent");
        settings.validity = true;
        let gateway = MensatekGateway::new(settings).unwrap();
        let mut message = code();
        message.valid_for = Duration::from_secs(minutes * 60);
        let found = gateway.submit(&[message], &Duration::MAX.into()).await;
        assert_eq!(found, [expected], "{minutes}");
    }
}

type Form = &'static [(&'static str, &'static str)];

const ID: (&str, &str) = ("Idmensaje", "1283876988");
const JSON: (&str, &str) = ("Resp", "JSON");
const SENDER: (&str, &str) = ("Remitente", "MIEMPRESA");
const TO: (&str, &str) = ("Destinatarios", r#"[{"Movil":"34600000001"}]"#);
const TEXT: (&str, &str) = ("Mensaje", "748291");
const CONTACT: [(&str, &str); 3] = [
    ("Contacto", "EMPRESA S.L."),
    ("Telcontacto", "900000000"),
    ("Cifcontacto", "B00000000"),
];
const SMS: Form = &[SENDER, TO, TEXT, JSON];
const CERTIFIED: Form = &[SENDER, TO, TEXT, CONTACT[0], CONTACT[1], CONTACT[2], JSON];
const UPLOADED: Form = &[
    ("Tipo", "BASE64"),
    ("Nombre", "mifichero.pdf"),
    ("Contenido", "JVBERi0="),
    ("Autoborrado", "Si"),
    JSON,
];

/// Each function with a request that is right, a field in whose place something wrong is put, and what is said of that.
const FUNCTIONS: [(&str, Form, (&str, &str)); 21] = [
    ("EnviarSMS", SMS, ("Resp", "ANT")),
    ("EnviarSMS", SMS, ("Destinatarios", "34600000001")),
    (
        "EnviarSMS",
        SMS,
        ("Destinatarios", r#"[{"movil":"34600000001"}]"#),
    ),
    ("EnviarSMS", SMS, ("Remitente", "DOCELETRAS12")),
    ("EnviarSMS", SMS, ("Report", "yes")),
    ("EnviarSMSCERTIFICADO", CERTIFIED, ("Tipocontrato", "2")),
    (
        "EnviarSMSCERTIFICADO",
        CERTIFIED,
        ("Fecha", "2022-10-01T15:10"),
    ),
    ("EnviarSMSCERTIFICADO", CERTIFIED, ("Vpd", "21")),
    ("EnviarSMSCERTIFICADO", CERTIFIED, ("Vpm", "60")),
    ("EnviarSMSCERTIFICADO", CERTIFIED, ("Identificar", "PIN")),
    ("EnviarSMSCERTIFICADO", CERTIFIED, ("Aceptacion", "16")),
    ("CancelarSMSCERTIFICADO", &[ID, JSON], ("Idmensaje", "abc")),
    (
        "ReprogramarSMSCERTIFICADO",
        &[ID, ("Fecha", "2022-12-03 11:15"), JSON],
        ("Fecha", "mañana"),
    ),
    ("GetSMSCERTIFICADO", &[ID, JSON], ("Telefono", "nadie")),
    (
        "GetSMSCERTIFICADO",
        &[
            ("FechaInicio", "2026-11-01"),
            ("FechaFin", "2026-11-30"),
            JSON,
        ],
        ("FechaInicio", ""),
    ),
    ("GetReportSMSCERTIFICADO", &[ID, JSON], ("Idmensaje", "0")),
    ("CargarFichero", UPLOADED, ("Tipo", "mifichero.pdf")),
    (
        "CargarFichero",
        UPLOADED,
        ("Nombre", "un-nombre-demasiado-largo.pdf"),
    ),
    ("ListarFicheros", &[JSON], ("Resp", "CSV")),
    (
        "BorrarFichero",
        &[("Nombre", "mifichero.pdf"), JSON],
        ("Nombre", ""),
    ),
    ("GetCreditos", &[JSON], ("Resp", "")),
];

/// The stories above rest on this: a server that takes everything would prove nothing.
#[tokio::test]
async fn prism_refuses_what_is_wrong_or_missing_in_every_function() {
    let Some(prism) = Prism::ready() else { return };
    for function in openapi::functions() {
        let tried = FUNCTIONS.iter().any(|(name, ..)| *name == function);
        assert!(tried, "{function}");
    }
    for (function, right, (name, wrong)) in FUNCTIONS {
        let (status, found) = prism.asked(function, right, true).await;
        assert_eq!((status, found.as_str()), (200, ""), "{function}");
        let stranger = prism.asked(function, right, false).await;
        assert_eq!(stranger.0, 401, "{function}");

        let mut fields: Vec<_> = right
            .iter()
            .copied()
            .filter(|field| field.0 != name)
            .collect();
        let (status, found) = prism.asked(function, &fields, true).await;
        let missing = format!("Request body must have required property '{name}'");
        if openapi::required_of(function)
            .iter()
            .any(|needed| needed == name)
        {
            assert_eq!((status, found), (422, missing), "{function} {name}");
        } else {
            assert_eq!(status, 200, "{function} {name}");
        }
        fields.push((name, wrong));
        let (status, found) = prism.asked(function, &fields, true).await;
        assert_eq!(status, 422, "{function} {name}={wrong}");
        assert!(found.contains(name), "{function} {name}={wrong}: {found}");
    }
}
