//! What each verb does.

use std::io::{self, Read as _, Write as _};
use std::time::Duration;

use crate::verb::{Flood, Lines, Verb};
use crate::{family, output, sys};

/// How long those sleep that are there to be killed.
const A_MINUTE: Duration = Duration::from_secs(60);

/// The exit code of a verb that found nothing to print, or that this system cannot do.
const NOT_THERE: u8 = 1;

/// Does what the verb says and returns the exit code.
pub(crate) fn perform(verb: Verb) -> io::Result<u8> {
    match verb {
        Verb::Echo(words) => output::line(io::stdout(), output::joined(&words.text))?,
        Verb::Warn(words) => output::line(io::stderr(), output::joined(&words.text))?,
        Verb::Exit { code } => std::process::exit(code),
        Verb::Sleep { seconds } => seconds.sleep(),
        Verb::ReadySleep { seconds } => {
            output::ready(&[])?;
            seconds.sleep();
        }
        Verb::Cat => cat()?,
        Verb::CountStdin => count_stdin()?,
        Verb::CloseStdinExit => {}
        Verb::Lines(shape) => lines(&shape)?,
        Verb::Flood(shape) => flood(&shape)?,
        Verb::Progress { n, every } => progress(n, Duration::from_millis(every))?,
        Verb::Raw { hex } => output::bytes(io::stdout(), &decoded(&hex)?)?,
        Verb::Env { name } => match std::env::var_os(name) {
            Some(value) => output::line(io::stdout(), value.as_encoded_bytes())?,
            None => return Ok(NOT_THERE),
        },
        Verb::EnvAll => env_all()?,
        Verb::Cwd => {
            let dir = std::env::current_dir()?.into_os_string();
            output::line(io::stdout(), dir.as_encoded_bytes())?;
        }
        Verb::Args(words) => {
            for word in words.text {
                output::line(io::stdout(), format!("{word:?}"))?;
            }
        }
        Verb::SelfSignal { signal } => return sys::end_by_signal(&signal),
        Verb::IgnoreTerm(words) => {
            // Held to the end: who drops the receiver would not restore the default anyway, but
            // the reader should see that the requests are received and left alone.
            let requests = sys::requests_to_end()?;
            output::ready(&words.text)?;
            std::thread::sleep(A_MINUTE);
            drop(requests);
        }
        Verb::OnTerm { code } => {
            let requests = sys::requests_to_end()?;
            output::ready(&[])?;
            if requests.recv_timeout(A_MINUTE).is_ok() {
                output::line(io::stdout(), "terminating")?;
                std::process::exit(code);
            }
        }
        Verb::Tree { depth, width } => {
            family::grow(depth, width)?;
            std::thread::sleep(A_MINUTE);
        }
        Verb::HoldPipe { seconds } => family::hold_pipe(seconds)?,
        Verb::Daemonise { seconds } => family::daemonise(seconds)?,
        Verb::Daemon { seconds } => {
            sys::leave_session()?;
            seconds.sleep();
        }
        Verb::StopSelf => {
            output::ready(&[])?;
            if !sys::stop_self()? {
                return unsupported();
            }
            output::line(io::stdout(), "continued")?;
        }
        Verb::Crash => std::process::abort(),
        Verb::Memory { bytes } => {
            let mut memory = Vec::new();
            memory.try_reserve_exact(bytes).map_err(io::Error::other)?;
            memory.resize(bytes, 1_u8);
            // Held to the end.
            let touched = std::hint::black_box(memory.leak()).len();
            output::line(io::stdout(), format!("touched {touched}"))?;
        }
        Verb::Spin { seconds } => seconds.spin(),
        Verb::Open { n } => {
            let program = std::env::current_exe()?;
            let files: io::Result<Vec<_>> = (0..n).map(|_| std::fs::File::open(&program)).collect();
            output::line(io::stdout(), format!("opened {}", files?.len()))?;
        }
        Verb::Fill { file, bytes } => {
            let mut file = std::fs::File::create(file)?;
            io::copy(&mut io::repeat(b'x').take(bytes), &mut file)?;
        }
        Verb::Fds => match sys::open_descriptors()? {
            Some(descriptors) => {
                for (descriptor, target) in descriptors {
                    output::line(io::stdout(), format!("fd {descriptor} {target}"))?;
                }
            }
            None => return unsupported(),
        },
        Verb::Pgid => match sys::group_and_session()? {
            Some((group, session)) => {
                let pid = std::process::id();
                output::line(
                    io::stdout(),
                    format!("pid {pid} pgid {group} sid {session}"),
                )?;
            }
            None => return unsupported(),
        },
    }
    Ok(0)
}

fn unsupported() -> io::Result<u8> {
    output::line(io::stdout(), "unsupported")?;
    Ok(NOT_THERE)
}

fn cat() -> io::Result<()> {
    let mut chunk = [0; 64 * 1024];
    loop {
        match io::stdin().read(&mut chunk)? {
            0 => return Ok(()),
            n => output::bytes(io::stdout(), &chunk[..n])?,
        }
    }
}

fn count_stdin() -> io::Result<()> {
    let count = io::copy(&mut io::stdin(), &mut io::sink())?;
    output::line(io::stdout(), count.to_string())
}

fn lines(shape: &Lines) -> io::Result<()> {
    for number in 1..=shape.n {
        if number > 1 {
            pause(Duration::from_millis(shape.every));
        }
        let width = shape.width;
        output::line(
            io::stdout(),
            format!("{:.<width$}", format!("line {number}")),
        )?;
        if shape.stderr_too {
            output::line(
                io::stderr(),
                format!("{:.<width$}", format!("err {number}")),
            )?;
        }
    }
    Ok(())
}

fn flood(shape: &Flood) -> io::Result<()> {
    let line = (!shape.no_newline).then_some(shape.line);
    if shape.stderr {
        output::flood(io::stderr(), shape.bytes, line)
    } else {
        output::flood(io::stdout(), shape.bytes, line)
    }
}

fn progress(n: u64, every: Duration) -> io::Result<()> {
    for state in 1..=n {
        if state > 1 {
            pause(every);
        }
        output::bytes(io::stdout(), format!("\rprogress {state}/{n}").as_bytes())?;
    }
    io::stdout().write_all(b"\n")
}

fn env_all() -> io::Result<()> {
    let mut variables: Vec<_> = std::env::vars_os().collect();
    variables.sort();
    for (name, value) in variables {
        let line = [name.as_encoded_bytes(), value.as_encoded_bytes()].join(&b'=');
        output::line(io::stdout(), line)?;
    }
    Ok(())
}

fn pause(time: Duration) {
    std::thread::sleep(time.min(crate::MAX_SLEEP));
}

fn decoded(hex: &str) -> io::Result<Vec<u8>> {
    let digits: Option<Vec<u8>> = hex
        .chars()
        .map(|digit| {
            digit
                .to_digit(16)
                .and_then(|value| u8::try_from(value).ok())
        })
        .collect();
    match digits {
        Some(digits) if digits.len() % 2 == 0 => Ok(digits
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect()),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("`{hex}` is not an even number of hex digits"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_becomes_its_bytes_and_the_rest_is_refused() {
        assert_eq!(decoded("00ff0A").unwrap(), [0, 255, 10]);
        assert_eq!(decoded("").unwrap(), []);
        for text in ["f", "zz", "0 "] {
            assert!(decoded(text).is_err(), "{text:?} was accepted");
        }
    }
}
