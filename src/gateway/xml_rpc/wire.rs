//! Bytes ⇄ structs, with `dxr` for the XML-RPC in between.
//!
//! Must not know: what a code means, HTTP.

mod answer;
mod request;

pub use self::request::WireEncoding;
pub(super) use self::{
    answer::{Answer, parse_answer},
    request::{WireMessage, request},
};
