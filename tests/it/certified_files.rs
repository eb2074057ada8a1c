//! Certificates and the library through the service. The platform's answers are single ones (`mockito`).

use clave_otp::grpc::proto::{
    CertificatesOfPeriod, DeleteLibraryFileRequest, DownloadCertificatesRequest, GetBalanceRequest,
    ListLibraryFilesRequest, UploadLibraryFileRequest, download_certificates_request::Wanted,
};
use mockito::{Matcher, Server};

use crate::{
    certified::{answering, start},
    support::{MADRID, reason_of},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_download_ends_at_its_limit_and_gives_its_place_back() {
    let mut platform = Server::new_async().await;
    let download = platform
        .mock("POST", "/v7/GetSMSCERTIFICADO")
        .with_chunked_body(|writer| {
            writer.write_all(b"PK\x03\x04")?;
            (0..100).try_for_each(|_| writer.write_all(&[7; 1000]))
        })
        .expect(2)
        .create_async()
        .await;
    let mut story = start(&platform, |files| {
        let limits =
            "[certified]\nmax_download_bytes = 65536\nmax_downloads = 1\n\n[administrations]";
        files.change("service.toml", "[administrations]", limits);
    })
    .await;
    for _ in 0..2 {
        let wanted = Wanted::Period(CertificatesOfPeriod {
            administration: MADRID.into(),
            first_day: "2026-11-01".into(),
            last_day: "2026-11-30".into(),
            ..CertificatesOfPeriod::default()
        });
        let request = DownloadCertificatesRequest {
            wanted: Some(wanted),
        };
        let mut pieces = story
            .client
            .download_certificates(request)
            .await
            .unwrap()
            .into_inner();
        let end = loop {
            match pieces.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("it is longer than that"),
                Err(status) => break status,
            }
        };
        assert_eq!(reason_of(&end), "GATEWAY_ANSWER_TOO_LARGE");
    }
    download.assert_async().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_library_and_the_balance_of_an_account_are_its_administrations() {
    let mut platform = Server::new_async().await;
    let upload = platform
        .mock("POST", "/v7/CargarFichero")
        .match_body(Matcher::Regex("filename=\"notifica.pdf\"".into()))
        .with_body("{\"Res\":1,\"Nombre\":\"notif2.pdf\"}")
        .create_async()
        .await;
    let list = answering(
        &mut platform,
        "ListarFicheros",
        "{\"Res\":1,\"Ficheros\":[{\"Nombre\":\"a\",\"Ext\":\"pdf\"}]}",
    )
    .await;
    let delete = answering(&mut platform, "BorrarFichero", "{\"Res\":1}").await;
    let balance = answering(
        &mut platform,
        "GetCreditos",
        "{\"Res\":1,\"Cred\":\"12,5\"}",
    )
    .await;
    let mut story = start(&platform, |_| {}).await;
    let (administration, account) = (MADRID.to_owned(), "accounts/madrid-mn".to_owned());
    let file = UploadLibraryFileRequest {
        administration: administration.clone(),
        account: account.clone(),
        file_name: "notifica.pdf".into(),
        content: b"%PDF-1.7".to_vec(),
        ..UploadLibraryFileRequest::default()
    };
    let name = story
        .client
        .upload_library_file(file)
        .await
        .unwrap()
        .into_inner()
        .file_name;
    assert_eq!(name, "notif2.pdf");
    let request = ListLibraryFilesRequest {
        administration: administration.clone(),
        account: account.clone(),
    };
    let files = story
        .client
        .list_library_files(request)
        .await
        .unwrap()
        .into_inner()
        .files;
    assert_eq!(files[0].file_name, "a.pdf");
    let request = DeleteLibraryFileRequest {
        administration: administration.clone(),
        account: String::new(),
        file_name: "a.pdf".into(),
    };
    story.client.delete_library_file(request).await.unwrap();
    let request = GetBalanceRequest {
        administration,
        account,
    };
    let credits = story
        .client
        .get_balance(request)
        .await
        .unwrap()
        .into_inner()
        .credits;
    assert!((credits - 12.5).abs() < f64::EPSILON);
    for asked in [upload, list, delete, balance] {
        asked.assert_async().await;
    }
}
