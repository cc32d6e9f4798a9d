//! Environment variables as a source of settings: which there are, what they mean, which are unknown.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

/// The variables that settings are looked up in.
#[derive(Clone, Debug)]
pub(crate) struct Environment {
    prefix: String,
    variables: Vec<(OsString, OsString)>,
}

/// What a variable is called.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Variable {
    /// The same everywhere.
    Named(&'static str),
    /// This, after the prefix.
    Prefixed(&'static str),
}

impl Variable {
    fn name(self, prefix: &str) -> String {
        match self {
            Self::Named(name) => name.to_owned(),
            Self::Prefixed(rest) => format!("{prefix}{rest}"),
        }
    }
}

impl Environment {
    pub(crate) fn new(prefix: String, variables: Vec<(OsString, OsString)>) -> Self {
        Self { prefix, variables }
    }

    /// The variable's full name and its text; nothing if it is not set or empty. Text that is not Unicode
    /// is no valid setting in any case, so it is enough that it can be shown.
    pub(crate) fn get(&self, variable: Variable) -> Option<(String, String)> {
        let name = variable.name(&self.prefix);
        let (_, value) = self
            .variables
            .iter()
            .find(|(known, _)| known == OsStr::new(&name))?;
        (!value.is_empty()).then(|| (name, value.to_string_lossy().into_owned()))
    }

    /// The names that begin with the prefix and mean nothing. No error: Kubernetes alone sets variables
    /// like `POOL_PORT` for a service that happens to be called `pool`.
    pub(crate) fn unknown(&self, known: &[Variable]) -> Vec<String> {
        let known: Vec<String> = known
            .iter()
            .map(|variable| variable.name(&self.prefix))
            .collect();
        self.variables
            .iter()
            .map(|(name, _)| name.to_string_lossy().into_owned())
            .filter(|name| name.starts_with(&self.prefix) && !known.contains(name))
            .collect()
    }
}

/// A whole number.
pub(crate) fn count(text: &str) -> Option<usize> {
    text.trim().parse().ok()
}

/// `on` or `off`.
pub(crate) fn switch(text: &str) -> Option<bool> {
    match text {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

/// Seconds, or a number with its unit.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, f64); 4] = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let text = text.trim();
    let (number, seconds) = UNITS
        .iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, *seconds)))
        .unwrap_or((text, 1.0));
    let number: f64 = number.trim_end().parse().ok()?;
    Duration::try_from_secs_f64(number * seconds).ok()
}

/// A duration, or `none` for no limit.
pub(crate) fn limit(text: &str) -> Option<Option<Duration>> {
    if text.trim().eq_ignore_ascii_case("none") {
        return Some(None);
    }
    duration(text).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Private: the parsers are reached from outside through the environment only.
    #[test]
    fn durations_are_seconds_or_have_a_unit() {
        let cases = [
            ("25", Some(25_000)),
            ("0.5", Some(500)),
            ("500ms", Some(500)),
            ("25s", Some(25_000)),
            (" 2 m ", Some(120_000)),
            ("1h", Some(3_600_000)),
            ("0", Some(0)),
            ("-1", None),
            ("1d", None),
            ("s", None),
            ("", None),
            ("NaN", None),
            ("inf", None),
            ("1e300", None),
        ];
        for (text, millis) in cases {
            assert_eq!(
                duration(text),
                millis.map(Duration::from_millis),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_limit_may_be_none() {
        assert_eq!(limit("None"), Some(None));
        assert_eq!(limit("3"), Some(Some(Duration::from_secs(3))));
        assert_eq!(limit("never"), None);
    }
}
