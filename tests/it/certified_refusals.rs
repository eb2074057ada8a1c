//! Certified messages that are refused: by the rules, by the role, by the platform; and accounts that it turns away.

mod broken;

use clave_otp::grpc::proto::{
    CancelCertifiedMessageRequest, CertificatesOfPeriod, CertifiedAttachment,
    CertifiedMessageState, DownloadCertificatesRequest, GetBalanceRequest,
    GetCertifiedMessageRequest, LaneState, SendCertifiedMessageRequest,
    WatchCertifiedEventsRequest, certified_attachment::Content,
    download_certificates_request::Wanted,
};
use mockito::Server;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    certified::{FILE, addressee, answering, in_an_hour, request, start},
    support::{BARCELONA, MADRID, reason_of, request as code_request, soon},
};

/// The field that a refusal names, and its reason.
fn about(status: &Status) -> (String, String) {
    let details = status.get_error_details();
    let fields = details
        .bad_request()
        .map(|bad| bad.field_violations.clone());
    let field = fields.and_then(|fields| Some(fields.first()?.field.clone()));
    (field.unwrap_or_default(), reason_of(status))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_a_rule_is_refused_by_its_field_and_nothing_is_asked() {
    let mut platform = Server::new_async().await;
    let asked = platform
        .mock("POST", mockito::Matcher::Any)
        .expect(0)
        .create_async()
        .await;
    let mut story = start(&platform, |_| {}).await;
    for (field, request) in broken::words().into_iter().chain(broken::options()) {
        let refused = story.send(request.clone()).await.unwrap_err();
        assert_eq!(
            refused.code(),
            Code::InvalidArgument,
            "{field}: {request:?} {refused:?}"
        );
        assert_eq!(
            about(&refused),
            (field.into(), "INVALID_FIELD".into()),
            "{request:?}"
        );
    }
    for (number, reason) in [
        ("600000001", "RECIPIENT_MALFORMED"),
        ("+34910000001", "RECIPIENT_NOT_MOBILE"),
    ] {
        let request = SendCertifiedMessageRequest {
            addressees: vec![addressee(number)],
            ..request()
        };
        let refused = story.send(request).await.unwrap_err();
        assert_eq!(reason_of(&refused), reason);
    }
    for (sender, number, reason) in [
        ("Otro", "+34600000001", "SENDER_NOT_ALLOWED"),
        ("", "+351912345678", "INTERNATIONAL_DISABLED"),
    ] {
        let request = SendCertifiedMessageRequest {
            sender: sender.into(),
            addressees: vec![addressee(number)],
            ..request()
        };
        let refused = story.send(request).await.unwrap_err();
        assert_eq!(reason_of(&refused), reason);
    }
    asked.assert_async().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_without_the_role_or_the_administration_gets_nothing() {
    let mut platform = Server::new_async().await;
    let asked = platform
        .mock("POST", mockito::Matcher::Any)
        .expect(0)
        .create_async()
        .await;
    let with_role = "roles = [\"sender\", \"operator\", \"certified\"]";
    for (from, to) in [
        (
            with_role,
            "roles = [\"sender\", \"operator\", \"statistics\", \"auditor\"]".to_owned(),
        ),
        (
            "administrations = [\"*\"]",
            format!("administrations = [\"{BARCELONA}\"]"),
        ),
    ] {
        let mut story = start(&platform, |files| files.change("service.toml", from, &to)).await;
        let refused = story.send(request()).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
        let watch = WatchCertifiedEventsRequest {
            administration: MADRID.into(),
            ..WatchCertifiedEventsRequest::default()
        };
        let balance = GetBalanceRequest {
            administration: MADRID.into(),
            account: String::new(),
        };
        let period = CertificatesOfPeriod {
            administration: MADRID.into(),
            first_day: "2026-11-01".into(),
            last_day: "2026-11-02".into(),
            account: String::new(),
        };
        let download = DownloadCertificatesRequest {
            wanted: Some(Wanted::Period(period)),
        };
        for refused in [
            refused,
            story
                .client
                .watch_certified_events(watch)
                .await
                .map(drop)
                .unwrap_err(),
            story
                .client
                .get_balance(balance)
                .await
                .map(drop)
                .unwrap_err(),
            story
                .client
                .download_certificates(download)
                .await
                .map(drop)
                .unwrap_err(),
        ] {
            assert_eq!(reason_of(&refused), "ADMINISTRATION_NOT_AVAILABLE");
        }
    }
    asked.assert_async().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_of_another_platform_and_one_without_contact_send_nothing() {
    let mut platform = Server::new_async().await;
    let asked = platform
        .mock("POST", mockito::Matcher::Any)
        .expect(0)
        .create_async()
        .await;
    let mut story = start(&platform, |_| {}).await;
    let other = SendCertifiedMessageRequest {
        administration: BARCELONA.into(),
        ..request()
    };
    let refused = story.send(other).await.unwrap_err();
    assert_eq!(reason_of(&refused), "CERTIFIED_NOT_AVAILABLE");
    let mut story = start(&platform, |files| {
        let text = std::fs::read_to_string(files.path(FILE)).unwrap();
        let kept = text.lines().filter(|line| !line.starts_with("contact_"));
        files.put(FILE, &kept.collect::<Vec<_>>().join("\n"));
    })
    .await;
    let refused = story.send(request()).await.unwrap_err();
    assert_eq!(reason_of(&refused), "CERTIFIED_CONTACT_MISSING");
    asked.assert_async().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_another_administration_is_not_there() {
    let mut platform = Server::new_async().await;
    answering(
        &mut platform,
        "EnviarSMSCERTIFICADO",
        "{\"Res\":1,\"Msgid\":7}",
    )
    .await;
    let mut story = start(&platform, |_| {}).await;
    let name = story.sent(request()).await.name;
    let (files, simulator) = story.app.stop().await;
    files.change(
        "service.toml",
        "administrations = [\"*\"]",
        &format!("administrations = [\"{BARCELONA}\"]"),
    );
    let clock = std::sync::Arc::new(clave_otp::clock::SystemClock::new());
    let app = crate::support::TestApp::start_on(files, simulator, clock).await;
    let mut story = crate::certified::Story::of(app);
    let cancel = CancelCertifiedMessageRequest { name: name.clone() };
    let get = GetCertifiedMessageRequest { name };
    for refused in [
        story
            .client
            .get_certified_message(get)
            .await
            .map(drop)
            .unwrap_err(),
        story
            .client
            .cancel_certified_message(cancel)
            .await
            .map(drop)
            .unwrap_err(),
    ] {
        assert_eq!(
            (refused.code(), reason_of(&refused)),
            (Code::NotFound, "NOT_FOUND".into())
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platforms_no_is_kept_with_its_word_and_number() {
    let mut platform = Server::new_async().await;
    let body = "[{\"Res\":-3,\"Error\":\"Falta 34600000001\"}]";
    let asked = answering(&mut platform, "EnviarSMSCERTIFICADO", body).await;
    let mut story = start(&platform, |_| {}).await;
    let request = request();
    let answer = story.send(request.clone()).await.unwrap();
    assert_eq!(answer.gateway_detail, "Falta ###########");
    let message = answer.message.unwrap();
    assert_eq!(message.state(), CertifiedMessageState::Failed);
    assert_eq!(
        (message.reason.as_str(), message.gateway_code),
        ("GATEWAY_REQUEST_INVALID", -3)
    );
    // Said again, and the platform not asked again.
    let again = story.send(request).await.unwrap();
    assert_eq!(
        (again.replayed, again.message),
        (true, Some(message.clone()))
    );
    let cancel = CancelCertifiedMessageRequest {
        name: message.name.clone(),
    };
    let refused = story
        .client
        .cancel_certified_message(cancel)
        .await
        .unwrap_err();
    assert_eq!(reason_of(&refused), "MESSAGE_NOT_SENT");
    asked.assert_async().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_the_platform_refuses_says_so_with_its_number() {
    let mut platform = Server::new_async().await;
    answering(
        &mut platform,
        "EnviarSMSCERTIFICADO",
        "{\"Res\":1,\"Msgid\":7}",
    )
    .await;
    answering(&mut platform, "CancelarSMSCERTIFICADO", "[{\"Res\":-4}]").await;
    let mut story = start(&platform, |_| {}).await;
    let later = SendCertifiedMessageRequest {
        send_time: Some(in_an_hour()),
        ..request()
    };
    let message = story.sent(later).await;
    let cancel = CancelCertifiedMessageRequest {
        name: message.name.clone(),
    };
    let refused = story
        .client
        .cancel_certified_message(cancel)
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), reason_of(&refused)),
        (Code::FailedPrecondition, "ALREADY_SENT".into())
    );
    let info = refused.get_details_error_info().unwrap();
    assert_eq!(
        info.metadata.get("gateway_code").map(String::as_str),
        Some("-4")
    );
    assert_eq!(story.get(&message.name).await, message);
}

/// Codes and certified messages share the account's lane, and come at once.
#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_the_platform_rejects_are_presented_once() {
    let mut platform = Server::new_async().await;
    let asked = platform
        .mock("POST", mockito::Matcher::Any)
        .with_body("-1")
        .expect(1)
        .create_async()
        .await;
    let mut story = start(&platform, |files| {
        files.change(
            "service.toml",
            "[administrations]",
            "[certified]\nmax_in_flight = 16\n\n[administrations]",
        );
    })
    .await;
    let calls = (0..6).map(|_| {
        let mut client = story.client.clone();
        async move {
            match client.send_certified_message(request()).await {
                Ok(answer) => answer.into_inner().message.unwrap().reason,
                Err(status) => reason_of(&status),
            }
        }
    });
    let codes = (0..6).map(|_| {
        let mut client = story.app.client.clone();
        async move { client.create_delivery(code_request()).await }
    });
    let (mut reasons, codes) = futures_util::future::join(
        futures_util::future::join_all(calls),
        futures_util::future::join_all(codes),
    )
    .await;
    for refused in codes.into_iter().filter_map(Result::err) {
        assert_eq!(reason_of(&refused), "ACCOUNT_CREDENTIALS_REJECTED");
    }
    reasons.sort();
    reasons.dedup();
    for reason in &reasons {
        let known = [
            "ACCOUNT_CREDENTIALS_REJECTED",
            "GATEWAY_CREDENTIALS_REJECTED",
        ];
        assert!(known.contains(&reason.as_str()), "{reason}");
    }
    let balance = GetBalanceRequest {
        administration: MADRID.into(),
        account: String::new(),
    };
    let refused = story.client.get_balance(balance).await.unwrap_err();
    assert_eq!(reason_of(&refused), "ACCOUNT_CREDENTIALS_REJECTED");
    assert_eq!(
        story.app.refused(code_request()).await.1,
        "ACCOUNT_CREDENTIALS_REJECTED"
    );
    asked.assert_async().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_credit_sends_no_more_and_may_still_be_asked() {
    for (code, reason) in [(-2, "NO_CREDIT"), (-5, "NO_CREDIT_LEFT")] {
        let mut platform = Server::new_async().await;
        let body = format!("{{\"Res\":{code},\"CreditosNecesarios\":\"2,5\"}}");
        let asked = answering(&mut platform, "EnviarSMSCERTIFICADO", &body).await;
        let balance = answering(&mut platform, "GetCreditos", "{\"Res\":1,\"Cred\":0}").await;
        let mut story = start(&platform, |_| {}).await;
        let message = story.sent(request()).await;
        assert_eq!(
            (message.reason.as_str(), message.gateway_code),
            (reason, code)
        );
        assert_eq!(message.credits_needed, Some(2.5));
        let refused = story.send(request()).await.unwrap_err();
        assert_eq!(reason_of(&refused), "ACCOUNT_NO_CREDIT");
        soon(async {
            let name = || clave_otp::grpc::proto::GetAccountRequest {
                name: "accounts/madrid-mn".into(),
            };
            while story
                .app
                .accounts
                .get_account(name())
                .await
                .unwrap()
                .into_inner()
                .account
                .unwrap()
                .lane_state()
                != LaneState::NoCredit
            {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let request = GetBalanceRequest {
            administration: MADRID.into(),
            account: String::new(),
        };
        story.client.get_balance(request).await.unwrap();
        asked.assert_async().await;
        balance.assert_async().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_large_names_its_limit() {
    let platform = Server::new_async().await;
    let mut story = start(&platform, |_| {}).await;
    let huge = CertifiedAttachment {
        content: Some(Content::Pdf(vec![b' '; 5 * 1024 * 1024])),
    };
    let request = SendCertifiedMessageRequest {
        attachments: vec![huge],
        ..request()
    };
    let refused = story.send(request).await.unwrap_err();
    assert_eq!(about(&refused), ("request".into(), "INVALID_FIELD".into()));
    assert!(
        refused.message().contains("certified.max_message_bytes"),
        "{refused:?}"
    );
}
