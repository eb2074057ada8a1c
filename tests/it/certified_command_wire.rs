//! `clave-otp certified`: every option of it against what the simulated platform gets, what is watched, and what people read.

use clave_otp::simulator::{Action, Match, MensatekFunction, Script};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    certified::Story,
    certified_command::{json, run, run_for},
    certified_simulated::start,
    certified_wire::{certified, day, files_of, last},
    support::MADRID,
    watch_command::Watch,
};

const PDF: &[u8] = b"%PDF-1.7\n%EOF";

/// `send` for Madrid to one citizen, with these options.
async fn send(story: &Story, to: &str, options: &[&str]) -> Value {
    let always = ["send", "--administration", MADRID, "--to", to];
    json(story, &[&always[..], options].concat()).await
}

fn parameters(story: &Story, names: &[&str]) -> Vec<Option<String>> {
    let call = last(story, MensatekFunction::SendCertified);
    let values = names.iter().map(|name| call.parameter(name));
    values.map(|value| value.map(str::to_owned)).collect()
}

fn sent_orders(story: &Story) -> usize {
    let calls = story.app.simulator.ledger().calls();
    let orders = calls.iter().map(|call| call.function);
    orders
        .filter(|function| *function == MensatekFunction::SendCertified)
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_option_of_a_message_comes_to_the_platform() {
    let story = start(Script::new(), |_| {}).await;
    let request_id = Uuid::new_v4().to_string();
    let options = [
        "--account",
        "madrid-mn",
        "--text",
        "Hola {1}, {2}",
        "--sender",
        "ClaveMadrid",
        "--at",
        "2099-01-01T10:00:00Z",
        "--valid-minutes",
        "3187",
        "--identify",
        "certificate",
        "--document",
        "00000000T",
        "--acceptance-days",
        "11",
        "--reference",
        "expediente-7",
        "--request-id",
        &request_id,
    ];
    let first = send(&story, "+34600000001,Ana,dos", &options).await;
    assert_eq!(first["replayed"], false);
    assert_eq!(first["reference"], "expediente-7");
    assert_eq!(first["account"], "accounts/madrid-mn");
    let rows = [
        ("Mensaje", "Hola (Variable_1), (Variable_2)"),
        (
            "Destinatarios",
            r#"[{"Movil":"34600000001","Variable_1":"Ana","Variable_2":"dos"}]"#,
        ),
        ("Remitente", "ClaveMadrid"),
        ("Fecha", "2099-01-01 11:00"),
        ("Vpd", "2"),
        ("Vph", "5"),
        ("Vpm", "7"),
        ("Identificar", "CERTIFICADO-00000000T"),
        ("Aceptacion", "11"),
    ];
    let expected = rows.map(|(_, value)| Some(value.to_owned()));
    assert_eq!(parameters(&story, &rows.map(|(name, _)| name)), expected);
    // Once more under the same id: nothing is sent; something else under it is refused, and says how to ask again.
    let again = send(&story, "+34600000001,Ana,dos", &options).await;
    assert_eq!(
        (&again["replayed"], &again["name"]),
        (&true.into(), &first["name"])
    );
    assert_eq!(sent_orders(&story), 1);
    let other = ["send", "--administration", MADRID, "--to", "+34600000001"];
    let other = [&other[..], &["--text", "Otra", "--request-id", &request_id]].concat();
    let refused = run(&story, &other, "").await;
    let words = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(words.contains("REQUEST_ID_REUSED"), "{words}");
    assert!(
        words.contains(&format!("--request-id {request_id}")),
        "{words}"
    );
    // Joined by its bare id.
    let name = first["name"].as_str().unwrap();
    let id = name.strip_prefix("certifiedMessages/").unwrap();
    let joined = send(&story, "+34600000002", &["--text", "Lea", "--group", id]).await;
    assert_eq!(joined["gateway_message_id"], first["gateway_message_id"]);
    let group = first["gateway_message_id"].as_str().map(str::to_owned);
    assert_eq!(parameters(&story, &["Idmensaje"]), [group]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_and_every_identification_can_be_asked_for() {
    let story = start(Script::new(), |_| {}).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("contrato.pdf");
    std::fs::write(&file, PDF).unwrap();
    let file = file.to_str().unwrap();
    for (kind, number, shown) in [
        ("certified", "0", "CERTIFIED"),
        ("contract-by-reply", "1", "CONTRACT_BY_REPLY"),
        ("contract-by-acceptance", "18", "CONTRACT_BY_ACCEPTANCE"),
        ("contract-by-signature", "50", "CONTRACT_BY_SIGNATURE"),
        (
            "contract-by-verified-signature",
            "16434",
            "CONTRACT_BY_VERIFIED_SIGNATURE",
        ),
    ] {
        let options = ["--text", "Lea", "--kind", kind, "--pdf", file];
        let message = send(&story, "+34600000001", &options).await;
        assert_eq!(message["kind"], shown);
        assert_eq!(parameters(&story, &["Tipocontrato"]), [Some(number.into())]);
    }
    for (method, document, word) in [
        ("none", None, "LIBRE"),
        ("phone", None, "MOVIL"),
        ("one-time-pin", None, "OTP"),
        ("document", Some("00000000T"), "DNI-00000000T"),
        ("certificate", Some("00000000T"), "CERTIFICADO-00000000T"),
    ] {
        let mut options = vec!["--text", "Lea", "--identify", method];
        if let Some(document) = document {
            options.extend(["--document", document]);
        }
        send(&story, "+34600000001", &options).await;
        assert_eq!(parameters(&story, &["Identificar"]), [Some(word.into())]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_and_the_certificates_of_some_days_are_asked_for_as_the_options_say() {
    let mut story = start(Script::new(), |_| {}).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notifica.pdf");
    std::fs::write(&file, PDF).unwrap();
    let file = file.to_str().unwrap();
    for (options, kind, goes) in [
        (vec!["--name", "uno.pdf"], "FILES", None),
        (
            vec!["--name", "dos.pdf", "--delete-when-certified", "--base64"],
            "BASE64",
            Some("Si"),
        ),
    ] {
        let upload = ["upload", file, "--administration", MADRID];
        json(&story, &[&upload[..], &options].concat()).await;
        let call = last(&story, MensatekFunction::UploadFile);
        assert_eq!(call.parameter("Tipo"), Some(kind));
        assert_eq!(call.parameter("Autoborrado"), goes);
        assert_eq!(call.parameter("Nombre"), Some(options[1]));
    }
    let message = send(&story, "+34600000001", &["--text", "Lea"]).await;
    certified(&mut story, message["name"].as_str().unwrap()).await;
    let (first, last_day) = (day(-2).to_string(), day(2).to_string());
    let written = folder.path().join("certificados.zip");
    for output in [written.to_str().unwrap(), "-"] {
        let download = [
            "download",
            "--administration",
            MADRID,
            "--account",
            "madrid-mn",
            "--from",
            &first,
            "--until",
            &last_day,
            "--output",
            output,
        ];
        let ended = run(&story, &download, "").await;
        assert!(ended.status.success(), "{ended:?}");
        let call = last(&story, MensatekFunction::Certificates);
        assert_eq!(call.parameter("FechaInicio"), Some(&*first));
        assert_eq!(call.parameter("FechaFin"), Some(&*last_day));
        let zip = match output {
            "-" => ended.stdout,
            file => {
                assert!(ended.stdout.is_empty());
                std::fs::read(file).unwrap()
            }
        };
        assert_eq!(files_of(zip), (1, vec!["report.csv".to_owned()]));
    }
}

const WATCH: [&str; 2] = ["certified", "watch"];

/// The next line that tells an event, for programs.
async fn event(mut watch: Watch) -> (Watch, Value) {
    loop {
        let (next, line) = watch.json().await;
        if line["message"].is_string() {
            return (next, line);
        }
        watch = next;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_platform_tells_is_watched_and_gone_on_with() {
    let story = start(Script::new(), |_| {}).await;
    let for_programs = ["--format", "json", "--administration", MADRID];
    let (watch, begin) = Watch::of(&story.app, &WATCH, &for_programs).json().await;
    let keys: Vec<&String> = begin.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["resume_token"]);
    let message = send(&story, "+34600000001", &["--text", "Lea"]).await;
    let (watch, delivered) = event(watch).await;
    assert_eq!(delivered["message"], message["name"]);
    assert_eq!(delivered["administration"], MADRID);
    assert_eq!(delivered["account"], "accounts/madrid-mn");
    assert_eq!(delivered["masked_recipient"], "+34•••••001");
    assert_eq!(delivered["news"]["state"]["number"], 13);
    assert_eq!(delivered["news"]["state"]["stage"], "DELIVERED");
    let (watch, closed) = event(watch).await;
    assert_eq!(closed["news"]["state"]["number"], 14);
    drop(watch);
    // Behind what has been dealt with.
    let token = delivered["resume_token"].as_str().unwrap();
    let options = [&for_programs[..], &["--resume-token", token]].concat();
    let (_watch, again) = event(Watch::of(&story.app, &WATCH, &options)).await;
    assert_eq!(again, closed);

    // For people: a line for each event, and how to go on where it ends.
    let begin = begin["resume_token"].as_str().unwrap();
    let mut watch = Watch::of(&story.app, &WATCH, &["--resume-token", begin]);
    let name = message["name"].as_str().unwrap();
    for words in [
        "Entregado al teléfono (13)",
        "SMS Certificado entregado y certificado (14)",
    ] {
        let (next, line) = watch.line().await;
        let expected = format!("{name}  +34•••••001  {words}  20");
        assert!(line.starts_with(&expected), "{line}");
        watch = next;
    }
    story.app.stop().await;
    let (code, words) = watch.ended().await;
    assert_eq!(code, Some(1));
    let go_on = "clave-otp certified watch --resume-token c";
    assert!(words.contains(go_on), "{words}");
}

/// What is printed for people; how it ended is told beside it.
async fn read(story: &Story, arguments: &[&str]) -> (Option<i32>, String) {
    let output = run_for("text", story, arguments, "").await;
    let words = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), words)
}

#[tokio::test(flavor = "multi_thread")]
async fn people_read_lines_and_not_objects() {
    let story = start(Script::new(), |_| {}).await;
    let balance = ["balance", "--administration", MADRID];
    let expected = (Some(0), "1000 credits\n".to_owned());
    assert_eq!(read(&story, &balance).await, expected);
    let later = ["--text", "Lea", "--at", "2099-01-01T10:00:00Z"];
    let message = send(&story, "+34600000001", &later).await;
    let name = message["name"].as_str().unwrap();
    let shown = |state: &str, words: &str| {
        let head = format!("{name}  {state:<9} CERTIFIED from ClaveMadrid by accounts/madrid-mn");
        (Some(0), format!("{head}\n  +34•••••001  {words}\n"))
    };
    let scheduled = shown("SENT", "Programado (1)");
    assert_eq!(read(&story, &["report", name]).await, scheduled);
    assert_eq!(read(&story, &["get", name]).await, scheduled);
    let moved = ["reschedule", name, "--at", "2099-01-02T10:00:00Z"];
    assert_eq!(read(&story, &moved).await, scheduled);
    let (code, words) = read(&story, &["cancel", name]).await;
    assert_eq!(code, Some(0));
    assert!(
        words.starts_with(&format!("{name}  CANCELLED CERTIFIED")),
        "{words}"
    );

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notifica.pdf");
    std::fs::write(&file, PDF).unwrap();
    let upload = ["upload", file.to_str().unwrap(), "--administration", MADRID];
    let expected = (Some(0), "notifica.pdf\n".to_owned());
    assert_eq!(read(&story, &upload).await, expected);
    let (code, words) = read(&story, &["files", "--administration", MADRID]).await;
    assert_eq!(code, Some(0));
    assert!(words.starts_with("notifica.pdf     20"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_was_not_taken_is_shown_and_ends_with_an_error() {
    let function = Match::function("EnviarSMSCERTIFICADO");
    let script = Script::new().on(function, Action::BareInt(-4));
    let story = start(script, |_| {}).await;
    let send = ["send", "--administration", MADRID, "--to", "+34600000001"];
    let send = [&send[..], &["--text", "Lea"]].concat();
    let output = run_for("text", &story, &send, "").await;
    assert_eq!(output.status.code(), Some(1));
    let shown = String::from_utf8(output.stdout).unwrap();
    let end = "  FAILED    CERTIFIED from ClaveMadrid by accounts/madrid-mn  GATEWAY_ATTACHMENT_REFUSED\n  +34•••••001  nothing told yet\n";
    assert!(shown.ends_with(end), "{shown}");
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(
        words.contains("was not taken for sure: GATEWAY_ATTACHMENT_REFUSED"),
        "{words}"
    );
}
