//! `clave.otp.v1.CertifiedMessageService`.

mod convert;
mod refusals;

use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, stream};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use self::{
    convert::{to_proto_file, to_proto_message, to_proto_told},
    refusals::refuse,
};
use super::{
    Services,
    answer::{Answer, refuse as refuse_commonly, refuse_all},
    entitlements::caller_of,
    proto::{
        CancelCertifiedMessageRequest, CancelCertifiedMessageResponse, DeleteLibraryFileRequest,
        DeleteLibraryFileResponse, DownloadCertificatesRequest, DownloadCertificatesResponse,
        GetBalanceRequest, GetBalanceResponse, GetCertifiedMessageRequest,
        GetCertifiedMessageResponse, GetCertifiedReportRequest, GetCertifiedReportResponse,
        ListLibraryFilesRequest, ListLibraryFilesResponse, RescheduleCertifiedMessageRequest,
        RescheduleCertifiedMessageResponse, SendCertifiedMessageRequest,
        SendCertifiedMessageResponse, UploadLibraryFileRequest, UploadLibraryFileResponse,
        WatchCertifiedEventsRequest, WatchCertifiedEventsResponse,
        certified_message_service_server::CertifiedMessageService,
    },
};
use crate::{
    certified::{Certificates, EventWatch, Refusal},
    status::{WatchPlace, Watched},
};

/// Longest piece of a download in one message: far below what clients take.
const PIECE_BYTES: usize = 64 * 1024;

/// The service.
pub(super) struct CertifiedMessages(Services);

impl CertifiedMessages {
    pub(super) fn new(services: Services) -> Self {
        Self(services)
    }

    async fn send(
        &self,
        request: Request<SendCertifiedMessageRequest>,
    ) -> Answer<SendCertifiedMessageResponse> {
        let caller = self.0.admit(&request)?;
        let (id, parsed) = convert::send_request(request.into_inner()).map_err(refuse_all)?;
        let sent = self
            .0
            .certified
            .send(&caller, id, parsed)
            .await
            .map_err(refuse)?;
        Ok(Response::new(SendCertifiedMessageResponse {
            message: Some(to_proto_message(&sent.message)),
            replayed: sent.replayed,
            gateway_detail: sent.detail.map(Into::into).unwrap_or_default(),
        }))
    }

    async fn get(
        &self,
        request: Request<GetCertifiedMessageRequest>,
    ) -> Answer<GetCertifiedMessageResponse> {
        let caller = caller_of(&request)?;
        let id = convert::name(&request.get_ref().name).map_err(refuse_all)?;
        let message = self.0.certified.get(&caller, id).await.map_err(refuse)?;
        let message = Some(to_proto_message(&message));
        Ok(Response::new(GetCertifiedMessageResponse { message }))
    }

    async fn cancel(
        &self,
        request: Request<CancelCertifiedMessageRequest>,
    ) -> Answer<CancelCertifiedMessageResponse> {
        let caller = self.0.admit(&request)?;
        let id = convert::name(&request.get_ref().name).map_err(refuse_all)?;
        let cancelled = self.0.certified.cancel(&caller, id).await.map_err(refuse)?;
        Ok(Response::new(CancelCertifiedMessageResponse {
            message: Some(to_proto_message(&cancelled.message)),
            cancelled_recipients: count(cancelled.recipients),
            credits_back: cancelled.credits_back,
        }))
    }

    async fn reschedule(
        &self,
        request: Request<RescheduleCertifiedMessageRequest>,
    ) -> Answer<RescheduleCertifiedMessageResponse> {
        let caller = self.0.admit(&request)?;
        let (id, time) = convert::reschedule_request(request.get_ref()).map_err(refuse_all)?;
        let moved = self
            .0
            .certified
            .reschedule(&caller, id, time)
            .await
            .map_err(refuse)?;
        Ok(Response::new(RescheduleCertifiedMessageResponse {
            message: Some(to_proto_message(&moved.message)),
            moved_messages: count(moved.messages),
        }))
    }

