//! `clave.otp.v1.DeliveryService`.

use std::pin::Pin;

use futures_util::{Stream, stream};
use tonic::{Request, Response, Status};

use super::{
    Services,
    answer::{Answer, parse_delivery, refuse, refuse_all},
    convert::{
        create_request, list_request, preview_request, to_proto_delivery, to_proto_destination,
        to_proto_encoding,
    },
    entitlements::caller_of,
    proto::{
        CancelDeliveryRequest, CancelDeliveryResponse, CreateDeliveryRequest,
        CreateDeliveryResponse, GetDeliveryRequest, GetDeliveryResponse, ListDeliveriesRequest,
        ListDeliveriesResponse, PreviewDeliveryRequest, PreviewDeliveryResponse, ReplacedCharacter,
        WatchDeliveriesRequest, WatchDeliveryRequest, WatchDeliveryResponse,
        delivery_service_server::DeliveryService,
    },
    refusals,
    watches::{self, WatchDeliveriesStream},
};
use crate::{
    domain::Delivery,
    intake::{Preview, Refusal},
    status::{Following, Watched},
    telemetry::names,
};

/// The service.
pub(super) struct Deliveries(Services);

impl Deliveries {
    pub(super) fn new(services: Services) -> Self {
        Self(services)
    }

    async fn create(
        &self,
        request: Request<CreateDeliveryRequest>,
    ) -> Answer<CreateDeliveryResponse> {
        let caller = self.0.admit(&request)?;
        let (id, parsed) = create_request(request.into_inner()).map_err(refuse_all)?;
        let accepted = self
            .0
            .intake
            .accept(&caller, id, &parsed)
            .await
            .map_err(refuse)?;
        log_accepted(&accepted.delivery, accepted.replayed);
        Ok(Response::new(CreateDeliveryResponse {
            delivery: Some(to_proto_delivery(&accepted.delivery)),
            replayed: accepted.replayed,
        }))
    }

    async fn get(&self, request: Request<GetDeliveryRequest>) -> Answer<GetDeliveryResponse> {
        let caller = caller_of(&request)?;
        let id = parse_delivery(&request.get_ref().name)?;
        let delivery = self.0.status.get(&caller, id).await.map_err(refuse)?;
        Ok(Response::new(GetDeliveryResponse {
            delivery: Some(to_proto_delivery(&delivery)),
        }))
    }

    async fn list(
        &self,
        request: Request<ListDeliveriesRequest>,
    ) -> Answer<ListDeliveriesResponse> {
        let caller = caller_of(&request)?;
        let message = request.get_ref();
        let (filter, page_size) = list_request(message).map_err(refuse_all)?;
        let token = Some(message.page_token.as_str()).filter(|token| !token.is_empty());
        let page = self
            .0
            .status
            .list(&caller, filter, page_size, token)
            .await
            .map_err(refuse)?;
        Ok(Response::new(ListDeliveriesResponse {
            deliveries: page.deliveries.iter().map(to_proto_delivery).collect(),
            next_page_token: page.next.map(|token| token.to_string()).unwrap_or_default(),
        }))
    }

    async fn cancel(
        &self,
        request: Request<CancelDeliveryRequest>,
    ) -> Answer<CancelDeliveryResponse> {
        let caller = caller_of(&request)?;
        let id = parse_delivery(&request.get_ref().name)?;
        let delivery = self.0.intake.cancel(&caller, id).await.map_err(refuse)?;
        tracing::info!(delivery = %delivery.id, "grpc: cancelled");
        Ok(Response::new(CancelDeliveryResponse {
            delivery: Some(to_proto_delivery(&delivery)),
        }))
    }
}

#[tonic::async_trait]
impl DeliveryService for Deliveries {
    async fn create_delivery(
        &self,
        request: Request<CreateDeliveryRequest>,
    ) -> Answer<CreateDeliveryResponse> {
        let metadata = request.metadata().clone();
        self.0.in_time(&metadata, self.create(request)).await
    }

