//! Checks any program against the worker protocol, from the command line.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use pool_subprocess::Command;
use pool_subprocess::worker::{Conformance, Transport};

/// Checks a worker against the protocol, each promise with a process of its own.
///
/// Ends with 0 if it keeps all that could be checked.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// A method that returns its argument; without it, bodies are not checked
    #[arg(long, value_name = "METHOD")]
    echo: Option<String>,
    /// It speaks on stdin and stdout, and not on a channel of its own
    #[arg(long)]
    stdio: bool,
    /// How long it may take for each frame, and for its end, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    patience: f64,
    /// The worker, and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<OsString>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let (program, arguments) = options.command.split_first().expect("required");
    let mut check = Conformance::new(Command::new(program).args(arguments));
    if let Some(method) = options.echo {
        check = check.echo(method);
    }
    if options.stdio {
        check = check.transport(Transport::Stdio);
    }
    let patience = Duration::try_from_secs_f64(options.patience);
    match check
        .patience(patience.unwrap_or(Duration::MAX))
        .run()
        .await
    {
        Ok(report) => {
            println!("{report}");
            if report.is_ok() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}
