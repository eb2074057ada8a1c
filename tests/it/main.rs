//! The stories of the product, in one binary so that they link once.

mod text_and_number;
mod vectors;
