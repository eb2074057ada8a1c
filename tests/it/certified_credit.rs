//! Credit that the platform tells beside its answers, whatever it was asked: the account's health and its metric tell what was
//! said last. The platform's answers are single ones (`mockito`).

use clave_otp::grpc::proto::{
    CancelCertifiedMessageRequest, CertificatesOfMessage, DeleteLibraryFileRequest,
    DownloadCertificatesRequest, GetBalanceRequest, ListLibraryFilesRequest,
    RescheduleCertifiedMessageRequest, UploadLibraryFileRequest,
    download_certificates_request::Wanted,
};
use mockito::Server;
use tonic::Status;

use crate::{
    certified::{Story, answering, in_an_hour, request, start},
    mensatek::account,
    support::{MADRID, request as code_request, soon},
};

const METRIC: &str = "clave_otp_account_credit{account=\"madrid-mn\"}";

/// Asks for one function of the platform about this message.
async fn ask(story: &mut Story, function: &str, name: &str) -> Result<(), Status> {
    let (name, administration) = (name.to_owned(), MADRID.to_owned());
    let client = &mut story.client;
    match function {
        "ReprogramarSMSCERTIFICADO" => {
            let request = RescheduleCertifiedMessageRequest {
                name,
                send_time: Some(in_an_hour()),
            };
            client.reschedule_certified_message(request).await.map(drop)
        }
        "GetReportSMSCERTIFICADO" => story.report(&name).await.map(drop),
        "CancelarSMSCERTIFICADO" => {
            let request = CancelCertifiedMessageRequest { name };
            client.cancel_certified_message(request).await.map(drop)
        }
        "GetSMSCERTIFICADO" => {
            let wanted = Wanted::Message(CertificatesOfMessage {
                name,
                recipient_index: None,
            });
            let request = DownloadCertificatesRequest {
                wanted: Some(wanted),
            };
            client.download_certificates(request).await.map(drop)
        }
        "CargarFichero" => {
            let request = UploadLibraryFileRequest {
                administration,
                file_name: "a.pdf".into(),
                content: b"%PDF-1.7".to_vec(),
                ..UploadLibraryFileRequest::default()
            };
            client.upload_library_file(request).await.map(drop)
        }
        "ListarFicheros" => {
            let request = ListLibraryFilesRequest {
                administration,
                account: String::new(),
            };
            client.list_library_files(request).await.map(drop)
        }
        "BorrarFichero" => {
            let request = DeleteLibraryFileRequest {
                administration,
                account: String::new(),
                file_name: "a.pdf".into(),
            };
            client.delete_library_file(request).await.map(drop)
        }
        "GetCreditos" => {
            let request = GetBalanceRequest {
                administration,
                account: String::new(),
            };
            client.get_balance(request).await.map(drop)
        }
        other => panic!("no rpc of this story asks for {other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_answer_alone_changes_the_credit_of_the_account_and_its_metric() {
    let mut platform = Server::new_async().await;
    let sent = "{\"Res\":1,\"idMensaje\":77,\"Mensajes\":1,\"Cred\":\"1.090,25\"}";
    answering(&mut platform, "EnviarSMSCERTIFICADO", sent).await;
    let mut story = start(&platform, |_| {}).await;
    assert_eq!(account(&mut story.app).await.credit, None);
    assert!(!story.app.metrics().await.contains(METRIC));
    let message = story.sent(request()).await;
    assert_eq!(account(&mut story.app).await.credit, Some(1090.25));
    assert!(
        story
            .app
            .metrics()
            .await
            .contains(&format!("{METRIC} 1090.25\n"))
    );
    // What was done and what was refused tell it alike.
    for (function, rest, credit, is_done) in [
        ("ReprogramarSMSCERTIFICADO", "\"Res\":1", 91.5, true),
        (
            "GetReportSMSCERTIFICADO",
            "\"Res\":1,\"Informe\":[]",
            92.5,
            true,
        ),
        ("CancelarSMSCERTIFICADO", "\"Res\":-4", 93.5, false),
        ("GetSMSCERTIFICADO", "\"Res\":-4", 94.5, false),
        (
            "CargarFichero",
            "\"Res\":1,\"Nombre\":\"a.pdf\"",
            95.5,
            true,
        ),
        ("ListarFicheros", "\"Res\":1,\"Ficheros\":[]", 96.5, true),
        ("BorrarFichero", "\"Res\":-2", 97.5, false),
        ("GetCreditos", "\"Res\":1", 98.5, true),
    ] {
        let body = format!("[{{{rest},\"Cred\":{credit}}}]");
        let asked = answering(&mut platform, function, &body).await;
        let told = ask(&mut story, function, &message.name).await;
        assert_eq!(told.is_ok(), is_done, "{function}: {told:?}");
        asked.assert_async().await;
        // At once, not with the next code.
        let shown = account(&mut story.app).await.credit;
        assert_eq!(shown, Some(credit), "{function}");
        let metrics = story.app.metrics().await;
        assert!(
            metrics.contains(&format!("{METRIC} {credit}\n")),
            "{function}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_and_certified_messages_tell_one_credit_and_the_last_word_counts() {
    let mut platform = Server::new_async().await;
    let body = "{\"Res\":1,\"Msgid\":7,\"Cred\":40}";
    answering(&mut platform, "EnviarSMS", body).await;
    answering(&mut platform, "GetCreditos", "{\"Res\":1,\"Cred\":39}").await;
    let mut story = start(&platform, |_| {}).await;
    story.app.accepted(code_request()).await;
    story.app.until_metrics(&[format!("{METRIC} 40\n")]).await;
    ask(&mut story, "GetCreditos", "").await.unwrap();
    let shown = account(&mut story.app).await.credit;
    assert_eq!(shown, Some(39.0));
    // What the lane says of itself later does not bring the old one back.
    let name = || "accounts/madrid-mn".to_owned();
    let pause = clave_otp::grpc::proto::PauseAccountRequest { name: name() };
    story.app.accounts.pause_account(pause).await.unwrap();
    let closed = "clave_otp_lane_closed{account=\"madrid-mn\",cause=\"paused\"} 1\n";
    story.app.until_metrics(&[closed.to_owned()]).await;
    assert_eq!(account(&mut story.app).await.credit, Some(39.0));
    assert!(
        story
            .app
            .metrics()
            .await
            .contains(&format!("{METRIC} 39\n"))
    );
    soon(story.app.stop()).await;
}
