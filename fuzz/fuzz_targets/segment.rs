//! libFuzzer's way to the target `segment`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kv_fuzz::segment::run(data));
