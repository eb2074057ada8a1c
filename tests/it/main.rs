//! The stories of the product, in one binary so that they link once.

mod architecture;
mod peers;
mod vectors;
