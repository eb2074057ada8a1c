//! The deliveries of the demo: what is asked, what should become of it, and its way in words.

use std::{fmt::Write as _, time::Duration};

use tonic::{Status, transport::Channel};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use super::certificate;
use super::installation::{AVISOS, BARCELONA, MADRID, ORGANISMO, SEVILLA};
use crate::{
    clock::{Clock as _, SystemClock},
    grpc::proto::{
        CreateDeliveryRequest, Delivery, DeliveryState, Purpose, WatchDeliveryRequest,
        delivery_service_client::DeliveryServiceClient,
    },
    simulator::Simulator,
};

type Client = DeliveryServiceClient<Channel>;

/// Longest wait for a delivery to end: far more than the simulated platform takes.
const PATIENCE: Duration = Duration::from_secs(30);

struct Scene {
    title: &'static str,
    administration: &'static str,
    recipient: &'static str,
    language: &'static str,
    purpose: Purpose,
    expected: Expected,
}

enum Expected {
    /// It ends in this state, with this reason, on this account and seen from this sender.
    Ends {
        state: DeliveryState,
        reason: &'static str,
        account: &'static str,
        sender: &'static str,
    },
    /// It is refused.
    Refused(&'static str),
}

const fn sent_on(account: &'static str, sender: &'static str) -> Expected {
    Expected::Ends {
        state: DeliveryState::Sent,
        reason: "",
        account,
        sender,
    }
}

const fn delivered_on(account: &'static str, sender: &'static str) -> Expected {
    Expected::Ends {
        state: DeliveryState::Delivered,
        reason: "",
        account,
        sender,
    }
}

const SCENES: [Scene; 8] = [
    Scene {
        title: "A Spanish number, from the administration's alias",
        administration: MADRID,
        recipient: "+34600000001",
        language: "es",
        purpose: Purpose::Login,
        expected: sent_on("accounts/madrid-mn", "ClaveMadrid"),
    },
    Scene {
        title: "A Spanish number, from the common number 217812, in Catalan",
        administration: BARCELONA,
        recipient: "+34600000002",
        language: "ca",
        purpose: Purpose::Signature,
        expected: sent_on("accounts/barcelona-mn", "217812"),
    },
    Scene {
        title: "A number abroad: the platform shows 638444812",
        administration: MADRID,
        recipient: "+351912345678",
        language: "en",
        purpose: Purpose::Login,
        expected: sent_on("accounts/madrid-mn", "638444812"),
    },
    Scene {
        title: "A recipient that takes no SMS: refused at once",
        administration: MADRID,
        recipient: "+34912345678",
        language: "es",
        purpose: Purpose::Login,
        expected: Expected::Refused("RECIPIENT_NOT_MOBILE"),
    },
    Scene {
        title: "A number that the platform rejects (its code -5)",
        administration: MADRID,
        recipient: "+34600000005",
        language: "es",
        purpose: Purpose::Login,
        expected: Expected::Ends {
            state: DeliveryState::Failed,
            reason: "GATEWAY_REJECTED_NUMBER",
            account: "accounts/madrid-mn",
            sender: "ClaveMadrid",
        },
    },
    Scene {
        title: "Over SOAP, whose platform reports that the handset has it",
        administration: SEVILLA,
        recipient: "+34600000006",
        language: "es",
        purpose: Purpose::Activation,
        expected: delivered_on("accounts/sevilla-soap", "ClaveSevill"),
    },
    Scene {
        title: "The first account's platform cannot be reached: the second account takes over, over REST",
        administration: ORGANISMO,
        recipient: "+34600000007",
        language: "es",
        purpose: Purpose::Login,
        expected: delivered_on("accounts/organismo-rest", "217812"),
    },
    Scene {
        title: "Through Mensatek, which reports that the handset has it",
        administration: AVISOS,
        recipient: "+34600000008",
        language: "es",
        purpose: Purpose::Login,
        expected: delivered_on("accounts/avisos-mensatek", "ClaveAvisos"),
    },
];

/// Messages that reach the platform: all scenes but the refused one, and the contract; the repeat adds none.
const MESSAGES_EXPECTED: usize = 8;

/// Plays each scene, then repeats the first; tells whether all went as it should.
pub(super) async fn play_all(channel: &Channel, simulator: &Simulator) -> Result<bool, String> {
    certificate::enter_callback(channel, simulator).await?;
    let client = &mut DeliveryServiceClient::new(channel.clone());
    let mut as_it_should = true;
    let first_request = SCENES[0].request();
    for (number, scene) in SCENES.iter().enumerate() {
        println!("{}. {}", number + 1, scene.title);
        let request = if number == 0 {
            first_request.clone()
        } else {
            scene.request()
        };
        as_it_should &= scene.play(client, request).await?;
    }
    println!(
        "{}. The first request once more, with the same request_id",
        SCENES.len() + 1
    );
    as_it_should &= repeat(client, first_request).await?;
    as_it_should &= certificate::play(SCENES.len() + 2, channel, simulator).await?;
    as_it_should &= tell_what_the_platform_saw(simulator);
    Ok(as_it_should)
}

impl Scene {
    fn request(&self) -> CreateDeliveryRequest {
        let expire_time = SystemClock::new().now().as_second() + 600;
        CreateDeliveryRequest {
            request_id: Uuid::new_v4().to_string(),
            administration: self.administration.into(),
            recipient: self.recipient.into(),
            code: format!("{:06}", Uuid::new_v4().as_u128() % 1_000_000),
            purpose: self.purpose.into(),
            language: self.language.into(),
            expire_time: Some(prost_types::Timestamp {
                seconds: expire_time,
                nanos: 0,
            }),
            reference: "demo".into(),
            ..CreateDeliveryRequest::default()
        }
    }

