//! Every function for certified messages: the exact fields that it sends, every shape of its answer, every number.

use std::{collections::BTreeMap, time::Duration};

use clave_otp::{
    domain::{
        BareDigits, Recipient, ReportedNumber, Sender,
        certified::{
            AcceptanceDays, Attachment, CertifiedId, CertifiedKind, CertifiedText, FileContent,
            Identification, IdentityNumber, LibraryFileName, MessageGroup, PlatformState, SendTime,
            Validity, Variables,
        },
    },
    gateway::{
        certified::{CertifiedGateway, CertifiedOrder, LibraryUpload, UploadForm},
        mensatek::{MensatekGateway, MensatekSettings},
    },
};
use mockito::{Mock, Server, ServerGuard};

use super::{contact, settings};

pub const SEND: &str = "EnviarSMSCERTIFICADO";
pub const CANCEL: &str = "CancelarSMSCERTIFICADO";
pub const RESCHEDULE: &str = "ReprogramarSMSCERTIFICADO";
pub const REPORT: &str = "GetReportSMSCERTIFICADO";
pub const CERTIFICATES: &str = "GetSMSCERTIFICADO";
pub const UPLOAD: &str = "CargarFichero";
pub const FILES: &str = "ListarFicheros";
pub const DELETE: &str = "BorrarFichero";
pub const BALANCE: &str = "GetCreditos";

pub fn group() -> MessageGroup {
    MessageGroup::new(1_283_876_988).unwrap()
}

pub fn sending(url: &str) -> MensatekGateway {
    let settings = MensatekSettings {
        contact: Some(contact()),
        reports: true,
        ..settings(url)
    };
    MensatekGateway::new(settings).unwrap()
}

pub fn order() -> CertifiedOrder {
    let recipient = |number| Recipient::parse(number).unwrap();
    CertifiedOrder {
        id: CertifiedId::from_bytes([7; 16]),
        kind: CertifiedKind::Certified,
        recipients: vec![
            (
                recipient("+34600000001"),
                Variables::parse(["Pedro \"P\"", "2"]).unwrap(),
            ),
            (recipient("+34600000002"), Variables::default()),
        ],
        text: CertifiedText::parse("Hola {1}: lea {2}").unwrap(),
        attachments: Vec::new(),
        sender: Sender::parse("ClaveMadrid").unwrap(),
        send_time: None,
        validity: None,
        identification: None,
        acceptance: None,
        group: None,
    }
}

/// One that carries everything there is.
pub fn full_order() -> CertifiedOrder {
    CertifiedOrder {
        kind: CertifiedKind::ContractBySignature,
        attachments: vec![
            Attachment::Library(LibraryFileName::parse("notifica.pdf").unwrap()),
            Attachment::Inline(FileContent::new(b"%PDF-1.7 \xff\xfe".to_vec())),
        ],
        send_time: Some(SendTime::new("2026-12-01T10:15:00Z".parse().unwrap()).unwrap()),
        validity: Some(Validity::new(Duration::from_secs(3 * 86_400 + 3_720)).unwrap()),
        identification: Some(Identification::Certificate(
            IdentityNumber::parse("00000000t").unwrap(),
        )),
        acceptance: AcceptanceDays::new(10),
        group: Some(group()),
        text: CertifiedText::parse("Ŀlegó {10}").unwrap(),
        ..order()
    }
}

/// A platform that answers one function with this, and wants these fields, each once, beside `Resp=JSON`.
pub async fn platform(
    server: &mut ServerGuard,
    function: &str,
    fields: &[(&str, &str)],
    body: impl AsRef<[u8]>,
) -> Mock {
    let mut wanted: BTreeMap<String, String> = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    wanted.insert("Resp".into(), "JSON".into());
    server
        .mock("POST", format!("/v7/{function}").as_str())
        .match_header("content-type", "application/x-www-form-urlencoded")
        .match_header(
            "authorization",
            "Basic MGExYjJjM2QtY2FuYXJ5PCY+QDpjYW5hcnktcGFzcyJ3b3JkJw==",
        )
        .match_request(move |request| {
            let body = request.body().unwrap();
            let pairs: Vec<(String, String)> =
                url::form_urlencoded::parse(body).into_owned().collect();
            pairs.len() == wanted.len()
                && pairs
                    .iter()
                    .all(|(name, value)| wanted.get(name) == Some(value))
        })
        .with_body(body)
        .expect(1)
        .create_async()
        .await
}

const RECIPIENTS: &str = r#"[{"Movil":"34600000001","Variable_1":"Pedro \"P\"","Variable_2":"2"},{"Movil":"34600000002"}]"#;
const REFERENCE: &str = "c-07070707-0707-0707-0707-070707070707";

