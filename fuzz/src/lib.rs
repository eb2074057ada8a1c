//! What must hold of any bytes that strangers and people write: an answer, a configuration, a request, a certificate.
//!
//! Used twice: by the fuzz targets, and by `tests/it/kept_inputs.rs`, which plays the kept inputs on each run of the tests.

pub mod callback;
pub mod certificate;
mod codes;
pub mod configuration;
mod mensatek;
pub mod mensatek_answer;
pub mod mensatek_callback;
pub mod request;
pub mod rest_answer;
mod soap;
pub mod soap_answer;
mod xml;
pub mod xml_rpc_answer;
