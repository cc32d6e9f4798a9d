//! How long a puppet sleeps: a number of seconds, never above the bound.

use std::str::FromStr;
use std::time::Duration;

/// No puppet sleeps longer than this, whatever it was told.
///
/// # Examples
/// ```
/// assert!(puppet::MAX_SLEEP.as_secs() <= 120);
/// ```
pub const MAX_SLEEP: Duration = Duration::from_secs(120);

/// A sleep as it was asked for, cut to [`MAX_SLEEP`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Seconds(Duration);

impl Seconds {
    pub(crate) fn sleep(self) {
        std::thread::sleep(self.0);
    }

    pub(crate) fn spin(self) {
        let start = std::time::Instant::now();
        while start.elapsed() < self.0 {
            std::hint::spin_loop();
        }
    }
}

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let seconds: f64 = text
            .parse()
            .map_err(|_| format!("`{text}` is not a number"))?;
        if seconds.is_nan() || seconds < 0.0 {
            return Err(format!("`{text}` is not a time to sleep"));
        }
        let bounded = seconds.min(MAX_SLEEP.as_secs_f64());
        Ok(Self(Duration::from_secs_f64(bounded)))
    }
}

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_is_cut_to_the_bound() {
        let parsed: Seconds = "1e300".parse().unwrap();
        assert_eq!(parsed.0, MAX_SLEEP);
        let parsed: Seconds = "inf".parse().unwrap();
        assert_eq!(parsed.0, MAX_SLEEP);
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["-1", "NaN", "soon", ""] {
            assert!(text.parse::<Seconds>().is_err(), "{text:?} was accepted");
        }
    }
}
