//! What must hold of any bytes that strangers and people write: an answer, a configuration, a request.
//!
//! Used twice: by the fuzz targets, and by `tests/it/kept_inputs.rs`, which plays the kept inputs on each run of the tests.

pub mod callback;
pub mod configuration;
pub mod request;
mod soap;
pub mod soap_answer;
mod xml;
pub mod xml_rpc_answer;
