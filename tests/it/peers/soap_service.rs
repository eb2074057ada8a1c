//! The whole program between two ends of the SOAP stack zeep: zeep takes what it submits, and its reports come in by the
//! service's own port and are seen by whoever asks for the delivery.

use std::collections::BTreeMap;

use clave_otp::grpc::proto::{DeliveryState, GetDeliveryRequest};
use serde_json::{Value, json};

use super::{API_USER, PASSWORD, Peers};
use crate::{
    golden_platform::reports,
    reported::speak,
    support::{Files, MADRID_LOGIN, process::Process, request_to},
};

/// An installation whose account is at this platform.
fn installation(platform: &str) -> Files {
    let files = Files::write(&format!("http://{platform}/SrvConexion"));
    speak(&files, "soap");
    files.change("administrations/madrid.toml", MADRID_LOGIN, API_USER);
    files.secret("madrid.password", PASSWORD);
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn what_zeep_reports_is_what_get_delivery_tells() {
    use DeliveryState::{Delivered, Failed};
    let Some(peers) = Peers::ready() else { return };
    let folder = tempfile::tempdir().unwrap();
    let platform = Peers::platform(peers.program("soap_gateway.py"), folder.path());
    let files = installation(&platform.address);
    let service = Process::start(&files).await;
    // The platform's words for the first three numbers are Delivered, Expired and Rejected.
    let expected = [
        (1, Delivered, ""),
        (2, Failed, "REPORTED_EXPIRED"),
        (3, Failed, "REPORTED_REJECTED"),
    ];
    let mut ids = BTreeMap::new();
    for (citizen, state, reason) in expected {
        let name = service.create(request_to(citizen)).await.unwrap().name;
        service.until(&name, state).await;
        let request = GetDeliveryRequest { name };
        let found = service.client.clone().get_delivery(request).await.unwrap();
        let delivery = found.into_inner().delivery.unwrap();
        assert_eq!((delivery.state(), &*delivery.reason), (state, reason));
        assert!(delivery.report_time.is_some());
        assert_eq!(delivery.attempts, 1);
        ids.insert(format!("60000000{citizen}"), delivery.gateway_message_id);
    }
    // When it has ended, all that it had to tell is told.
    let received: Value = platform.stop();
    let messages = received["messages"].as_array().unwrap();
    let submitted = messages.iter().map(|message| {
        let text = |field: &str| message[field].as_str().unwrap().to_owned();
        (text("number"), text("message_id"))
    });
    assert_eq!(submitted.collect::<BTreeMap<_, _>>(), ids);
    assert_eq!(messages.len(), expected.len(), "each once");
    let acknowledged =
        |operation: &str| json!({ "operation": operation, "code": "1000", "text": "Success" });
    let each = ["deliveryReport", "smsDeliver"].map(acknowledged);
    assert_eq!(
        received["notices"],
        json!(vec![each; expected.len()].concat())
    );
    assert_eq!(received["wrong_credentials"], 0);
    assert_eq!(received["malformed"], json!([]));
    let count = |effect: &str| reports(&service, "madrid-mn", effect);
    // zeep reports as soon as it has answered: the report may come before the answer has been written down.
    assert_eq!(count("settled") + count("early"), 3);
    assert_eq!(count("citizen_answer"), 3);
    service.stop().await;
}
