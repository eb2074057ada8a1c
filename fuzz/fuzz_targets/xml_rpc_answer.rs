//! libFuzzer's entrance to `checks::xml_rpc_answer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::xml_rpc_answer::check(input));
