//! pool-bench