    async fn get_delivery(
        &self,
        request: Request<GetDeliveryRequest>,
    ) -> Answer<GetDeliveryResponse> {
        let metadata = request.metadata().clone();
        self.0.in_time(&metadata, self.get(request)).await
    }

    async fn list_deliveries(
        &self,
        request: Request<ListDeliveriesRequest>,
    ) -> Answer<ListDeliveriesResponse> {
        let metadata = request.metadata().clone();
        self.0.in_time(&metadata, self.list(request)).await
    }

    type WatchDeliveryStream =
        Pin<Box<dyn Stream<Item = Result<WatchDeliveryResponse, Status>> + Send>>;

    async fn watch_delivery(
        &self,
        request: Request<WatchDeliveryRequest>,
    ) -> Answer<Self::WatchDeliveryStream> {
        let caller = self.0.admit(&request)?;
        let id = parse_delivery(&request.get_ref().name)?;
        let place = self
            .0
            .watch_places
            .take(Watched::One, &caller.name)
            .map_err(refuse)?;
        let following = self.0.status.watch(&caller, id).await.map_err(refuse)?;
        let stop = self.0.stop.clone();
        let states = stream::unfold(Some((following, stop, place)), |watching| async {
            let (mut following, stop, place) = watching?;
            tokio::select! {
                biased;
                state = next_state(&mut following) => match state? {
                    Ok(response) => Some((Ok(response), Some((following, stop, place)))),
                    Err(status) => Some((Err(status), None)),
                },
                () = stop.cancelled() => Some((Err(refusals::status(&Refusal::ShuttingDown)), None)),
            }
        });
        Ok(Response::new(Box::pin(states)))
    }

    type WatchDeliveriesStream = WatchDeliveriesStream;

    async fn watch_deliveries(
        &self,
        request: Request<WatchDeliveriesRequest>,
    ) -> Answer<Self::WatchDeliveriesStream> {
        watches::all(&self.0, &request).await
    }

    async fn cancel_delivery(
        &self,
        request: Request<CancelDeliveryRequest>,
    ) -> Answer<CancelDeliveryResponse> {
        let metadata = request.metadata().clone();
        self.0.in_time(&metadata, self.cancel(request)).await
    }

    async fn preview_delivery(
        &self,
        request: Request<PreviewDeliveryRequest>,
    ) -> Answer<PreviewDeliveryResponse> {
        let caller = caller_of(&request)?;
        let parsed = preview_request(request.into_inner()).map_err(refuse_all)?;
        let preview = self.0.intake.preview(&caller, &parsed).map_err(refuse)?;
        Ok(Response::new(to_proto_preview(preview)))
    }
}

async fn next_state(following: &mut Following) -> Option<Result<WatchDeliveryResponse, Status>> {
    let state = following.next().await?;
    Some(state.map_err(refuse).map(|delivery| WatchDeliveryResponse {
        delivery: Some(to_proto_delivery(&delivery)),
    }))
}

fn to_proto_preview(preview: Preview<'_>) -> PreviewDeliveryResponse {
    let Preview {
        route, composed, ..
    } = preview;
    PreviewDeliveryResponse {
        account: format!("accounts/{}", route.account.id),
        sender: route.effective_sender.as_str().to_owned(),
        destination: to_proto_destination(route.destination).into(),
        masked_text: composed.masked_text,
        language: composed.language.tag().to_owned(),
        encoding: to_proto_encoding(composed.encoding).into(),
        segments: i32::from(composed.segments),
        units: i32::try_from(composed.units).unwrap_or(i32::MAX),
        replaced_characters: composed
            .replaced
            .into_iter()
            .map(|replaced| ReplacedCharacter {
                original: replaced.original.to_string(),
                replacement: replaced.replacement,
            })
            .collect(),
    }
}

fn log_accepted(delivery: &Delivery, replayed: bool) {
    if !replayed {
        let account = delivery.account.to_string();
        metrics::counter!(names::DELIVERIES_ACCEPTED, "account" => account).increment(1);
    }
    tracing::info!(
        delivery = %delivery.id,
        account = %delivery.account,
        replayed,
        "grpc: accepted"
    );
}
