//! libFuzzer's way to the target `checkpoint`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kv_fuzz::checkpoint::run(data));
