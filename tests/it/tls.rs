//! Who gets in over TLS, who does not, and what changes while the service runs. The handshakes are tried with OpenSSL, which
//! shares nothing with the service.

use std::{
    io::Write as _,
    net::SocketAddr,
    process::{Command, Output, Stdio},
    sync::Arc,
    time::Duration,
};

use clave_otp::{
    app::App,
    clock::{ManualClock, SystemClock},
    grpc::proto::{DeliveryState, delivery_service_client::DeliveryServiceClient},
    simulator::Script,
};
use tonic::Code;

use crate::support::{
    Files, TestApp,
    pki::{Authority, CALLER, Pair, Pki},
    platform,
    process::BINARY,
    reason_of, request, soon,
};

/// What `openssl s_client` makes of the port.
fn openssl(address: SocketAddr, arguments: &[&str]) -> Output {
    let mut child = Command::new("openssl")
        .args([
            "s_client",
            "-connect",
            &address.to_string(),
            "-alpn",
            "h2",
            "-ign_eof",
        ])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl is installed by ./test");
    // In TLS 1.3 a client learns that it is refused when it reads, and it reads until the server hangs up: one that takes the
    // client does so for what follows, which is not HTTP/2.
    let mut stdin = child.stdin.take().unwrap();
    let _ = stdin.write_all(&[b'x'; 64]);
    drop(stdin);
    child.wait_with_output().unwrap()
}

