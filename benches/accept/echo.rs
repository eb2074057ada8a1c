//! The yardstick: a bare tonic server that answers the same call at once with the same answer.
//!
//! Must not know: anything of the product but its protocol.

use std::{net::SocketAddr, pin::Pin};

use clave_otp::grpc::proto::{
    CancelDeliveryRequest, CancelDeliveryResponse, CreateDeliveryRequest, CreateDeliveryResponse,
    GetDeliveryRequest, GetDeliveryResponse, ListDeliveriesRequest, ListDeliveriesResponse,
    PreviewDeliveryRequest, PreviewDeliveryResponse, WatchDeliveriesRequest,
    WatchDeliveriesResponse, WatchDeliveryRequest, WatchDeliveryResponse,
    delivery_service_server::{DeliveryService, DeliveryServiceServer},
};
use futures_util::Stream;
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

/// Answers every request with a copy of one answer.
struct Echo(CreateDeliveryResponse);

/// Serves on a free port until the program ends. `answer` is one that the service has given, so that both write as much.
pub async fn start(answer: CreateDeliveryResponse, max_concurrent_streams: u32) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .expect("a free port");
    let address = listener.local_addr().expect("a bound port has an address");
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let server = Server::builder()
        .max_concurrent_streams(max_concurrent_streams)
        .add_service(DeliveryServiceServer::new(Echo(answer)));
    tokio::spawn(async move {
        server
            .serve_with_incoming(incoming)
            .await
            .expect("the echo serves");
    });
    address
}

fn nothing_else<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("the echo creates deliveries only"))
}

#[tonic::async_trait]
impl DeliveryService for Echo {
    async fn create_delivery(
        &self,
        _: Request<CreateDeliveryRequest>,
    ) -> Result<Response<CreateDeliveryResponse>, Status> {
        Ok(Response::new(self.0.clone()))
    }

    async fn get_delivery(
        &self,
        _: Request<GetDeliveryRequest>,
    ) -> Result<Response<GetDeliveryResponse>, Status> {
        nothing_else()
    }

    async fn list_deliveries(
        &self,
        _: Request<ListDeliveriesRequest>,
    ) -> Result<Response<ListDeliveriesResponse>, Status> {
        nothing_else()
    }

    type WatchDeliveryStream =
        Pin<Box<dyn Stream<Item = Result<WatchDeliveryResponse, Status>> + Send>>;

    async fn watch_delivery(
        &self,
        _: Request<WatchDeliveryRequest>,
    ) -> Result<Response<Self::WatchDeliveryStream>, Status> {
        nothing_else()
    }

    type WatchDeliveriesStream =
        Pin<Box<dyn Stream<Item = Result<WatchDeliveriesResponse, Status>> + Send>>;

    async fn watch_deliveries(
        &self,
        _: Request<WatchDeliveriesRequest>,
    ) -> Result<Response<Self::WatchDeliveriesStream>, Status> {
        nothing_else()
    }

    async fn cancel_delivery(
        &self,
        _: Request<CancelDeliveryRequest>,
    ) -> Result<Response<CancelDeliveryResponse>, Status> {
        nothing_else()
    }

    async fn preview_delivery(
        &self,
        _: Request<PreviewDeliveryRequest>,
    ) -> Result<Response<PreviewDeliveryResponse>, Status> {
        nothing_else()
    }
}
