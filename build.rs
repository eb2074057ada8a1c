//! Compiles the protocol without a system `protoc`, and keeps the descriptor set for reflection.

use std::{env, error::Error, fs, path::PathBuf};

/// Messages that carry a code, a citizen's own words or data, or the secret part of an address: their `Debug` is written by hand (`src/grpc/redacted.rs`), so
/// that printing one cannot leak it.
const HAND_WRITTEN_DEBUG: [&str; 12] = [
    "clave.otp.v1.Account",
    "clave.otp.v1.CertifiedAddressee",
    "clave.otp.v1.CertifiedAttachment",
    "clave.otp.v1.CertifiedAttachment.content",
    "clave.otp.v1.CertifiedAttachmentEvent",
    "clave.otp.v1.CertifiedIdentification",
    "clave.otp.v1.CertifiedReplyEvent",
    "clave.otp.v1.DownloadCertificatesResponse",
    "clave.otp.v1.SendCertifiedMessageRequest",
    "clave.otp.v1.UploadLibraryFileRequest",
    "clave.otp.v1.CreateDeliveryRequest",
    "clave.otp.v1.PreviewDeliveryRequest",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler
        .include_imports(true)
        .include_source_info(true)
        .open_files([
            "clave/otp/v1/account_service.proto",
            "clave/otp/v1/certified_message_service.proto",
            "clave/otp/v1/delivery_service.proto",
        ])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    // The compiler's own encoding keeps options that the generated types do not know, as `debug_redact`.
    fs::write(
        out.join("clave_otp_descriptor.bin"),
        compiler.encode_file_descriptor_set(),
    )?;
    tonic_prost_build::configure()
        .skip_debug(HAND_WRITTEN_DEBUG)
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
