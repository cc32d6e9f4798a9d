//! pool-runtime
