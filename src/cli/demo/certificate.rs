//! The demo's contract: sent through Mensatek, read and signed by a citizen, its certificate fetched.

use std::time::Duration;

use tonic::{Status, transport::Channel};
use uuid::Uuid;

use super::{
    installation::{AVISOS, AVISOS_LOGIN},
    scenes::verdict,
};
use crate::{
    grpc::proto::{
        CertificatesOfMessage, CertifiedAddressee, CertifiedAttachment, CertifiedMessage,
        CertifiedMessageKind, DownloadCertificatesRequest, GetAccountRequest,
        SendCertifiedMessageRequest, WatchCertifiedEventsRequest, WatchCertifiedEventsResponse,
        account_service_client::AccountServiceClient, certified_attachment::Content,
        certified_event::News, certified_message_service_client::CertifiedMessageServiceClient,
        download_certificates_request::Wanted,
    },
    simulator::{CallbackForm, ReportUrl, Simulator},
};

type Client = CertifiedMessageServiceClient<Channel>;
type Events = tonic::Streaming<WatchCertifiedEventsResponse>;

/// Longest wait for the platform to tell something: far more than the simulated one takes.
const PATIENCE: Duration = Duration::from_secs(30);
/// The platform's states: the handset has it; signed and certified.
const DELIVERED: i64 = 13;
const CERTIFIED: i64 = 181;

/// Does what an operator does in Mensatek's panel: enters the address for the platform's calls.
pub(super) async fn enter_callback(channel: &Channel, simulator: &Simulator) -> Result<(), String> {
    let name = format!("accounts/{}", super::installation::AVISOS_ACCOUNT);
    let request = GetAccountRequest { name };
    let answer = AccountServiceClient::new(channel.clone())
        .get_account(request)
        .await
        .map_err(|status| status.to_string())?;
    let account = answer.into_inner().account.unwrap_or_default();
    let url =
        ReportUrl::parse(&account.report_url).ok_or("the account has no address for reports")?;
    simulator.set_callback(AVISOS_LOGIN, url, CallbackForm::Json);
    Ok(())
}

/// Plays it; tells whether all went as it should.
pub(super) async fn play(
    number: usize,
    channel: &Channel,
    simulator: &Simulator,
) -> Result<bool, String> {
    println!(
        "{number}. A contract by SMS through Mensatek: signed on the citizen's screen, certified, its certificate fetched"
    );
    let mut client = CertifiedMessageServiceClient::new(channel.clone());
    let played = tokio::time::timeout(PATIENCE, sign(&mut client, simulator)).await;
    let played = played.map_err(|_| "the contract was not certified in time".to_owned())?;
    let as_it_should = played.map_err(|status| status.to_string())?;
    verdict(as_it_should);
    Ok(as_it_should)
}

async fn sign(client: &mut Client, simulator: &Simulator) -> Result<bool, Status> {
    let watching = WatchCertifiedEventsRequest::default();
    let mut events = client.watch_certified_events(watching).await?.into_inner();
    // From now on.
    events.message().await?;
    let answer = client.send_certified_message(contract()).await?;
    let message = answer.into_inner().message.unwrap_or_default();
    println!("   {} by {}", message.name, message.account);
    let delivered = until(&mut events, DELIVERED).await?;
    let id = message.gateway_message_id.parse().unwrap_or_default();
    let citizen = simulator.contract(id);
    let signed = async {
        citizen.open().await?;
        citizen.read().await?;
        citizen.accept().await?;
        citizen.sign().await
    };
    if let Err(error) = signed.await {
        println!("   the citizen cannot sign: {error}");
        return Ok(false);
    }
    let certified = until(&mut events, CERTIFIED).await?;
    println!("   {}", [delivered, certified].concat().join(" → "));
    let bytes = download(client, &message).await?;
    println!("   its certificate is an archive of {bytes} bytes");
    Ok(bytes > 0)
}

fn contract() -> SendCertifiedMessageRequest {
    SendCertifiedMessageRequest {
        request_id: Uuid::new_v4().to_string(),
        administration: AVISOS.into(),
        kind: CertifiedMessageKind::ContractBySignature.into(),
        addressees: vec![CertifiedAddressee {
            recipient: "+34600000009".into(),
            variables: vec!["Ana".into()],
        }],
        text: "{1}, firme su solicitud".into(),
        attachments: vec![CertifiedAttachment {
            content: Some(Content::Pdf(b"%PDF-1.7\n%EOF".to_vec())),
        }],
        reference: "demo".into(),
        ..SendCertifiedMessageRequest::default()
    }
}

/// What the platform tells, in its own words, until it has come to this state.
async fn until(events: &mut Events, last: i64) -> Result<Vec<String>, Status> {
    let mut told = Vec::new();
    while let Some(response) = events.message().await? {
        let news = response.event.and_then(|event| event.news);
        if let Some(News::State(state)) = news {
            let status = state.status.unwrap_or_default();
            told.push(status.meaning);
            if status.number == last {
                return Ok(told);
            }
        }
    }
    Err(Status::cancelled("the stream of events ended"))
}

/// The length of what comes; a real client writes each piece to a file.
async fn download(client: &mut Client, message: &CertifiedMessage) -> Result<usize, Status> {
    let wanted = Wanted::Message(CertificatesOfMessage {
        name: message.name.clone(),
        recipient_index: Some(0),
    });
    let request = DownloadCertificatesRequest {
        wanted: Some(wanted),
    };
    let mut pieces = client.download_certificates(request).await?.into_inner();
    let mut bytes = 0;
    while let Some(piece) = pieces.message().await? {
        bytes += piece.content.len();
    }
    Ok(bytes)
}
