//! The files of `[grpc.tls]` → what the gRPC port speaks TLS with, and again when they change.
//!
//! Must not know: how TLS is spoken.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{
    StartError,
    looking::{off_reactor, sleeps_until_stop},
};
use crate::{
    clock::Clock,
    config::{TlsFiles, TlsSettings},
    grpc::{ServerTls, TlsMaterial},
    telemetry::names,
};

/// The port's TLS and the files that it was made of.
pub(super) struct Served {
    pub(super) tls: Arc<ServerTls>,
    settings: TlsSettings,
    files: TlsFiles,
}

impl std::fmt::Debug for Served {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Served({:?})", self.tls)
    }
}

impl Served {
    /// Reads the files and checks what is in them.
    pub(super) fn open(settings: TlsSettings) -> Result<Self, StartError> {
        let files = settings.read().map_err(StartError::TlsFiles)?;
        let tls = Arc::new(ServerTls::new(&material(&files))?);
        Ok(Self {
            tls,
            settings,
            files,
        })
    }

    /// Looks at the files now and then. What has changed is used from then on; where it cannot be, the old stays and somebody is
    /// told, once for each change.
    pub(super) async fn keep(self, clock: Arc<dyn Clock>, stop: CancellationToken) {
        let Self {
            tls,
            settings,
            files: mut used,
        } = self;
        let mut complaint = None;
        loop {
            tell_expiry(&tls);
            metrics::gauge!(names::TLS_RELOAD_FAILED).set(f64::from(u8::from(complaint.is_some())));
            if sleeps_until_stop(&*clock, settings.reload_every, &stop).await {
                return;
            }
            // A stop does not wait for a disk that hangs.
            let files = tokio::select! {
                () = stop.cancelled() => return,
                files = read(&settings) => files,
            };
            let problem = match files {
                Ok(files) if files == used => None,
                Ok(files) => match tls.replace(&material(&files)) {
                    Ok(()) => {
                        tracing::info!(
                            "grpc: the files of [grpc.tls] have changed; the new ones are used"
                        );
                        used = files;
                        None
                    }
                    Err(problem) => Some(problem.to_string()),
                },
                Err(problem) => Some(problem),
            };
            if problem.is_some() && problem != complaint {
                let problem = problem.as_deref().unwrap_or_default();
                tracing::error!(
                    problem,
                    "grpc: the files of [grpc.tls] have changed into something that cannot be used; the old ones are used until that is mended"
                );
            }
            complaint = problem;
        }
    }
}

/// A disk may be slow.
async fn read(settings: &TlsSettings) -> Result<TlsFiles, String> {
    let settings = settings.clone();
    let unread =
        || Err("grpc.tls: the files cannot be read: the system gives no thread".to_owned());
    off_reactor(move || settings.read())
        .await
        .unwrap_or_else(unread)
}

fn material(files: &TlsFiles) -> TlsMaterial {
    TlsMaterial {
        certificates: files.certificates.clone(),
        private_key: files.private_key.clone(),
        client_authorities: files.client_authorities.clone(),
        revocations: files.revocations.clone(),
    }
}

fn tell_expiry(tls: &ServerTls) {
    let expiry = tls.expiry();
    let ends = [
        ("certificate_file", Some(expiry.certificate)),
        ("client_ca_file", Some(expiry.client_authority)),
        ("revocation_file", expiry.revocations),
    ];
    for (file, end) in ends {
        if let Some(end) = end {
            // Seconds since 1970 are far below what a float holds exactly.
            #[allow(clippy::cast_precision_loss)]
            metrics::gauge!(names::TLS_EXPIRES, "file" => file).set(end.as_second() as f64);
        }
    }
}