    async fn play(
        &self,
        client: &mut Client,
        request: CreateDeliveryRequest,
    ) -> Result<bool, String> {
        let outcome = match client.create_delivery(request).await {
            Ok(created) => {
                let delivery = created.into_inner().delivery.unwrap_or_default();
                Ok(way_of(client, delivery).await?)
            }
            Err(status) => Err(status),
        };
        let as_it_should = match (&outcome, &self.expected) {
            (
                Ok(last),
                Expected::Ends {
                    state,
                    reason,
                    account,
                    sender,
                },
            ) => {
                last.state() == *state
                    && (
                        last.reason.as_str(),
                        last.account.as_str(),
                        last.sender.as_str(),
                    ) == (*reason, *account, *sender)
            }
            (Err(status), Expected::Refused(reason)) => reason_of(status) == *reason,
            _ => false,
        };
        if let Err(status) = &outcome {
            println!("   refused: {}, {}", reason_of(status), status.message());
        }
        verdict(as_it_should);
        Ok(as_it_should)
    }
}

/// Follows a delivery to its end and prints its way.
async fn way_of(client: &mut Client, delivery: Delivery) -> Result<Delivery, String> {
    let name = delivery.name.clone();
    println!(
        "   {name} to {} by {}",
        delivery.masked_recipient, delivery.account
    );
    let mut way = state_word(&delivery).to_owned();
    let mut last = delivery;
    let mut changes = client
        .watch_delivery(WatchDeliveryRequest { name })
        .await
        .map_err(|status| status.to_string())?
        .into_inner();
    let following = async {
        while let Some(change) = changes.message().await? {
            let Some(delivery) = change.delivery else {
                continue;
            };
            if delivery.state != last.state {
                // Infallible for a String.
                let _ = write!(way, " → {}", state_word(&delivery));
            }
            if delivery.account != last.account {
                let _ = write!(way, " (on {})", delivery.account);
            }
            last = delivery;
        }
        Ok::<_, Status>(())
    };
    tokio::time::timeout(PATIENCE, following)
        .await
        .map_err(|_| "a delivery did not end in time".to_owned())?
        .map_err(|status| status.to_string())?;
    let reason = if last.reason.is_empty() {
        String::new()
    } else {
        format!(" ({})", last.reason)
    };
    println!(
        "   {way}{reason}; the citizen sees “{}”, {} in {} segment, language {}",
        last.sender,
        last.encoding()
            .as_str_name()
            .trim_start_matches("ENCODING_"),
        last.segments,
        last.language
    );
    Ok(last)
}

async fn repeat(client: &mut Client, request: CreateDeliveryRequest) -> Result<bool, String> {
    let answer = client
        .create_delivery(request)
        .await
        .map_err(|status| status.to_string())?
        .into_inner();
    let delivery = answer.delivery.unwrap_or_default();
    println!(
        "   {} again, {}, replayed = {}: nothing new was sent",
        delivery.name,
        state_word(&delivery),
        answer.replayed
    );
    verdict(answer.replayed);
    Ok(answer.replayed)
}

fn tell_what_the_platform_saw(simulator: &Simulator) -> bool {
    println!("What the platform saw");
    let messages = simulator.ledger().messages();
    for message in &messages {
        println!(
            "   {}: “{}” to {}, {} characters, answered {}",
            message.login,
            message.sender,
            message.phone.masked(),
            message.characters,
            message
                .code
                .map_or("nothing".into(), |code| code.to_string()),
        );
    }
    let as_it_should = messages.len() == MESSAGES_EXPECTED;
    verdict(as_it_should);
    as_it_should
}

pub(super) fn verdict(as_it_should: bool) {
    println!(
        "   {}\n",
        if as_it_should {
            "✓ as it should be"
        } else {
            "✗ NOT as it should be"
        }
    );
}

fn state_word(delivery: &Delivery) -> &'static str {
    delivery
        .state()
        .as_str_name()
        .trim_start_matches("DELIVERY_STATE_")
}

fn reason_of(status: &Status) -> String {
    status
        .get_error_details()
        .error_info()
        .map(|info| info.reason.clone())
        .unwrap_or_default()
}