fn text(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// Whether a handshake was finished under this protocol.
fn agreed(output: &Output) -> bool {
    let text = text(output);
    text.contains("Cipher is ") && !text.contains("Cipher is (NONE)") && !text.contains("alert")
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_profile_of_the_ens_is_spoken() {
    let pki = Pki::new();
    let app = pki.start().await;
    let files = |name: &str| app.files.path(name).display().to_string();
    let (certificate, key) = (files("tls/caller.pem"), files("tls/caller.key"));
    let shown = ["-cert", &certificate, "-key", &key];
    let tried = |arguments: &[&str]| openssl(app.grpc, &[&shown[..], arguments].concat());
    for good in [
        &["-tls1_3"][..],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"],
        &["-tls1_3", "-groups", "P-384"],
        &["-tls1_3", "-groups", "X25519"],
    ] {
        let output = tried(good);
        assert!(agreed(&output), "{good:?}: {}", text(&output));
    }
    // The client is told to try what it would not do by itself.
    for bad in [
        &["-tls1", "-cipher", "ALL:@SECLEVEL=0"][..],
        &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256"],
        &["-tls1_2", "-cipher", "AES128-GCM-SHA256"],
        &["-tls1_2", "-cipher", "AES256-SHA:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256"],
        &["-tls1_3", "-groups", "ffdhe2048"],
        &["-tls1_3", "-groups", "P-521"],
    ] {
        let output = tried(bad);
        assert!(!agreed(&output), "{bad:?}: {}", text(&output));
        let told = text(&output);
        // It was the server that refused.
        assert!(told.contains("alert"), "{bad:?}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_not_trusted_fails_and_is_not_told_why() {
    let pki = Pki::new();
    let app = pki.start().await;
    let revoked = pki.callers.caller(&[CALLER]);
    app.files
        .put("tls/revoked.pem", &pki.callers.revocations(&[&revoked]));
    app.until_metrics(&["clave_otp_tls_reload_failed 0".into()])
        .await;
    let write = |name: &str, pair: &Pair| {
        app.files.put(&format!("tls/{name}.pem"), &pair.certificate);
        app.files.secret(&format!("tls/{name}.key"), &pair.key);
    };
    write("withdrawn", &revoked);
    write("foreign", &Authority::new("another").caller(&[CALLER]));
    write("expired", &pki.callers.expired_caller(&[CALLER]));
    // A server's certificate is none of a caller, whoever signed it.
    write("of-a-server", &pki.callers.server());
    let attempt = |name: &str, version: &str| {
        let path = |end: &str| app.files.path(&format!("tls/{name}.{end}"));
        let (certificate, key) = (path("pem"), path("key"));
        let shown = [certificate.to_str().unwrap(), key.to_str().unwrap()];
        text(&openssl(
            app.grpc,
            &[version, "-cert", shown[0], "-key", shown[1]],
        ))
    };
    // The list is read within a second.
    let until_revoked = async {
        while !attempt("withdrawn", "-tls1_3").contains("alert") {
            tokio::task::yield_now().await;
        }
    };
    soon(until_revoked).await;
    for version in ["-tls1_2", "-tls1_3"] {
        for name in ["withdrawn", "foreign", "expired", "of-a-server"] {
            let told = attempt(name, version);
            assert!(told.contains("alert access denied"), "{name}: {told}");
            for word in ["revoked", "expired", "unknown ca", "bad certificate"] {
                assert!(!told.contains(&format!("alert {word}")), "{name}: {told}");
            }
        }
        let none = text(&openssl(app.grpc, &[version]));
        assert!(none.contains("alert"), "{none}");
        let good = attempt("caller", version);
        assert!(!good.contains("alert"), "{good}");
        // Nobody learns which authorities would be believed.
        assert!(!good.contains("authority of callers"), "{good}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_is_whom_its_certificate_names_byte_for_byte_and_nobody_else() {
    let pki = Pki::new();
    let mut app = pki.start().await;
    assert_eq!(app.ends(request()).await.state(), DeliveryState::Sent);
    for names in [
        &["backend.test"][..],
        &["spiffe://backend.test/OTP"],
        &["spiffe://backend.test/otp/"],
        &[],
    ] {
        app.files.call_as(&pki.callers.caller(names), &pki.server);
        let channel = app.files.endpoint(app.grpc).connect().await.unwrap();
        let mut client = DeliveryServiceClient::new(channel);
        let refused = client.create_delivery(request()).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{names:?}");
        assert_eq!(reason_of(&refused), "UNAUTHENTICATED");
    }
    let also = pki.callers.caller(&["other.test", CALLER]);
    app.files.call_as(&also, &pki.server);
    let channel = app.files.endpoint(app.grpc).connect().await.unwrap();
    let mut client = DeliveryServiceClient::new(channel);
    client.create_delivery(request()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_revoked_while_connected_is_refused_at_the_next_call() {
    let pki = Pki::new();
    let caller = pki.callers.caller(&[CALLER]);
    let clock = Arc::new(SystemClock::new());
    let mut app = TestApp::start_with(Script::new(), clock, |files| {
        pki.write(files);
        files.call_as(&caller, &pki.server);
    })
    .await;
    app.accepted(request()).await;
    app.files
        .put("tls/revoked.pem", &pki.callers.revocations(&[&caller]));
    let refused = async {
        loop {
            if let Err(status) = app.create(request()).await {
                return status;
            }
        }
    };
    let refused = soon(refused).await;
    assert_eq!(reason_of(&refused), "UNAUTHENTICATED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_expires_while_its_caller_is_connected_is_not_good_any_more() {
    let pki = Pki::new();
    // The handshake goes by the machine's clock, the calls by the service's.
    let clock = ManualClock::at("2098-12-31T23:00:00Z".parse().unwrap());
    let simulator = platform(Script::new()).await;
    let files = Files::write(&simulator.endpoint());
    pki.write(&files);
    let mut app = TestApp::start_on(files, simulator, Arc::new(clock.clone())).await;
    let then = || crate::support::request_at(clave_otp::clock::Clock::now(&clock));
    app.accepted(then()).await;
    clock.advance(Duration::from_secs(2 * 3600));
    let (code, reason) = app.refused(then()).await;
    assert_eq!(
        (code, reason.as_str()),
        (Code::Unauthenticated, "UNAUTHENTICATED")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_served_without_a_restart_and_a_broken_one_never() {
    let pki = Pki::new();
    let mut app = pki.start().await;
    app.until_metrics(&[
        // 2099-01-01.
        "clave_otp_tls_expiry_timestamp_seconds{file=\"certificate_file\"} 4070908800".into(),
        "clave_otp_tls_reload_failed 0".into(),
    ])
    .await;
    app.files.put("tls/server.pem", "no certificate at all");
    app.until_metrics(&["clave_otp_tls_reload_failed 1".into()])
        .await;
    app.accepted(request()).await;
    app.files.endpoint(app.grpc).connect().await.unwrap();
    // The key of another certificate is as bad.
    let renewed = pki.server.server();
    app.files.put("tls/server.pem", &renewed.certificate);
    app.until_metrics(&["clave_otp_tls_reload_failed 1".into()])
        .await;
    app.files.secret("tls/server.key", &renewed.key);
    app.until_metrics(&["clave_otp_tls_reload_failed 0".into()])
        .await;
    let served = async {
        let wanted = der_of(&renewed.certificate);
        let show = || openssl(app.grpc, &["-showcerts", "-tls1_2"]);
        while der_of(&text(&show())) != wanted {
            tokio::task::yield_now().await;
        }
    };
    soon(served).await;
    // Who was connected before still is.
    app.accepted(request()).await;
}

/// The first certificate in a text.
fn der_of(text: &str) -> Option<&str> {
    let begin = text.find("-----BEGIN CERTIFICATE-----")?;
    let end = text.find("-----END CERTIFICATE-----")?;
    Some(text[begin..end].trim_end())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_another_certificate_is_found_before_anything_is_served() {
    let pki = Pki::new();
    let files = Files::write("http://127.0.0.1:9/");
    pki.write(&files);
    files.secret("tls/server.key", &pki.server.server().key);
    let refused = App::build(files.settings(), Arc::new(SystemClock::new())).await;
    let told = refused.unwrap_err().to_string();
    assert!(
        told.starts_with("grpc.tls.private_key_file: is not the key of"),
        "{told}"
    );
}

/// A certificate as OpenSSL makes it, for kinds of keys that nothing here would.
fn made_by_openssl(files: &Files, arguments: &[&str]) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-nodes", "-subj", "/CN=weak", "-days", "2"])
        .arg("-keyout")
        .arg(files.path("tls/server.key"))
        .arg("-out")
        .arg(files.path("tls/server.pem"))
        .args(arguments)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", text(&made));
}

#[test]
fn a_weak_certificate_is_a_mistake_of_the_configuration() {
    let pki = Pki::new();
    let files = Files::write("http://127.0.0.1:9/");
    pki.write(&files);
    let ec = |curve: &'static str| ["-newkey", "ec", "-pkeyopt", curve];
    for (arguments, what) in [
        (
            &["-newkey", "rsa:2048"][..],
            "its RSA key has 2048 bits; at least 3072 are needed",
        ),
        (
            &["-newkey", "rsa:3072", "-sha1"],
            "it is signed with MD5 or SHA-1",
        ),
        (
            &ec("ec_paramgen_curve:secp224r1"),
            "its key is on none of the curves",
        ),
        (
            &ec("ec_paramgen_curve:secp256k1"),
            "its key is on none of the curves",
        ),
        (
            &["-newkey", "ed448"],
            "its key is neither RSA nor EC nor Ed25519",
        ),
    ] {
        made_by_openssl(&files, arguments);
        let checked = Command::new(BINARY)
            .args(["check", "--config"])
            .arg(files.path("service.toml"))
            .output()
            .unwrap();
        assert_eq!(checked.status.code(), Some(78), "{arguments:?}");
        let told = text(&checked);
        let key = "service.toml: grpc.tls.certificate_file: holds a certificate that is too weak: ";
        assert!(
            told.contains(&format!("{key}{what}")),
            "{arguments:?}: {told}"
        );
    }
    for good in [&["-newkey", "rsa:3072"][..], &["-newkey", "ed25519"]] {
        made_by_openssl(&files, good);
        files.settings();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trial_certificates_work_as_printed_from_the_first_code_on() {
    let simulator = platform(Script::new()).await;
    let files = Files::write(&simulator.endpoint());
    let made = Command::new(BINARY)
        .args(["certs", "dev", "--caller", "Backend.test", "--out"])
        .arg(files.path("tls"))
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", text(&made));
    let printed = String::from_utf8(made.stdout).unwrap();
    let (tls, caller) = printed.split_once("\n\n").unwrap();
    files.change("service.toml", "[admin]", &format!("{tls}\n\n[admin]"));
    let before = "[[callers]]\nname = \"test\"\nloopback = true\nadministrations = [\"*\"]\nroles = [\"sender\", \"operator\"]\n";
    files.change("service.toml", before, caller);
    let app = App::build(files.settings(), Arc::new(SystemClock::new()));
    let app = app.await.unwrap();
    let server = format!("https://localhost:{}", app.grpc_address().unwrap().port());
    let stop = tokio_util::sync::CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    let service = tokio::spawn(app.run_until_stopped(stopped));
    let path = |name: &str| files.path(&format!("tls/{name}"));
    let mut call = Command::new(BINARY);
    call.args([
        "send",
        "--server",
        &server,
        "--to",
        "+34600000001",
        "--administration",
        "L01280796",
    ])
    .args(["--code", "748291", "--ca"])
    .arg(path("ca.pem"))
    .arg("--certificate")
    .arg(path("backend.test.pem"))
    .arg("--key")
    .arg(path("backend.test.key"));
    let sent = tokio::task::spawn_blocking(move || call.output().unwrap());
    let sent = sent.await.unwrap();
    assert!(sent.status.success(), "{}", text(&sent));
    assert_eq!(simulator.ledger().message_count(), 1);
    // A second time nothing is written over.
    let again = Command::new(BINARY)
        .args(["certs", "dev", "--out"])
        .arg(files.path("tls"))
        .output()
        .unwrap();
    assert!(
        text(&again).contains("choose another --out"),
        "{}",
        text(&again)
    );
    stop.cancel();
    soon(service).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_a_disk_that_hangs_on_a_file() {
    let pki = Pki::new();
    let app = pki.start().await;
    let made = Command::new("mkfifo")
        .arg(app.files.path("tls/pipe"))
        .status();
    assert!(made.unwrap().success());
    let pipe = app.files.path("tls/ca.pem");
    std::fs::rename(app.files.path("tls/pipe"), &pipe).unwrap();
    // Opens when the service does.
    let open = move || std::fs::File::options().write(true).open(pipe).unwrap();
    let writer = soon(tokio::task::spawn_blocking(open)).await.unwrap();
    app.stop().await;
    // Never closed: nothing of the runtime may wait for the file either, or this test does not end.
    std::mem::forget(writer);
}
