//! The stories of the product, in one binary so that they link once.

mod gateway_http;
mod gateway_xml_rpc;
mod vectors;
