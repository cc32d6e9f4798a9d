//! pool-subprocess
