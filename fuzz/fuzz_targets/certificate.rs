//! libFuzzer's entrance to `checks::certificate::check`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::certificate::check(input));
