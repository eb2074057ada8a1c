//! Everything is forbidden unless listed: every rpc of the protocol, tried in every role, over connections that show a
//! certificate.

use std::{collections::BTreeSet, sync::Arc};

use clave_otp::{clock::SystemClock, domain::Role, grpc::DESCRIPTOR, simulator::Script};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tonic::{
    Code, Request, Status, client::Grpc, codegen::http::uri::PathAndQuery, transport::Channel,
};
use tonic_prost::ProstCodec;

use crate::support::{
    Files, TestApp,
    pki::{Authority, CALLER},
    platform, reason_of,
};

/// Each rpc and the roles that may call it.
const TABLE: &[(&str, &[Role])] = &[
    ("clave.otp.v1.AccountService/GetAccount", &[Role::Operator]),
    (
        "clave.otp.v1.AccountService/ListAccounts",
        &[Role::Operator],
    ),
    (
        "clave.otp.v1.AccountService/PauseAccount",
        &[Role::Operator],
    ),
    (
        "clave.otp.v1.AccountService/ResumeAccount",
        &[Role::Operator],
    ),
    (
        "clave.otp.v1.DeliveryService/CancelDelivery",
        &[Role::Sender],
    ),
    (
        "clave.otp.v1.DeliveryService/CreateDelivery",
        &[Role::Sender],
    ),
    ("clave.otp.v1.DeliveryService/GetDelivery", &[Role::Sender]),
    (
        "clave.otp.v1.DeliveryService/ListDeliveries",
        &[Role::Sender],
    ),
    (
        "clave.otp.v1.DeliveryService/PreviewDelivery",
        &[Role::Sender],
    ),
    (
        "clave.otp.v1.DeliveryService/WatchDeliveries",
        &[Role::Sender],
    ),
    (
        "clave.otp.v1.DeliveryService/WatchDelivery",
        &[Role::Sender],
    ),
    (
        "clave.otp.v1.CertifiedMessageService/CancelCertifiedMessage",
        &[Role::Certified],
    ),
    (
        "clave.otp.v1.CertifiedMessageService/DeleteLibraryFile",
        &[Role::Certified],
    ),
    (
        "clave.otp.v1.CertifiedMessageService/DownloadCertificates",
        &[Role::Certified],
    ),
    (
        "clave.otp.v1.CertifiedMessageService/GetBalance",
        &[Role::Certified],
    ),
    (
        "clave.otp.v1.CertifiedMessageService/GetCertifiedMessage",
        &[Role::Certified],
    ),
    (
        "clave.otp.v1.CertifiedMessageService/GetCertifiedReport",
        &[Role::Certified],
    ),
    (
        "clave.otp.v1.CertifiedMessageService/ListLibraryFiles",
        &[Role::Certified],
    ),
    (
        "clave.otp.v1.CertifiedMessageService/RescheduleCertifiedMessage",
        &[Role::Certified],
    ),
    (
        "clave.otp.v1.CertifiedMessageService/SendCertifiedMessage",
        &[Role::Certified],
    ),
    (
        "clave.otp.v1.CertifiedMessageService/UploadLibraryFile",
        &[Role::Certified],
    ),
    (
        "clave.otp.v1.CertifiedMessageService/WatchCertifiedEvents",
        &[Role::Certified],
    ),
];

/// Every rpc that the program serves, as its own description tells.
fn served() -> BTreeSet<String> {
    let set = FileDescriptorSet::decode(DESCRIPTOR).unwrap();
    let mut rpcs = BTreeSet::new();
    for file in &set.file {
        for service in &file.service {
            for method in &service.method {
                let names = (file.package(), service.name(), method.name());
                rpcs.insert(format!("{}.{}/{}", names.0, names.1, names.2));
            }
        }
    }
    rpcs
}

/// Calls with an empty message; what came, of a stream the first answer.
async fn call(channel: &Channel, rpc: &str) -> Option<Status> {
    let mut client = Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let path: PathAndQuery = format!("/{rpc}").parse().unwrap();
    let codec = ProstCodec::<(), ()>::default();
    let mut request = Request::new(());
    request.set_timeout(std::time::Duration::from_secs(20));
    let answered = client.server_streaming(request, path, codec).await;
    match answered {
        Ok(mut answers) => answers.get_mut().message().await.err(),
        Err(status) => Some(status),
    }
}

#[test]
fn the_table_knows_every_rpc_that_is_served() {
    let listed: BTreeSet<String> = TABLE.iter().map(|(rpc, _)| (*rpc).to_owned()).collect();
    assert_eq!(listed, served());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rpc_is_forbidden_in_every_role_but_those_listed() {
    let (server, callers) = (Authority::new("servers"), Authority::new("callers"));
    let simulator = platform(Script::new()).await;
    let files = Files::write(&simulator.endpoint());
    files.serve_tls(&server.server(), &callers);
    let name_of = |role: Role| format!("{}.test", role.as_str());
    let mut service = std::fs::read_to_string(files.path("service.toml")).unwrap();
    for role in Role::ALL {
        let (word, san) = (role.as_str(), name_of(role));
        let caller = format!(
            "\n[[callers]]\nname = \"{word}\"\ncertificate_san = \"{san}\"\nadministrations = [\"*\"]\nroles = [\"{word}\"]\n"
        );
        service.push_str(&caller);
    }
    files.put("service.toml", &service);
    files.call_as(&callers.caller(&[CALLER]), &server);
    let app = TestApp::start_on(files, simulator, Arc::new(SystemClock::new())).await;
    let as_whom = async |san: &str| {
        app.files.call_as(&callers.caller(&[san]), &server);
        app.files.endpoint(app.grpc).connect().await.unwrap()
    };
    let mut channels = Vec::new();
    for role in Role::ALL {
        channels.push((role, as_whom(&name_of(role)).await));
    }
    let stranger = as_whom("stranger.test").await;
    for (rpc, roles) in TABLE {
        for (role, channel) in &channels {
            let told = call(channel, rpc).await;
            if roles.contains(role) {
                let refused = told.as_ref().map(Status::code);
                let entitled = !matches!(
                    refused,
                    Some(Code::PermissionDenied | Code::Unauthenticated | Code::Unimplemented)
                );
                assert!(entitled, "{rpc} as {role:?}: {told:?}");
            } else {
                let refused = told.unwrap_or_else(|| panic!("{rpc} as {role:?} is allowed"));
                assert_eq!(refused.code(), Code::PermissionDenied, "{rpc} as {role:?}");
                assert_eq!(reason_of(&refused), "ADMINISTRATION_NOT_AVAILABLE");
            }
        }
        let refused = call(&stranger, rpc).await.unwrap();
        assert_eq!(refused.code(), Code::Unauthenticated, "{rpc}");
    }
    // Whether there is such an rpc is not told either.
    for unknown in [
        "clave.otp.v1.DeliveryService/DropAll",
        "clave.otp.v1.Nothing/At",
        "clave.otp.v1./",
    ] {
        for (role, channel) in &channels {
            let refused = call(channel, unknown).await.unwrap();
            assert_eq!(
                refused.code(),
                Code::PermissionDenied,
                "{unknown} as {role:?}"
            );
        }
    }
}
