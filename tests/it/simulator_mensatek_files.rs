//! The simulated Mensatek keeps a library of files, lets them be attached, and gives out certificates that others can open.

use std::fmt::Write as _;

use clave_otp::simulator::{MensatekRules, Script, Simulator};
use serde_json::{Value, json};

use crate::{
    simulator::client,
    simulator_mensatek::{AUTHORIZATION, at_noon, call, certified, form, request, sent},
};

const UPLOAD: &str = "CargarFichero";
const DOWNLOAD: &str = "GetSMSCERTIFICADO";
/// `%PDF-` in base64.
const PDF: &str = "JVBERi0=";

/// Uploads a file by its parts, as a browser does.
async fn upload(
    simulator: &Simulator,
    fields: &[(&str, &str)],
    file: Option<(&str, &str)>,
) -> Value {
    let mut body = String::new();
    for (name, value) in fields.iter().chain(&[("Resp", "JSON")]) {
        let head = format!("Content-Disposition: form-data; name=\"{name}\"");
        write!(body, "--limit\r\n{head}\r\n\r\n{value}\r\n").unwrap();
    }
    if let Some((name, content)) = file {
        let head = format!("Content-Disposition: form-data; name=\"f\"; filename=\"{name}\"");
        let head = format!("{head}\r\nContent-Type: application/pdf");
        write!(body, "--limit\r\n{head}\r\n\r\n{content}\r\n").unwrap();
    }
    body.push_str("--limit--\r\n");
    let answer = client()
        .post(format!("{}/{UPLOAD}", simulator.mensatek_base()))
        .header("Content-Type", "multipart/form-data; boundary=limit")
        .header("Authorization", AUTHORIZATION)
        .body(body);
    let answer: Value = answer
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap()
        .parse()
        .unwrap();
    answer[0].clone()
}

