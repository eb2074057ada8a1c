//! The simulator's Mensatek behind Prism, which judges each request and each answer by `docs/openapi/mensatek-7.0.yaml`: so the
//! platform that the other stories play with is the one of the description.

use std::time::Duration;

use clave_otp::simulator::{Script, Simulator};
use serde_json::Value;

use super::prism::Prism;
use crate::{
    simulator::client,
    simulator_mensatek::{AUTHORIZATION, at_noon, certified, form, sms},
    support::openapi,
};

/// `%PDF-` in base64.
const PDF: &str = "JVBERi0=";

/// Prism before a simulator.
struct Judged {
    prism: Prism,
}

impl Judged {
    fn before(simulator: &Simulator) -> Option<Self> {
        let base = simulator.mensatek_base();
        let origin = base.strip_suffix("/v7").expect("the base ends so");
        let prism = Prism::before(origin)?;
        Some(Self { prism })
    }

    async fn answer(&self, function: &str, fields: &[(&str, &str)]) -> (String, Vec<u8>) {
        let response = client()
            .post(self.prism.base.join(&format!("v7/{function}")).unwrap())
            .header("Content-Type", "application/x-www-form-urlencoded")
            .header("Authorization", AUTHORIZATION)
            .body(form(fields))
            .send()
            .await
            .unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.unwrap().to_vec();
        let shown = String::from_utf8_lossy(&body);
        assert_eq!(status, 200, "{function}: {shown}");
        // How it tells what it found in an answer.
        let found = headers.get("sl-violations");
        assert_eq!(found, None, "{function}: {shown}");
        (headers["content-type"].to_str().unwrap().to_owned(), body)
    }

    /// The one object of an answer, whose names are all described.
    async fn object(&self, function: &str, object: &str, fields: &[(&str, &str)]) -> Value {
        let (_, body) = self.answer(function, fields).await;
        let answer: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(answer.as_array().map(Vec::len), Some(1), "{answer}");
        let described = openapi::properties_of(object);
        for name in answer[0].as_object().unwrap().keys() {
            assert!(described.contains(name), "{function}: {name}");
        }
        answer[0].clone()
    }
}

#[tokio::test]
async fn prism_finds_nothing_wrong_in_what_the_simulator_answers() {
    let (simulator, clock) = at_noon(Script::new()).await;
    let Some(judged) = Judged::before(&simulator) else {
        return;
    };
    let answer = judged.object("EnviarSMS", "SentAnswer", &sms(&[])).await;
    assert_eq!(answer["Res"], 1);
    let file = [
        ("Tipo", "BASE64"),
        ("Nombre", "uno.pdf"),
        ("Contenido", PDF),
    ];
    let answer = judged
        .object("CargarFichero", "UploadedAnswer", &file)
        .await;
    assert_eq!(answer["Nombre"], "uno.pdf");
    let answer = judged.object("ListarFicheros", "ListedAnswer", &[]).await;
    assert_eq!(answer["Ficheros"][0]["Ext"], "pdf");

    let wishes = certified(&[
        ("Mensaje", "vea (FILE:2:uno.pdf)"),
        ("Fecha", "2026-11-22 14:00"),
        ("Referenciausuario", "una"),
        ("Report", "1"),
        ("Vpd", "1"),
        ("Identificar", "OTP"),
        ("Aceptacion", "3"),
    ]);
    let send = "EnviarSMSCERTIFICADO";
    let answer = judged.object(send, "SentAnswer", &wishes).await;
    let id = answer["idMensaje"].to_string();
    let message = ("Idmensaje", id.as_str());
    let moved = [message, ("Fecha", "2026-11-22 15:00")];
    let answer = judged
        .object("ReprogramarSMSCERTIFICADO", "RescheduledAnswer", &moved)
        .await;
    assert_eq!(answer["Res"], 1);
    let report = "GetReportSMSCERTIFICADO";
    let answer = judged.object(report, "ReportedAnswer", &[message]).await;
    assert_eq!(answer["Informe"][0]["Resultado"], 1);
    let cancel = "CancelarSMSCERTIFICADO";
    let answer = judged.object(cancel, "CancelledAnswer", &[message]).await;
    assert_eq!(answer["IDMENSAJE"].to_string(), id);
    clock.advance(Duration::from_secs(60));

    let name = [("Nombre", "uno.pdf")];
    for res in [1, -2] {
        let answer = judged.object("BorrarFichero", "DeletedAnswer", &name).await;
        assert_eq!(answer["Res"], res);
    }
    let answer = judged.object("GetCreditos", "CreditAnswer", &[]).await;
    assert_eq!(answer["Cred"], 999);
    // Refusals are described too.
    let gone = [("Mensaje", "vea (FILE:2:uno.pdf)")];
    let answer = judged.object(send, "SentAnswer", &certified(&gone)).await;
    assert_eq!(answer["Res"], -16);
    let answer = judged
        .object(cancel, "CancelledAnswer", &[("Idmensaje", "7")])
        .await;
    assert_eq!(answer["Res"], -2);
    let (kind, body) = judged
        .answer("GetSMSCERTIFICADO", &[("Idmensaje", "7")])
        .await;
    assert!(kind.starts_with("application/json"), "{kind}");
    assert!(String::from_utf8(body).unwrap().contains("\"Res\":-2"));
}
