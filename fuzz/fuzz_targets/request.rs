//! libFuzzer's entrance to `checks::request`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::request::check(input));
