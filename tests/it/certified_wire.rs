//! From the call to the wire: what is asked of `CertifiedMessageService`, field by field, and what of it the simulated platform
//! gets, parameter by parameter. Whoever mixes two fields up on the way fails here.

use clave_otp::{
    clock::{Clock as _, SystemClock},
    grpc::proto::{
        CancelCertifiedMessageRequest, CertificatesOfMessage, CertificatesOfPeriod,
        CertifiedAddressee, CertifiedAttachment, CertifiedIdentification,
        CertifiedIdentificationMethod, CertifiedMessage, CertifiedMessageKind,
        CertifiedMessageState, DeleteLibraryFileRequest, DownloadCertificatesRequest,
        GetBalanceRequest, LibraryUploadForm, ListLibraryFilesRequest,
        RescheduleCertifiedMessageRequest, SendCertifiedMessageRequest, UploadLibraryFileRequest,
        certified_attachment::Content, download_certificates_request::Wanted,
    },
    simulator::{MensatekCall, MensatekFunction, Script},
};
use jiff::{SignedDuration, civil::Date, tz::TimeZone};
use serde_json::{Value, json};

use crate::{
    certified::{self, Story, addressee},
    certified_simulated::start,
    support::{MADRID, soon},
};

const PDF: &[u8] = b"%PDF-1.7\n%EOF";
/// The same in Base64.
const PDF_BASE64: &str = "JVBERi0xLjcKJUVPRg==";

/// Parameters that come where something asks for them alone.
const OPTIONAL: [&str; 9] = [
    "Identificar",
    "Aceptacion",
    "Vpd",
    "Vph",
    "Vpm",
    "Fecha",
    "Idmensaje",
    "Unicode",
    "Fixutf8",
];

/// A sound request for nothing out of the ordinary.
fn plain() -> SendCertifiedMessageRequest {
    SendCertifiedMessageRequest {
        text: "Lea esto".into(),
        ..certified::request()
    }
}

fn attached(content: Content) -> CertifiedAttachment {
    CertifiedAttachment {
        content: Some(content),
    }
}

fn pdf() -> CertifiedAttachment {
    attached(Content::Pdf(PDF.to_vec()))
}

/// The last call of a function.
pub(crate) fn last(story: &Story, function: MensatekFunction) -> MensatekCall {
    let calls = story.app.simulator.ledger().calls().into_iter();
    let mut newest_first = calls.rev();
    newest_first
        .find(|call| call.function == function)
        .expect("it was called")
}

/// All of these parameters, and not one of the others that may come.
fn holds(call: &MensatekCall, wanted: &[(&str, &str)]) {
    for (name, value) in wanted {
        assert_eq!(call.parameter(name), Some(*value), "{name}");
    }
    for name in OPTIONAL {
        let is_wanted = wanted.iter().any(|(wanted, _)| *wanted == name);
        assert_eq!(call.parameter(name).is_some(), is_wanted, "{name}");
    }
}

