//! libFuzzer's entrance to `checks::callback::check_soap`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::callback::check_soap(input));
