//! A process dies while it hands a certified message over: the next one hands it over to nobody again, says that it does not know,
//! and believes what the platform tells.

use clave_otp::{
    grpc::proto::{
        CertifiedMessage, CertifiedMessageState, GetCertifiedMessageRequest,
        SendCertifiedMessageRequest, SendCertifiedMessageResponse,
        certified_message_service_client::CertifiedMessageServiceClient,
    },
    simulator::{Action, CallbackForm, Gate, Match, ReportStep, ReportUrl, Script, Simulator},
};
use tonic::{Status, transport::Channel};

use crate::{
    certified::{allow, request},
    mensatek::become_mensatek,
    reported_after_death::keep_reports_port,
    support::{
        Files, MADRID_LOGIN, platform,
        process::{Process, serve},
        soon,
    },
};

/// A service for certified messages in a process of its own, which dies where it is told to.
struct Service {
    process: Process,
    client: CertifiedMessageServiceClient<Channel>,
}

impl Service {
    async fn start(files: &Files, crash_at: Option<&str>) -> Self {
        let mut command = serve(files);
        command.args(crash_at.into_iter().flat_map(|at| ["--crash-at", at]));
        let process = Process::run(command).await;
        let client = CertifiedMessageServiceClient::connect(process.grpc.clone());
        let client = client.await.unwrap();
        Self { process, client }
    }

    /// The platform is to call the address of the account that this process tells.
    async fn tell_address(&self, simulator: &Simulator) {
        let url = self.process.report_url("madrid-mn").await;
        let url = ReportUrl::parse(url.as_str()).unwrap();
        simulator.set_callback(MADRID_LOGIN, url, CallbackForm::Json);
    }

    async fn send(
        &self,
        request: SendCertifiedMessageRequest,
    ) -> Result<SendCertifiedMessageResponse, Status> {
        let mut client = self.client.clone();
        Ok(soon(client.send_certified_message(request))
            .await?
            .into_inner())
    }

    async fn get(&self, name: &str) -> CertifiedMessage {
        let name = name.into();
        let mut client = self.client.clone();
        let answer = client.get_certified_message(GetCertifiedMessageRequest { name });
        soon(answer).await.unwrap().into_inner().message.unwrap()
    }
}

/// A message whose process has died at a point, as the next process tells of it when it is asked for it once more; and that
/// process, with the platform and the gate that holds what it tells.
async fn told_by_the_next(crash_at: &str) -> (Service, CertifiedMessage, Simulator, Gate) {
    let gate = Gate::new();
    let steps = vec![ReportStep::delivered().held_at(gate.clone())];
    let script = Script::new().on(Match::always(), Action::Reports(steps));
    let simulator = platform(script).await;
    let endpoint = simulator.endpoint();
    let files = Files::write(&endpoint);
    become_mensatek(&files, endpoint.trim_end_matches("/SrvConexion"));
    keep_reports_port(&files);
    allow(&files);
    let service = Service::start(&files, Some(crash_at)).await;
    service.tell_address(&simulator).await;
    let request = request();
    service.send(request.clone()).await.unwrap_err();
    let (status, _) = service.process.ended().await;
    assert!(!status.success());

    let next = Service::start(&files, None).await;
    let answer = next.send(request).await.unwrap();
    assert!(answer.replayed);
    (next, answer.message.unwrap(), simulator, gate)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_a_process_that_died_before_it_asked_is_not_handed_over_by_the_next() {
    let (next, message, simulator, _) = told_by_the_next("after-attempt-record:1").await;
    assert_eq!(message.state(), CertifiedMessageState::Uncertain);
    assert_eq!(message.reason, "ATTEMPT_INTERRUPTED");
    next.process.stop().await;
    assert_eq!(simulator.ledger().message_count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_answer_died_with_the_process_is_settled_by_what_the_platform_tells() {
    let (next, message, simulator, gate) = told_by_the_next("after-gateway-answer:1").await;
    assert_eq!(message.state(), CertifiedMessageState::Uncertain);
    assert_eq!(simulator.ledger().message_count(), 1);
    gate.open();
    let settled = soon(async {
        loop {
            let message = next.get(&message.name).await;
            if message.state() == CertifiedMessageState::Sent {
                return message;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(!settled.gateway_message_id.is_empty());
    next.process.stop().await;
    assert_eq!(simulator.ledger().message_count(), 1, "handed over once");
}