/// Sends what the platform must take, with these parameters.
async fn sends(
    story: &mut Story,
    request: SendCertifiedMessageRequest,
    wanted: &[(&str, &str)],
) -> CertifiedMessage {
    let message = story.sent(request).await;
    assert_eq!(message.state(), CertifiedMessageState::Sent, "{message:?}");
    holds(&last(story, MensatekFunction::SendCertified), wanted);
    message
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_and_every_identification_has_its_own_word_on_the_wire() {
    use CertifiedIdentificationMethod as Method;
    use CertifiedMessageKind as Kind;
    let mut story = start(Script::new(), |_| {}).await;
    for (kind, number) in [
        (Kind::Certified, "0"),
        (Kind::ContractByReply, "1"),
        (Kind::ContractByAcceptance, "18"),
        (Kind::ContractBySignature, "50"),
        (Kind::ContractByVerifiedSignature, "16434"),
    ] {
        let request = SendCertifiedMessageRequest {
            kind: kind.into(),
            attachments: vec![pdf()],
            ..plain()
        };
        let message = sends(&mut story, request, &[("Tipocontrato", number)]).await;
        assert_eq!(message.kind(), kind);
        assert_eq!(story.get(&message.name).await.kind(), kind);
    }
    for (method, document, word) in [
        (Method::None, "", "LIBRE"),
        (Method::Phone, "", "MOVIL"),
        (Method::OneTimePin, "", "OTP"),
        (Method::Document, "00000000t", "DNI-00000000T"),
        (Method::Certificate, "00000000T", "CERTIFICADO-00000000T"),
    ] {
        let identification = CertifiedIdentification {
            method: method.into(),
            document_number: document.into(),
        };
        let request = SendCertifiedMessageRequest {
            identification: Some(identification),
            ..plain()
        };
        let wanted = [("Identificar", word), ("Tipocontrato", "0")];
        sends(&mut story, request, &wanted).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn times_and_days_are_written_as_the_platform_counts_them() {
    let mut story = start(Script::new(), |_| {}).await;
    for (seconds, [days, hours, minutes]) in [
        (60, ["0", "0", "1"]),
        (3 * 86_400 + 3_600 + 120, ["3", "1", "2"]),
        (20 * 86_400, ["20", "0", "0"]),
    ] {
        let request = SendCertifiedMessageRequest {
            validity: Some(prost_types::Duration { seconds, nanos: 0 }),
            ..plain()
        };
        let wanted = [("Vpd", days), ("Vph", hours), ("Vpm", minutes)];
        sends(&mut story, request, &wanted).await;
    }
    for (acceptance_days, days) in [(1, "1"), (15, "15")] {
        let request = SendCertifiedMessageRequest {
            acceptance_days,
            ..plain()
        };
        sends(&mut story, request, &[("Aceptacion", days)]).await;
    }
    // Spanish time in winter and in summer, rounded up to the minute.
    for (moment, kept, date) in [
        (
            "2099-01-01T10:00:00Z",
            "2099-01-01T10:00:00Z",
            "2099-01-01 11:00",
        ),
        (
            "2099-07-01T10:00:30Z",
            "2099-07-01T10:01:00Z",
            "2099-07-01 12:01",
        ),
    ] {
        let request = SendCertifiedMessageRequest {
            send_time: Some(moment.parse().unwrap()),
            ..plain()
        };
        let message = sends(&mut story, request, &[("Fecha", date)]).await;
        assert_eq!(message.send_time, Some(kept.parse().unwrap()));
    }
    let accented = SendCertifiedMessageRequest {
        text: "Una resolución".into(),
        ..plain()
    };
    sends(&mut story, accented, &[("Unicode", "1")]).await;
}

/// Ten values of one citizen.
fn with_variables(number: &str, name: &str) -> CertifiedAddressee {
    CertifiedAddressee {
        recipient: number.into(),
        variables: (1..=10).map(|place| format!("{name} {place}")).collect(),
    }
}

/// What stands in `Destinatarios` for them.
fn recipient(number: &str, name: &str) -> Value {
    let mut object = json!({ "Movil": number });
    for place in 1..=10 {
        object[format!("Variable_{place}")] = format!("{name} {place}").into();
    }
    object
}

async fn balance(story: &mut Story) -> f64 {
    let request = GetBalanceRequest {
        administration: MADRID.into(),
        account: "accounts/madrid-mn".into(),
    };
    let answer = story.client.get_balance(request).await;
    answer.unwrap().into_inner().credits
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_one_message_may_say_stands_in_its_own_parameter() {
    let mut story = start(Script::new(), |_| {}).await;
    let before = balance(&mut story).await;
    let request = SendCertifiedMessageRequest {
        account: "accounts/madrid-mn".into(),
        addressees: vec![
            with_variables("+34600000001", "Ana \"A\""),
            with_variables("+34600000002", "Pedro"),
        ],
        text: "{10}, {1}: {2} {3} {4} {5} {6} {7} {8} {9}".into(),
        sender: "ClaveMadrid".into(),
        send_time: Some("2099-01-01T10:00:00Z".parse().unwrap()),
        validity: Some(prost_types::Duration {
            seconds: 2 * 86_400 + 5 * 3_600 + 7 * 60,
            nanos: 0,
        }),
        identification: Some(CertifiedIdentification {
            method: CertifiedIdentificationMethod::OneTimePin.into(),
            document_number: String::new(),
        }),
        acceptance_days: 11,
        reference: "expediente-7".into(),
        ..plain()
    };
    let wanted = [
        ("Remitente", "ClaveMadrid"),
        (
            "Mensaje",
            "(Variable_10), (Variable_1): (Variable_2) (Variable_3) (Variable_4) (Variable_5) (Variable_6) (Variable_7) (Variable_8) (Variable_9)",
        ),
        ("Tipocontrato", "0"),
        ("Report", "1"),
        ("Contacto", "Ayuntamiento"),
        ("Telcontacto", "900000000"),
        ("Cifcontacto", "P2807900B"),
        ("Fecha", "2099-01-01 11:00"),
        ("Vpd", "2"),
        ("Vph", "5"),
        ("Vpm", "7"),
        ("Identificar", "OTP"),
        ("Aceptacion", "11"),
        ("Resp", "JSON"),
    ];
    let message = sends(&mut story, request, &wanted).await;
    let call = last(&story, MensatekFunction::SendCertified);
    let recipients: Value = call.parameter("Destinatarios").unwrap().parse().unwrap();
    let expected = json!([
        recipient("34600000001", "Ana \"A\""),
        recipient("34600000002", "Pedro")
    ]);
    assert_eq!(recipients, expected);
    // Our own id and not the caller's: that one stays here.
    let id = message.name.strip_prefix("certifiedMessages/").unwrap();
    let reference = format!("c-{id}");
    assert_eq!(call.parameter("Referenciausuario"), Some(&*reference));
    assert_eq!(message.reference, "expediente-7");
    assert_eq!(message.sender, "ClaveMadrid");
    assert_eq!((message.messages, message.not_sent), (2, 0));
    let used = message.credits_used.unwrap();
    assert!(used > 0.0 && (before - used - balance(&mut story).await).abs() < 0.001);
    assert_eq!(message.credits_needed, None);

    // Joined to it: whoever has had one of its messages gets no second one.
    let joined = SendCertifiedMessageRequest {
        addressees: vec![addressee("+34600000002"), addressee("+34600000003")],
        group: message.name.clone(),
        ..plain()
    };
    let wanted = [("Idmensaje", message.gateway_message_id.as_str())];
    let second = sends(&mut story, joined, &wanted).await;
    assert_eq!(second.gateway_message_id, message.gateway_message_id);
    assert_eq!((second.messages, second.not_sent), (1, 1));
}

async fn upload(
    story: &mut Story,
    name: &str,
    form: LibraryUploadForm,
    delete_when_certified: bool,
) -> MensatekCall {
    let request = UploadLibraryFileRequest {
        administration: MADRID.into(),
        account: "accounts/madrid-mn".into(),
        file_name: name.into(),
        content: PDF.to_vec(),
        delete_when_certified,
        form: form.into(),
    };
    let answer = story.client.upload_library_file(request).await;
    assert_eq!(answer.unwrap().into_inner().file_name, name);
    last(story, MensatekFunction::UploadFile)
}

#[tokio::test(flavor = "multi_thread")]
async fn files_go_and_are_named_as_they_are_asked_for() {
    use LibraryUploadForm::{Base64, Files, Unspecified};
    let mut story = start(Script::new(), |_| {}).await;
    for (name, form, goes, kind, content) in [
        ("uno.pdf", Files, false, "FILES", None),
        ("dos.pdf", Base64, true, "BASE64", Some(PDF_BASE64)),
        ("tres.pdf", Unspecified, true, "FILES", None),
        ("cuatro.pdf", Base64, false, "BASE64", Some(PDF_BASE64)),
    ] {
        let call = upload(&mut story, name, form, goes).await;
        assert_eq!(call.parameter("Nombre"), Some(name));
        assert_eq!(call.parameter("Tipo"), Some(kind), "{name}");
        assert_eq!(call.parameter("Contenido"), content, "{name}");
        assert_eq!(call.parameter("Autoborrado"), goes.then_some("Si"));
    }
    // Of the library, in the request, and both.
    let library = || attached(Content::LibraryFile("uno.pdf".into()));
    for (attachments, tags) in [
        (vec![library()], "(FILE:2:uno.pdf)".to_owned()),
        (vec![pdf()], format!("(BASE64:2:{PDF_BASE64})")),
        (
            vec![library(), pdf()],
            format!("(FILE:2:uno.pdf) (BASE64:2:{PDF_BASE64})"),
        ),
    ] {
        let request = SendCertifiedMessageRequest {
            attachments,
            ..plain()
        };
        let text = format!("Lea esto {tags}");
        sends(&mut story, request, &[("Mensaje", &text)]).await;
    }
    let delete = DeleteLibraryFileRequest {
        administration: MADRID.into(),
        account: "accounts/madrid-mn".into(),
        file_name: "cuatro.pdf".into(),
    };
    story.client.delete_library_file(delete).await.unwrap();
    let call = last(&story, MensatekFunction::DeleteFile);
    assert_eq!(call.parameter("Nombre"), Some("cuatro.pdf"));
    let list = ListLibraryFilesRequest {
        administration: MADRID.into(),
        account: "accounts/madrid-mn".into(),
    };
    let listed = story.client.list_library_files(list).await.unwrap();
    let listed = listed.into_inner().files;
    let uno = listed.iter().find(|file| file.file_name == "uno.pdf");
    let time = &uno.expect("it stays").upload_time;
    assert!(time.parse::<jiff::civil::DateTime>().is_ok(), "{time}");
    assert!(!listed.iter().any(|file| file.file_name == "cuatro.pdf"));
}

/// Asks for certificates: the call as it came, and the ZIP.
async fn download(story: &mut Story, wanted: Wanted) -> (MensatekCall, Vec<u8>) {
    let request = DownloadCertificatesRequest {
        wanted: Some(wanted),
    };
    let answer = story.client.download_certificates(request).await;
    let mut pieces = answer.unwrap().into_inner();
    let mut whole = Vec::new();
    while let Some(piece) = pieces.message().await.unwrap() {
        whole.extend(piece.content);
    }
    (last(story, MensatekFunction::Certificates), whole)
}

/// The PDFs and the other files of a ZIP.
pub(crate) fn files_of(zip: Vec<u8>) -> (usize, Vec<String>) {
    let archive = zip::ZipArchive::new(std::io::Cursor::new(zip)).unwrap();
    let names = archive.file_names().map(str::to_owned);
    let (certificates, others): (Vec<_>, Vec<_>) =
        names.partition(|name| name.rsplit('.').next() == Some("pdf"));
    (certificates.len(), others)
}

/// Until the certificates of all recipients are there.
pub(crate) async fn certified(story: &mut Story, name: &str) {
    soon(async {
        loop {
            let recipients = story.get(name).await.recipients;
            let mut states = recipients.iter().map(|recipient| recipient.status.as_ref());
            if states.all(|status| status.is_some_and(|status| status.certificate_available)) {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// The day in this many days.
pub(crate) fn day(days: i64) -> Date {
    let moment = SystemClock::new().now() + SignedDuration::from_hours(24 * days);
    moment.to_zoned(TimeZone::UTC).date()
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_asked_for_by_message_by_recipient_and_by_days() {
    let mut story = start(Script::new(), |_| {}).await;
    let two = SendCertifiedMessageRequest {
        addressees: vec![addressee("+34600000001"), addressee("+34600000002")],
        ..plain()
    };
    let message = sends(&mut story, two, &[]).await;
    certified(&mut story, &message.name).await;
    let csv = ["report.csv"];
    for (recipient_index, phone, certificates) in
        [(None, None, 2), (Some(1), Some("34600000002"), 1)]
    {
        let wanted = CertificatesOfMessage {
            name: message.name.clone(),
            recipient_index,
        };
        let (call, zip) = download(&mut story, Wanted::Message(wanted)).await;
        assert_eq!(
            call.parameter("Idmensaje"),
            Some(&*message.gateway_message_id)
        );
        assert_eq!(call.parameter("Telefono"), phone);
        assert_eq!(call.parameter("FechaInicio"), None);
        let (found, others) = files_of(zip);
        assert_eq!(
            (found, others.as_slice()),
            (certificates, &csv.map(str::to_owned)[..])
        );
    }
    let (first, last_day) = (day(-2).to_string(), day(2).to_string());
    let period = CertificatesOfPeriod {
        administration: MADRID.into(),
        account: "accounts/madrid-mn".into(),
        first_day: first.clone(),
        last_day: last_day.clone(),
    };
    let (call, zip) = download(&mut story, Wanted::Period(period)).await;
    assert_eq!(call.parameter("FechaInicio"), Some(&*first));
    assert_eq!(call.parameter("FechaFin"), Some(&*last_day));
    assert_eq!(call.parameter("Idmensaje"), None);
    assert_eq!(call.parameter("Telefono"), None);
    assert_eq!(files_of(zip).0, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_functions_about_one_message_name_it_and_its_new_time() {
    let mut story = start(Script::new(), |_| {}).await;
    let later = SendCertifiedMessageRequest {
        send_time: Some("2099-01-01T10:00:00Z".parse().unwrap()),
        ..plain()
    };
    // The first so that the number of the second is not the only one there is.
    sends(&mut story, later.clone(), &[("Fecha", "2099-01-01 11:00")]).await;
    let later = SendCertifiedMessageRequest {
        request_id: plain().request_id,
        ..later
    };
    let message = sends(&mut story, later, &[("Fecha", "2099-01-01 11:00")]).await;
    let id = Some(message.gateway_message_id.as_str());
    let moved = RescheduleCertifiedMessageRequest {
        name: message.name.clone(),
        send_time: Some("2099-07-01T10:00:00Z".parse().unwrap()),
    };
    let moved = story.client.reschedule_certified_message(moved).await;
    assert_eq!(moved.unwrap().into_inner().moved_messages, 1);
    let call = last(&story, MensatekFunction::Reschedule);
    assert_eq!(call.parameter("Idmensaje"), id);
    assert_eq!(call.parameter("Fecha"), Some("2099-07-01 12:00"));
    story.report(&message.name).await.unwrap();
    let call = last(&story, MensatekFunction::Report);
    assert_eq!(call.parameter("Idmensaje"), id);
    let cancel = CancelCertifiedMessageRequest {
        name: message.name.clone(),
    };
    let cancelled = story.client.cancel_certified_message(cancel).await.unwrap();
    let cancelled = cancelled.into_inner();
    let call = last(&story, MensatekFunction::Cancel);
    assert_eq!(call.parameter("Idmensaje"), id);
    assert_eq!(cancelled.cancelled_recipients, 1);
    assert_eq!(cancelled.credits_back, message.credits_used);
}
