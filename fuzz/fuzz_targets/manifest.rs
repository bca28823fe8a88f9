//! libFuzzer's way to the target `manifest`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kv_fuzz::manifest::run(data));
