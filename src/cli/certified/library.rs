//! `clave-otp certified download`, `upload`, `files`, `delete-file` and `balance`.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::PathBuf,
};

use clap::Args;
use serde_json::{Value, json};

use super::{Client, Done, full_account, full_name, told, words::Out};
use crate::grpc::proto::{
    CertificatesOfMessage, CertificatesOfPeriod, DeleteLibraryFileRequest,
    DownloadCertificatesRequest, GetBalanceRequest, LibraryUploadForm, ListLibraryFilesRequest,
    UploadLibraryFileRequest, download_certificates_request::Wanted,
};

/// Whose account.
#[derive(Debug, Args)]
pub(super) struct WhoseArgs {
    /// DIR3 code of the administration.
    #[arg(long)]
    administration: String,
    /// Its account; its first Mensatek account otherwise.
    #[arg(long, default_value = "")]
    account: String,
}

impl WhoseArgs {
    pub(super) async fn files(self, mut client: Client, out: Out) -> Done {
        let request = ListLibraryFilesRequest {
            administration: self.administration,
            account: full_account(&self.account),
        };
        let answer = client.list_library_files(request).await;
        let files = answer.map_err(|status| told(&status))?.into_inner().files;
        for file in files {
            let value = json!({ "file_name": file.file_name, "upload_time": file.upload_time });
            out.other(
                &format!("{:<16} {}", file.file_name, file.upload_time),
                &value,
            );
        }
        Ok(())
    }

    pub(super) async fn balance(self, mut client: Client, out: Out) -> Done {
        let request = GetBalanceRequest {
            administration: self.administration,
            account: full_account(&self.account),
        };
        let answer = client.get_balance(request).await;
        let credits = answer.map_err(|status| told(&status))?.into_inner().credits;
        out.other(
            &format!("{credits} credits"),
            &json!({ "credits": credits }),
        );
        Ok(())
    }
}

/// Downloads a ZIP of certificates: of one message, or of all that an account sent in some days.
#[derive(Debug, Args)]
pub(super) struct DownloadArgs {
    /// The message, certifiedMessages/{id}; the bare id will do.
    #[arg(required_unless_present = "administration")]
    name: Option<String>,
    /// Which of its recipients, by their place from 0; all otherwise.
    #[arg(long, requires = "name")]
    recipient_index: Option<i32>,
    /// DIR3 code: all that this administration sent from --from to --until.
    #[arg(long, conflicts_with = "name", requires_all = ["from", "until"])]
    administration: Option<String>,
    /// Its account; its first Mensatek account otherwise.
    #[arg(long, default_value = "")]
    account: String,
    /// First day: 2026-11-01.
    #[arg(long, default_value = "")]
    from: String,
    /// Last day, included.
    #[arg(long, default_value = "")]
    until: String,
    /// Where to write it; a file that is there is not overwritten. Standard output for -.
    #[arg(long)]
    output: PathBuf,
}

impl DownloadArgs {
    pub(super) async fn run(self, mut client: Client) -> Done {
        let wanted = match (&self.name, self.administration) {
            (Some(name), _) => Wanted::Message(CertificatesOfMessage {
                name: full_name(name),
                recipient_index: self.recipient_index,
            }),
            (None, administration) => Wanted::Period(CertificatesOfPeriod {
                administration: administration.unwrap_or_default(),
                account: full_account(&self.account),
                first_day: self.from,
                last_day: self.until,
            }),
        };
        let request = DownloadCertificatesRequest {
            wanted: Some(wanted),
        };
        let shown = self.output.display().to_string();
        let stream = client.download_certificates(request).await;
        let mut pieces = stream.map_err(|status| told(&status))?.into_inner();
        let failed = |error: io::Error| format!("--output {shown}: {error}");
        let mut out: Box<dyn Write> = if shown == "-" {
            Box::new(io::stdout())
        } else {
            let file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(&self.output);
            Box::new(file.map_err(failed)?)
        };
        while let Some(piece) = pieces.message().await.map_err(|status| {
            format!(
                "{}; what was written to {shown} is not whole",
                told(&status)
            )
        })? {
            out.write_all(&piece.content).map_err(failed)?;
        }
        out.flush().map_err(failed)
    }
}

/// Uploads a file to the account's library.
#[derive(Debug, Args)]
pub(super) struct UploadArgs {
    #[command(flatten)]
    whose: WhoseArgs,
    /// The file.
    file: PathBuf,
    /// Its name in the library: letters and digits, a dot, an extension, at most 15 characters. The file's own otherwise.
    #[arg(long)]
    name: Option<String>,
    /// Lets the platform delete it when the message that uses it is certified.
    #[arg(long)]
    delete_when_certified: bool,
    /// Sends it as text in Base64 instead of as a part of a form.
    #[arg(long)]
    base64: bool,
}

impl UploadArgs {
    pub(super) async fn run(self, mut client: Client, out: Out) -> Done {
        let content = std::fs::read(&self.file)
            .map_err(|error| format!("{}: {error}", self.file.display()))?;
        let own = self
            .file
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let form = if self.base64 {
            LibraryUploadForm::Base64
        } else {
            LibraryUploadForm::Files
        };
        let request = UploadLibraryFileRequest {
            administration: self.whose.administration,
            account: full_account(&self.whose.account),
            file_name: self.name.or(own).unwrap_or_default(),
            content,
            delete_when_certified: self.delete_when_certified,
            form: form.into(),
        };
        let answer = client.upload_library_file(request).await;
        let name = answer
            .map_err(|status| told(&status))?
            .into_inner()
            .file_name;
        let value: Value = json!({ "file_name": name });
        out.other(&name, &value);
        Ok(())
    }
}

/// Deletes a file from the account's library.
#[derive(Debug, Args)]
pub(super) struct DeleteArgs {
    #[command(flatten)]
    whose: WhoseArgs,
    /// Its name there.
    name: String,
}

impl DeleteArgs {
    pub(super) async fn run(self, mut client: Client) -> Done {
        let request = DeleteLibraryFileRequest {
            administration: self.whose.administration,
            account: full_account(&self.whose.account),
            file_name: self.name,
        };
        let answer = client.delete_library_file(request).await;
        answer.map(drop).map_err(|status| told(&status))
    }
}