/// Whether the archive was whole for Python's reader; its names and contents follow.
async fn opened(simulator: &Simulator, fields: &[(&str, &str)]) -> Vec<(String, String)> {
    let response = request(simulator, DOWNLOAD, form(fields))
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["content-type"], "application/zip");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("certificates.zip");
    std::fs::write(&path, response.bytes().await.unwrap()).unwrap();
    let program = "import json, sys, zipfile\n\
        archive = zipfile.ZipFile(sys.argv[1])\n\
        assert archive.testzip() is None\n\
        read = lambda name: archive.read(name).decode('utf-8', 'replace')\n\
        print(json.dumps([[name, read(name)] for name in archive.namelist()]))";
    let output = std::process::Command::new("python3")
        .args(["-c", program, path.to_str().unwrap()])
        .output()
        .expect("python3 must be on the path: its own reader of archives judges ours");
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn files_come_in_both_ways_are_listed_and_deleted() {
    let (simulator, _) = at_noon(Script::new()).await;
    let fields = [
        ("Tipo", "BASE64"),
        ("Nombre", "uno.pdf"),
        ("Contenido", PDF),
    ];
    let answer = call(&simulator, UPLOAD, &fields).await;
    assert_eq!(
        answer,
        json!({ "Res": 1, "Nombre": "uno.pdf", "Cred": 1000 })
    );
    let answer = upload(&simulator, &[("Tipo", "FILES")], Some(("dos.vcf", "BEGIN"))).await;
    assert_eq!(answer["Nombre"], "dos.vcf");
    let renamed = [
        ("Tipo", "FILES"),
        ("Nombre", "tres.PDF"),
        ("Autoborrado", "No"),
    ];
    let answer = upload(&simulator, &renamed, Some(("other name.pdf", "%PDF"))).await;
    assert_eq!(answer["Nombre"], "tres.PDF");
    let listed = call(&simulator, "ListarFicheros", &[]).await;
    let file = |name, kind| json!({ "Fecha": "2026-11-22 13:00:00", "Nombre": name, "Ext": kind });
    let files = [
        file("uno.pdf", "pdf"),
        file("dos.vcf", "vcf"),
        file("tres.PDF", "pdf"),
    ];
    assert_eq!(listed, json!({ "Res": 1, "Cred": 1000, "Ficheros": files }));
    let name = [("Nombre", "uno.pdf")];
    assert_eq!(call(&simulator, "BorrarFichero", &name).await["Res"], 1);
    assert_eq!(call(&simulator, "BorrarFichero", &name).await["Res"], -2);
    assert_eq!(call(&simulator, "BorrarFichero", &[]).await["Res"], -3);
    let listed = call(&simulator, "ListarFicheros", &[]).await;
    assert_eq!(listed["Ficheros"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn every_code_of_an_upload_can_be_provoked() {
    let rules = MensatekRules {
        most_files: 2,
        library_bytes: 20,
        file_bytes: 12,
        ..MensatekRules::default()
    };
    let (simulator, _) = at_noon(Script::new().mensatek(rules)).await;
    let base64 = |name, content| vec![("Tipo", "BASE64"), ("Nombre", name), ("Contenido", content)];
    for (fields, code) in [
        (vec![], -15),
        (vec![("Tipo", "mifichero.pdf")], -15),
        (vec![("Tipo", "BASE64")], -3),
        (vec![("Tipo", "BASE64"), ("Nombre", "uno.pdf")], -12),
        (vec![("Tipo", "FILES")], -13),
        (base64("uno.pdf", "no base64"), -17),
        (base64("uno.exe", PDF), -11),
        (base64("uno.pdf", "QUFB"), -11),
        (base64("doceletrasxy.pdf", PDF), -3),
        (base64("con-guion.pdf", PDF), -3),
        (base64("uno", PDF), -3),
        (base64("uno.vcf", "QUFBQUFBQUFBQUFBQUFB"), -16),
        (base64("uno.vcf", "QUFBQUFBQUFB"), 1),
        (base64("dos.vcf", "QUFBQUFBQUFBQUFB"), -10),
        (base64("dos.vcf", "QUFBQUFBQUFB"), 1),
        (base64("tres.vcf", "QQ=="), -10),
        (base64("dos.vcf", "QQ=="), 1),
    ] {
        let answer = call(&simulator, UPLOAD, &fields).await;
        assert_eq!(answer["Res"], code, "{fields:?}");
    }
    let empty = upload(&simulator, &[("Tipo", "FILES")], Some(("a.pdf", ""))).await;
    assert_eq!(empty["Res"], -13);
    let on_trial = client()
        .post(format!("{}/{UPLOAD}", simulator.mensatek_base()))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header(
            "Authorization",
            "Basic b3RoZXI6bm90LWEtcmVhbC1wYXNzd29yZA==",
        )
        .body(form(&base64("uno.pdf", PDF)));
    let answer = on_trial.send().await.unwrap().text().await.unwrap();
    assert!(answer.contains("\"Res\":-18"), "{answer}");
}

#[tokio::test]
async fn attachments_must_be_there_and_a_contract_needs_a_pdf() {
    let (simulator, _) = at_noon(Script::new()).await;
    for (name, content) in [("uno.pdf", PDF), ("uno.vcf", "QUFB")] {
        let fields = [("Tipo", "BASE64"), ("Nombre", name), ("Contenido", content)];
        assert_eq!(call(&simulator, UPLOAD, &fields).await["Res"], 1);
    }
    for (text, kind, code) in [
        ("vea (FILE:2:uno.pdf)", "0", 1),
        ("vea (BASE64:2:JVBERi0=)", "50", 1),
        ("vea (FILE:2:uno.pdf)", "18", 1),
        ("vea (FILE:2:uno.pdf)", "16434", 1),
        ("responda SI", "1", 1),
        ("vea (FILE:2:dos.pdf)", "0", -16),
        ("vea (FILE:2:uno.exe)", "0", -4),
        ("vea (BASE64:2:QUFB)", "0", -4),
        ("vea", "18", -15),
        ("vea", "50", -15),
        ("vea (FILE:2:uno.vcf)", "16434", -15),
    ] {
        let fields = certified(&[("Mensaje", text), ("Tipocontrato", kind)]);
        let answer = call(&simulator, "EnviarSMSCERTIFICADO", &fields).await;
        assert_eq!(answer["Res"], code, "{text} {kind}");
    }
    let messages = simulator.ledger().messages();
    assert_eq!(
        messages[1].text.expose(),
        "vea (BASE64:2:…)",
        "a content is not kept"
    );
    let details = messages[0].mensatek.as_ref().unwrap();
    assert_eq!((&*details.tags[0], &*details.files[0]), ("FILE", "uno.pdf"));
}

#[tokio::test]
async fn a_certified_message_has_a_certificate_that_another_program_opens() {
    let rules = MensatekRules {
        certificate_bytes: 20_000,
        ..MensatekRules::default()
    };
    let (simulator, _) = at_noon(Script::new().mensatek(rules)).await;
    let file = [
        ("Tipo", "BASE64"),
        ("Nombre", "uno.pdf"),
        ("Contenido", PDF),
        ("Autoborrado", "Si"),
    ];
    call(&simulator, UPLOAD, &file).await;
    let to = r#"[{"Movil":"34600000001"},{"Movil":"34600000002"}]"#;
    let wishes = certified(&[("Destinatarios", to), ("Mensaje", "vea (FILE:2:uno.pdf)")]);
    let number = sent(&simulator, "EnviarSMSCERTIFICADO", &wishes).await;
    let id = number.to_string();
    certified_by_now(&simulator, &id).await;

    let files = opened(&simulator, &[("Idmensaje", &id)]).await;
    let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
    let first = format!("{id}_34600000001.pdf");
    assert_eq!(
        names,
        [&*first, &format!("{id}_34600000002.pdf"), "report.csv"]
    );
    assert!(
        files[0].1.starts_with("%PDF-1.7\n")
            && files[0].1.ends_with("%%EOF")
            && files[0].1.len() > 20_000
    );
    assert_eq!(files[2].1.lines().count(), 3);
    assert!(
        files[2]
            .1
            .contains(&format!("{id};34600000001;2026-11-22 13:00:00;14;"))
    );

    let one = opened(
        &simulator,
        &[("Idmensaje", &id), ("Telefono", "34600000001")],
    )
    .await;
    assert_eq!((one.len(), &one[0].0), (2, &first));
    let span = [("FechaInicio", "2026-11-22"), ("FechaFin", "2026-11-22")];
    assert_eq!(opened(&simulator, &span).await.len(), 3);

    let listed = call(&simulator, "ListarFicheros", &[]).await;
    assert_eq!(listed["Ficheros"], json!([]), "it was to go by itself");
}

#[tokio::test]
async fn there_is_no_certificate_of_what_is_not_certified_or_another_s() {
    let (simulator, _) = at_noon(Script::new()).await;
    let plain = crate::simulator_mensatek::sms(&[]);
    let id = sent(&simulator, "EnviarSMS", &plain).await.to_string();
    let day = ("FechaInicio", "2026-11-22");
    for (fields, code) in [
        (vec![], -3),
        (vec![day], -3),
        (vec![day, ("FechaFin", "pronto")], -3),
        (vec![("Telefono", "34600000001")], -3),
        (vec![("Idmensaje", "7")], -2),
        (vec![("Idmensaje", &id), ("Telefono", "34600000009")], -2),
        (vec![("Idmensaje", id.as_str())], -4),
        (
            vec![("FechaInicio", "2026-11-20"), ("FechaFin", "2026-11-21")],
            -2,
        ),
    ] {
        let answer = call(&simulator, DOWNLOAD, &fields).await;
        assert_eq!(answer["Res"], code, "{fields:?}");
    }
}

/// Returns when all messages of a group are certified: without an address for callbacks nothing else tells.
async fn certified_by_now(simulator: &Simulator, id: &str) {
    loop {
        let report = call(simulator, "GetReportSMSCERTIFICADO", &[("Idmensaje", id)]).await;
        let lines = report["Informe"].as_array().unwrap();
        if lines.iter().all(|line| line["Resultado"] == 14) {
            return;
        }
        tokio::task::yield_now().await;
    }
}
