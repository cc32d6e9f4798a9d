//! `cargo +nightly fuzz run frames`, in the directory above.

#![no_main]

#[path = "../../tests/it/workers/exercise.rs"]
mod exercise;

libfuzzer_sys::fuzz_target!(|data: &[u8]| exercise::exercise(data));
