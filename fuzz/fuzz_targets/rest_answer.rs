//! libFuzzer's entrance to `checks::rest_answer::check`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::rest_answer::check(input));
