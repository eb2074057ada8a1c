//! The stories of the product, in one binary so that they link once.

mod accounts;
mod architecture;
mod chaos;
mod config;
mod config_samples;
mod delivery_outcomes;
mod drain;
mod gateway_http;
mod gateway_xml_rpc;
mod lane_states;
mod lanes;
mod overload;
mod peers;
mod promises;
mod refusals;
mod secrets_never_printed;
mod serve_process;
mod simulate_command;
mod simulator;
mod simulator_script;
mod store;
mod store_trouble;
mod support;
mod text_and_number;
mod vectors;
