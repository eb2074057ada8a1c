//! Who may call what at all: the first thing that is asked of a call, before any of it is read (rules 2.2 and 2.3).
//!
//! Must not know: what a call says; for which administrations (`intake`, `status`).

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::Response,
};
use tonic::{Status, service::Routes};

use super::{Services, answer::refuse, connection::Peer};
use crate::{
    domain::{Caller, Role},
    intake::Refusal,
};

/// Our own services. Health and reflection answer whoever may connect.
const OUR_PACKAGE: &str = "/clave.otp.v1.";

/// Every rpc and the role that it needs. One that is not listed is forbidden to everybody.
const ENTITLED: &[(&str, &str, Role)] = &[
    ("DeliveryService", "CreateDelivery", Role::Sender),
    ("DeliveryService", "GetDelivery", Role::Sender),
    ("DeliveryService", "ListDeliveries", Role::Sender),
    ("DeliveryService", "WatchDelivery", Role::Sender),
    ("DeliveryService", "WatchDeliveries", Role::Sender),
    ("DeliveryService", "CancelDelivery", Role::Sender),
    ("DeliveryService", "PreviewDelivery", Role::Sender),
    ("AccountService", "ListAccounts", Role::Operator),
    ("AccountService", "GetAccount", Role::Operator),
    ("AccountService", "PauseAccount", Role::Operator),
    ("AccountService", "ResumeAccount", Role::Operator),
    (
        "CertifiedMessageService",
        "SendCertifiedMessage",
        Role::Certified,
    ),
    (
        "CertifiedMessageService",
        "GetCertifiedMessage",
        Role::Certified,
    ),
    (
        "CertifiedMessageService",
        "CancelCertifiedMessage",
        Role::Certified,
    ),
    (
        "CertifiedMessageService",
        "RescheduleCertifiedMessage",
        Role::Certified,
    ),
    (
        "CertifiedMessageService",
        "GetCertifiedReport",
        Role::Certified,
    ),
    (
        "CertifiedMessageService",
        "DownloadCertificates",
        Role::Certified,
    ),
    (
        "CertifiedMessageService",
        "UploadLibraryFile",
        Role::Certified,
    ),
    (
        "CertifiedMessageService",
        "ListLibraryFiles",
        Role::Certified,
    ),
    (
        "CertifiedMessageService",
        "DeleteLibraryFile",
        Role::Certified,
    ),
    ("CertifiedMessageService", "GetBalance", Role::Certified),
    (
        "CertifiedMessageService",
        "WatchCertifiedEvents",
        Role::Certified,
    ),
];

/// The services, for those who may call them.
pub(super) fn guarded(routes: Routes, services: Services) -> Routes {
    let unguarded: Router = routes.prepare().into_axum_router();
    unguarded
        .layer(middleware::from_fn_with_state(Arc::new(services), guard))
        .into()
}

async fn guard(
    State(services): State<Arc<Services>>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(rpc) = request.uri().path().strip_prefix(OUR_PACKAGE) else {
        return next.run(request).await;
    };
    let peer = request.extensions().get::<Peer>();
    let caller = services.callers.identify(peer, services.clock.now());
    match caller.and_then(|caller| entitled(rpc, caller)) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(refusal) => refuse(refusal).into_http(),
    }
}

/// The caller, if it may call this at all. It is not told what it lacks, nor whether there is such an rpc.
fn entitled(rpc: &str, caller: Arc<Caller>) -> Result<Arc<Caller>, Refusal> {
    let (service, method) = rpc.split_once('/').unwrap_or_default();
    let listed = ENTITLED
        .iter()
        .find(|(of, name, _)| *of == service && *name == method);
    match listed {
        Some((.., role)) if caller.has(*role) => Ok(caller),
        _ => Err(Refusal::AdministrationNotAvailable),
    }
}

/// The caller behind a request that has passed the guard.
pub(super) fn caller_of<T>(request: &tonic::Request<T>) -> Result<Arc<Caller>, Status> {
    let caller = request.extensions().get::<Arc<Caller>>();
    caller
        .cloned()
        .ok_or_else(|| refuse(Refusal::Unauthenticated))
}
