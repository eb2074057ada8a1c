//! libFuzzer's entrance to `checks::callback::check_rest`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::callback::check_rest(input));
