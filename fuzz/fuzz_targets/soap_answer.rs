//! libFuzzer's entrance to `checks::soap_answer::check`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::soap_answer::check(input));