    async fn report(
        &self,
        request: Request<GetCertifiedReportRequest>,
    ) -> Answer<GetCertifiedReportResponse> {
        let caller = self.0.admit(&request)?;
        let id = convert::name(&request.get_ref().name).map_err(refuse_all)?;
        let message = self.0.certified.report(&caller, id).await.map_err(refuse)?;
        let message = Some(to_proto_message(&message));
        Ok(Response::new(GetCertifiedReportResponse { message }))
    }

    async fn upload(
        &self,
        request: Request<UploadLibraryFileRequest>,
    ) -> Answer<UploadLibraryFileResponse> {
        let caller = self.0.admit(&request)?;
        let (whose, file) = convert::upload_request(request.into_inner()).map_err(refuse_all)?;
        let file_name = self
            .0
            .certified
            .upload(&caller, &whose, file)
            .await
            .map_err(refuse)?;
        let file_name = file_name.into();
        Ok(Response::new(UploadLibraryFileResponse { file_name }))
    }

    async fn files(
        &self,
        request: Request<ListLibraryFilesRequest>,
    ) -> Answer<ListLibraryFilesResponse> {
        let caller = self.0.admit(&request)?;
        let message = request.get_ref();
        let whose =
            convert::whose(&message.administration, &message.account).map_err(refuse_all)?;
        let files = self
            .0
            .certified
            .files(&caller, &whose)
            .await
            .map_err(refuse)?;
        let files = files.iter().map(to_proto_file).collect();
        Ok(Response::new(ListLibraryFilesResponse { files }))
    }

    async fn delete(
        &self,
        request: Request<DeleteLibraryFileRequest>,
    ) -> Answer<DeleteLibraryFileResponse> {
        let caller = self.0.admit(&request)?;
        let (whose, name) = convert::delete_request(request.get_ref()).map_err(refuse_all)?;
        self.0
            .certified
            .delete_file(&caller, &whose, name)
            .await
            .map_err(refuse)?;
        Ok(Response::new(DeleteLibraryFileResponse {}))
    }

    async fn balance(&self, request: Request<GetBalanceRequest>) -> Answer<GetBalanceResponse> {
        let caller = self.0.admit(&request)?;
        let message = request.get_ref();
        let whose =
            convert::whose(&message.administration, &message.account).map_err(refuse_all)?;
        let credits = self
            .0
            .certified
            .balance(&caller, &whose)
            .await
            .map_err(refuse)?;
        Ok(Response::new(GetBalanceResponse { credits }))
    }
}

fn count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Told to a call that finds every place for its kind taken.
pub(super) fn too_many_calls(limit: &'static str) -> Status {
    refuse(Refusal::TooManyCalls(limit))
}

