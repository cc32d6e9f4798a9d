//! The program itself; all that it does is in the library, so that its parts share one `sys`.

use std::process::ExitCode;

fn main() -> ExitCode {
    puppet::run(std::env::args_os())
}
