//! The stories of the product, in one binary so that they link once.

mod config;
mod config_samples;
mod simulate_command;
mod simulator;
mod simulator_script;
mod text_and_number;
mod vectors;