#[tokio::test]
async fn a_message_carries_its_fields_and_no_other() {
    let mut server = Server::new_async().await;
    let who = [
        ("Contacto", "Ayuntamiento de Peñas & Cía"),
        ("Telcontacto", "900000000"),
        ("Cifcontacto", "P0000000B"),
        ("Remitente", "ClaveMadrid"),
        ("Destinatarios", RECIPIENTS),
        ("Referenciausuario", REFERENCE),
        ("Report", "1"),
    ];
    let plain = [
        who.as_slice(),
        &[
            ("Mensaje", "Hola (Variable_1): lea (Variable_2)"),
            ("Tipocontrato", "0"),
        ],
    ]
    .concat();
    let answer = r#"[{"Res":2,"Destinatarios":2,"Msgid":77,"idMensaje":77,"Cred":"12.345,5","Mensajes":4,"NoEnviados":1,"CreditosUsados":"2,5"}]"#;
    let asked = platform(&mut server, SEND, &plain, answer).await;
    let gateway = sending(&server.url());
    let sent = CertifiedGateway::send(&gateway, &order()).await.unwrap();
    asked.assert_async().await;
    assert_eq!(sent.group, MessageGroup::new(77));
    assert_eq!((sent.messages, sent.not_sent), (4, 1));
    assert_eq!(sent.credits_used, Some(2.5));

    let full = [
        who.as_slice(),
        &[
            (
                "Mensaje",
                "Ŀlegó (Variable_10) (FILE:2:notifica.pdf) (BASE64:2:JVBERi0xLjcg//4=)",
            ),
            ("Tipocontrato", "50"),
            ("Unicode", "1"),
            ("Fecha", "2026-12-01 11:15"),
            ("Idmensaje", "1283876988"),
            ("Identificar", "CERTIFICADO-00000000T"),
            ("Aceptacion", "10"),
            ("Vpd", "3"),
            ("Vph", "1"),
            ("Vpm", "2"),
        ],
    ]
    .concat();
    let asked = platform(&mut server, SEND, &full, "{\"Res\":1}").await;
    let sent = CertifiedGateway::send(&gateway, &full_order())
        .await
        .unwrap();
    asked.assert_async().await;
    assert_eq!((sent.group, sent.messages), (None, 1));
}

/// All kinds of contract and all ways to identify, as the text writes them.
#[tokio::test]
async fn every_kind_and_every_identification_has_its_word() {
    let number = || IdentityNumber::parse("00000000T").unwrap();
    let ways = [
        (Identification::Open, "LIBRE"),
        (Identification::Phone, "MOVIL"),
        (Identification::OneTimePin, "OTP"),
        (Identification::Document(number()), "DNI-00000000T"),
        (
            Identification::Certificate(number()),
            "CERTIFICADO-00000000T",
        ),
    ];
    let kinds = CertifiedKind::ALL
        .into_iter()
        .zip(["0", "1", "18", "50", "16434"]);
    for ((kind, kind_word), (identification, word)) in kinds.zip(ways) {
        let mut server = Server::new_async().await;
        let asked = server
            .mock("POST", "/v7/EnviarSMSCERTIFICADO")
            .match_request(move |request| {
                let body = request.body().unwrap();
                let pairs: Vec<_> = url::form_urlencoded::parse(body).into_owned().collect();
                let has = |name: &str, value: &str| pairs.contains(&(name.into(), value.into()));
                has("Tipocontrato", kind_word) && has("Identificar", word)
            })
            .with_body("1")
            .create_async()
            .await;
        let order = CertifiedOrder {
            kind,
            identification: Some(identification),
            ..order()
        };
        CertifiedGateway::send(&sending(&server.url()), &order)
            .await
            .unwrap();
        asked.assert_async().await;
    }
}

#[tokio::test]
async fn the_functions_on_a_message_name_it_and_read_their_answer() {
    let mut server = Server::new_async().await;
    let gateway = sending(&server.url());
    let id = ("Idmensaje", "1283876988");

    let asked = platform(
        &mut server,
        CANCEL,
        &[id],
        "[{\"Res\":3,\"IDMENSAJE\":1283876988,\"CRED\":10,\"CREDR\":\"1,5\"}]",
    )
    .await;
    let cancelled = gateway.cancel(group()).await.unwrap();
    asked.assert_async().await;
    assert_eq!(
        (cancelled.recipients, cancelled.credits_back),
        (3, Some(1.5))
    );

    let fields = [id, ("Fecha", "2026-07-02 02:00")];
    let asked = platform(
        &mut server,
        RESCHEDULE,
        &fields,
        "{\"Res\":\"2\",\"Cred\":7}",
    )
    .await;
    let time = SendTime::new("2026-07-02T00:00:00Z".parse().unwrap()).unwrap();
    assert_eq!(gateway.reschedule(group(), time).await, Ok(2));
    asked.assert_async().await;

    // As an array, and as the text's example writes one.
    for list in [
        r#"[{"Fecha":"2026-11-24 11:14:24","Tiempo":3,"Telefono":"34600000001","Resultado":14,"Estado":"x"},{"Telefono":34600000002,"Resultado":"777"}]"#,
        r#""[{'Fecha':'2026-11-24 11:14:24','Tiempo':3,'Telefono':'34600000001','Resultado':14},{'Telefono':'34600000002','Resultado':777}]""#,
    ] {
        let body = format!("[{{\"Res\":1,\"Destinatarios\":2,\"Cred\":5,\"Informe\":{list}}}]");
        let asked = platform(&mut server, REPORT, &[id], body).await;
        let rows = gateway.report(group()).await.unwrap();
        asked.assert_async().await;
        assert_eq!(rows.len(), 2, "{list}");
        assert_eq!(
            rows[0].recipient,
            ReportedNumber::parse("+34600000001", BareDigits::WithCountry)
        );
        assert_eq!(rows[0].state, PlatformState::new(14));
        assert_eq!(rows[0].time.unwrap().to_string(), "2026-11-24T10:14:24Z");
        assert_eq!((rows[0].seconds, rows[1].seconds), (Some(3), None));
        assert_eq!((rows[1].state.number(), rows[1].time), (777, None));
    }
}

