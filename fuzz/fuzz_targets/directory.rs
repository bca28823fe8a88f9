//! libFuzzer's way to the target `directory`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kv_fuzz::directory::run(data));