/// A stream of answers.
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl CertifiedMessageService for CertifiedMessages {
    async fn send_certified_message(
        &self,
        request: Request<SendCertifiedMessageRequest>,
    ) -> Answer<SendCertifiedMessageResponse> {
        let metadata = request.metadata().clone();
        self.0.in_time(&metadata, self.send(request)).await
    }

    async fn get_certified_message(
        &self,
        request: Request<GetCertifiedMessageRequest>,
    ) -> Answer<GetCertifiedMessageResponse> {
        let metadata = request.metadata().clone();
        self.0.in_time(&metadata, self.get(request)).await
    }

    async fn cancel_certified_message(
        &self,
        request: Request<CancelCertifiedMessageRequest>,
    ) -> Answer<CancelCertifiedMessageResponse> {
        let metadata = request.metadata().clone();
        self.0.in_time(&metadata, self.cancel(request)).await
    }

    async fn reschedule_certified_message(
        &self,
        request: Request<RescheduleCertifiedMessageRequest>,
    ) -> Answer<RescheduleCertifiedMessageResponse> {
        let metadata = request.metadata().clone();
        self.0.in_time(&metadata, self.reschedule(request)).await
    }

    async fn get_certified_report(
        &self,
        request: Request<GetCertifiedReportRequest>,
    ) -> Answer<GetCertifiedReportResponse> {
        let metadata = request.metadata().clone();
        self.0.in_time(&metadata, self.report(request)).await
    }

    type DownloadCertificatesStream = Answers<DownloadCertificatesResponse>;

    async fn download_certificates(
        &self,
        request: Request<DownloadCertificatesRequest>,
    ) -> Answer<Self::DownloadCertificatesStream> {
        let caller = self.0.admit(&request)?;
        let wanted = convert::download_request(request.get_ref()).map_err(refuse_all)?;
        let certificates = self
            .0
            .certified
            .certificates(&caller, wanted)
            .await
            .map_err(refuse)?;
        Ok(Response::new(pieces(certificates, self.0.stop.clone())))
    }

    async fn upload_library_file(
        &self,
        request: Request<UploadLibraryFileRequest>,
    ) -> Answer<UploadLibraryFileResponse> {
        let metadata = request.metadata().clone();
        self.0.in_time(&metadata, self.upload(request)).await
    }

    async fn list_library_files(
        &self,
        request: Request<ListLibraryFilesRequest>,
    ) -> Answer<ListLibraryFilesResponse> {
        let metadata = request.metadata().clone();
        self.0.in_time(&metadata, self.files(request)).await
    }

    async fn delete_library_file(
        &self,
        request: Request<DeleteLibraryFileRequest>,
    ) -> Answer<DeleteLibraryFileResponse> {
        let metadata = request.metadata().clone();
        self.0.in_time(&metadata, self.delete(request)).await
    }

    async fn get_balance(&self, request: Request<GetBalanceRequest>) -> Answer<GetBalanceResponse> {
        let metadata = request.metadata().clone();
        self.0.in_time(&metadata, self.balance(request)).await
    }

    type WatchCertifiedEventsStream = Answers<WatchCertifiedEventsResponse>;

    async fn watch_certified_events(
        &self,
        request: Request<WatchCertifiedEventsRequest>,
    ) -> Answer<Self::WatchCertifiedEventsStream> {
        let caller = self.0.admit(&request)?;
        let message = request.get_ref();
        let administration = convert::watch_request(message).map_err(refuse_all)?;
        let token = Some(message.resume_token.as_str()).filter(|token| !token.is_empty());
        let place = self
            .0
            .watch_places
            .take(Watched::All, &caller.name)
            .map_err(refuse_commonly)?;
        let events = &self.0.certified_events;
        let watch = events
            .watch(&caller, administration, token)
            .await
            .map_err(refuse)?;
        Ok(Response::new(told(watch, place, self.0.stop.clone())))
    }
}

/// Pulled by the transport as its client takes them: nothing is read from the platform ahead of that.
fn pieces(
    certificates: Certificates,
    stop: CancellationToken,
) -> Answers<DownloadCertificatesResponse> {
    let state = Some((certificates, Bytes::new(), stop));
    Box::pin(stream::unfold(state, |state| async {
        let (mut certificates, mut left, stop) = state?;
        while left.is_empty() {
            let piece = tokio::select! {
                biased;
                () = stop.cancelled() => Err(Refusal::ShuttingDown),
                piece = certificates.next() => piece?,
            };
            match piece {
                Ok(piece) => left = piece,
                Err(refusal) => return Some((Err(refuse(refusal)), None)),
            }
        }
        let content = left.split_to(left.len().min(PIECE_BYTES)).into();
        let piece = DownloadCertificatesResponse { content };
        Some((Ok(piece), Some((certificates, left, stop))))
    }))
}

/// Pulled by the transport too: the log keeps what a slow client has not taken.
fn told(
    watch: EventWatch,
    place: WatchPlace,
    stop: CancellationToken,
) -> Answers<WatchCertifiedEventsResponse> {
    let state = Some((watch, place, stop));
    Box::pin(stream::unfold(state, |state| async {
        let (mut watch, place, stop) = state?;
        tokio::select! {
            biased;
            () = stop.cancelled() => Some((Err(refuse(Refusal::ShuttingDown)), None)),
            told = watch.next() => match told {
                Ok(told) => Some((Ok(to_proto_told(told)), Some((watch, place, stop)))),
                Err(refusal) => Some((Err(refuse(refusal)), None)),
            },
        }
    }))
}