fn name() -> LibraryFileName {
    LibraryFileName::parse("notifica.pdf").unwrap()
}

pub fn file(form: UploadForm) -> LibraryUpload {
    LibraryUpload {
        name: name(),
        content: FileContent::new(b"%PDF\r\n--\xff".to_vec()),
        delete_when_certified: true,
        form,
    }
}

#[tokio::test]
async fn a_file_is_uploaded_in_either_form() {
    let mut server = Server::new_async().await;
    let gateway = sending(&server.url());
    let fields = [
        ("Nombre", "notifica.pdf"),
        ("Tipo", "BASE64"),
        ("Autoborrado", "Si"),
        ("Contenido", "JVBERg0KLS3/"),
    ];
    let asked = platform(
        &mut server,
        UPLOAD,
        &fields,
        "[{\"Res\":1,\"Nombre\":\"notif1.pdf\"}]",
    )
    .await;
    assert_eq!(
        gateway.upload(&file(UploadForm::Base64)).await.as_deref(),
        Ok("notif1.pdf")
    );
    asked.assert_async().await;
    asked.remove_async().await;
    let asked = server
        .mock("POST", "/v7/CargarFichero")
        .match_header("content-type", mockito::Matcher::Regex("^multipart/form-data; boundary=clave-otp-[0-9a-f]{32}$".into()))
        .match_request(|request| {
            let content_type = request.header("content-type")[0].to_str().unwrap().to_owned();
            let boundary = content_type.split_once('=').unwrap().1;
            let part = |name: &str, value: &str| format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
            let mut expected = [part("Nombre", "notifica.pdf"), part("Tipo", "FILES"), part("Autoborrado", "Si"), part("Resp", "JSON")].concat().into_bytes();
            expected.extend(format!("--{boundary}\r\nContent-Disposition: form-data; name=\"Fichero\"; filename=\"notifica.pdf\"\r\nContent-Type: application/octet-stream\r\n\r\n").into_bytes());
            expected.extend(b"%PDF\r\n--\xff\r\n--");
            expected.extend(format!("{boundary}--\r\n").into_bytes());
            *request.body().unwrap() == expected
        })
        .with_body("{\"Res\":1}")
        .create_async()
        .await;
    assert_eq!(
        gateway.upload(&file(UploadForm::Files)).await.as_deref(),
        Ok("notifica.pdf")
    );
    asked.assert_async().await;
}

#[tokio::test]
async fn the_library_and_the_balance_are_asked_and_read() {
    let mut server = Server::new_async().await;
    let gateway = sending(&server.url());
    let body = r#"[{"Res":1,"Ficheros":[{"Fecha":"2026-11-24 11:14:24","Nombre":"a","Ext":"pdf"},{"Nombre":"b.doc","Ext":"doc"},{"Ext":"x"}]}]"#;
    let asked = platform(&mut server, FILES, &[], body).await;
    let files = gateway.files().await.unwrap();
    asked.assert_async().await;
    let names: Vec<&str> = files.iter().map(|file| &*file.name).collect();
    assert_eq!(names, ["a.pdf", "b.doc"]);
    assert_eq!(
        files[0].upload_time.unwrap().to_string(),
        "2026-11-24T11:14:24"
    );

    let asked = platform(
        &mut server,
        DELETE,
        &[("Nombre", "notifica.pdf")],
        "{\"Res\":1}",
    )
    .await;
    assert_eq!(gateway.delete_file(&name()).await, Ok(()));
    asked.assert_async().await;

    let asked = platform(
        &mut server,
        BALANCE,
        &[],
        "{\"Res\":1,\"Cred\":\"1.234,50\"}",
    )
    .await;
    assert_eq!(gateway.balance().await, Ok(1234.5));
    asked.assert_async().await;
}
