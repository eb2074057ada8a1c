//! Compiles the protocol without a system `protoc`, and keeps the descriptor set for reflection.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

/// Requests that carry a code: their `Debug` is written by hand (`src/grpc/redacted.rs`), so that printing one
/// cannot leak it.
const HAND_WRITTEN_DEBUG: [&str; 2] = [
    "clave.otp.v1.CreateDeliveryRequest",
    "clave.otp.v1.PreviewDeliveryRequest",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(["clave/otp/v1/delivery_service.proto"], ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(
        out.join("clave_otp_descriptor.bin"),
        descriptors.encode_to_vec(),
    )?;
    tonic_prost_build::configure()
        .skip_debug(HAND_WRITTEN_DEBUG)
        .compile_fds(descriptors)?;
    Ok(())
}
