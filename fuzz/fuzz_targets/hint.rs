//! libFuzzer's way to the target `hint`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kv_fuzz::hint::run(data));
