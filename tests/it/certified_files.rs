//! Certificates and the library through the service. The platform's answers are single ones (`mockito`).

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use clave_otp::grpc::proto::{
    CertificatesOfPeriod, DeleteLibraryFileRequest, DownloadCertificatesRequest,
    DownloadCertificatesResponse, GetBalanceRequest, ListLibraryFilesRequest,
    UploadLibraryFileRequest, download_certificates_request::Wanted,
};
use mockito::{Matcher, Server};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tonic::Streaming;

use crate::{
    certified::{Story, answering, start, start_at},
    support::{MADRID, reason_of, soon},
};

async fn downloading(story: &mut Story) -> Streaming<DownloadCertificatesResponse> {
    let wanted = Wanted::Period(CertificatesOfPeriod {
        administration: MADRID.into(),
        first_day: "2026-11-01".into(),
        last_day: "2026-11-30".into(),
        ..CertificatesOfPeriod::default()
    });
    let request = DownloadCertificatesRequest {
        wanted: Some(wanted),
    };
    let answer = story.client.download_certificates(request).await;
    answer.unwrap().into_inner()
}

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
        let mut pieces = downloading(&mut story).await;
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

/// What a platform sends of one download.
const ARCHIVE_BYTES: usize = 48 * 1024 * 1024;
/// More than the buffers of two connections on one machine hold.
const BUFFERS_BYTES: usize = 24 * 1024 * 1024;

/// A platform that sends one long archive as fast as it is taken; how much has been taken.
async fn long_archive() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.windows(4).any(|end| end == b"\r\n\r\n") {
            assert!(connection.read_buf(&mut request).await.unwrap() > 0);
        }
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/zip\r\ncontent-length: {ARCHIVE_BYTES}\r\n\r\nPK\x03\x04"
        );
        connection.write_all(head.as_bytes()).await.unwrap();
        let mut left = ARCHIVE_BYTES - 4;
        let piece = vec![7; 64 * 1024];
        while left > 0 {
            let written = connection
                .write(&piece[..left.min(piece.len())])
                .await
                .unwrap();
            counted.fetch_add(written, Ordering::Relaxed);
            left -= written;
        }
        // The client closes when it has all.
        let _ = connection.read_buf(&mut request).await;
    });
    (format!("http://{address}"), taken)
}

/// Returns when nothing more is taken, with how much was.
async fn when_it_stands_still(taken: &AtomicUsize) -> usize {
    let mut before = 0;
    let mut still = 0;
    while still < 20 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = taken.load(Ordering::Relaxed);
        still = if now == before && now > 0 {
            still + 1
        } else {
            0
        };
        before = now;
    }
    before
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_holds_the_platform_back_and_not_the_archive_in_memory() {
    let (platform, taken) = long_archive().await;
    let mut story = start_at(&platform, |_| {}).await;
    let mut pieces = downloading(&mut story).await;
    let first = pieces.message().await.unwrap().unwrap().content.len();
    let held = soon(when_it_stands_still(&taken)).await;
    assert!(held < BUFFERS_BYTES, "{held} bytes are held somewhere");
    let mut came = first;
    while let Some(piece) = pieces.message().await.unwrap() {
        came += piece.content.len();
    }
    assert_eq!(came, ARCHIVE_BYTES);
}
