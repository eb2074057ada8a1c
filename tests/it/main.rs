//! The stories of the product, in one binary so that they link once.

mod simulator;
mod simulator_script;
mod vectors;
