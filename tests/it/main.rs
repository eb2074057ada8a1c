//! The stories of the product, in one binary so that they link once.

mod config;
mod config_samples;
mod vectors;
