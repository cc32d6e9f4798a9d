//! What the tests skipped by their own word: a line `skipped: reason` on their output.
//!
//! A test that finds at run time that it can't test anything here prints such a line and returns.
//! To the runner it has passed, so that the list would be lost with the output of passing tests.

use std::fmt;

const WORD: &str = "skipped: ";

/// A test that ended well without having tested.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Skip {
    test: String,
    reason: String,
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.test, self.reason)
    }
}

/// From the JUnit report of nextest.
///
/// Not an XML parser: nextest writes one element a line, and the output of a test verbatim but for
/// the five entities.
pub(crate) fn in_junit(report: &str) -> Vec<Skip> {
    let mut test = String::new();
    let mut skips = Vec::new();
    for line in report.lines().map(str::trim_start) {
        if let Some(element) = line.strip_prefix("<testcase ") {
            let binary = attribute(element, "classname").unwrap_or_default();
            let name = attribute(element, "name").unwrap_or_default();
            test = format!("{binary} {name}");
        }
        // The first line of the output follows its opening tag directly.
        let line = line.strip_prefix("<system-out>").unwrap_or(line);
        let line = line.strip_prefix("<system-err>").unwrap_or(line);
        if let Some(reason) = line.strip_prefix(WORD) {
            let reason = reason.split("</system-").next().unwrap_or(reason);
            skips.push(Skip {
                test: test.clone(),
                reason: unescaped(reason.trim_end()),
            });
        }
    }
    skips
}

/// From what `cargo test -- --show-output` printed.
pub(crate) fn in_libtest(output: &str) -> Vec<Skip> {
    let mut test = String::new();
    let mut skips = Vec::new();
    for line in output.lines() {
        let heading = line.strip_prefix("---- ");
        if let Some(name) = heading.and_then(|rest| rest.strip_suffix(" stdout ----")) {
            test = name.to_owned();
        }
        if let Some(reason) = line.strip_prefix(WORD) {
            skips.push(Skip {
                test: test.clone(),
                reason: reason.trim_end().to_owned(),
            });
        }
    }
    skips
}

fn attribute(element: &str, name: &str) -> Option<String> {
    // The space keeps `name` from being found inside `classname`.
    let element = format!(" {element}");
    let (_, rest) = element.split_once(&format!(" {name}=\""))?;
    let (value, _) = rest.split_once('"')?;
    Some(unescaped(value))
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        // Last, or `&amp;lt;` would be unescaped twice.
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::{Skip, in_junit, in_libtest};

    fn skip(test: &str, reason: &str) -> Skip {
        Skip {
            test: test.to_owned(),
            reason: reason.to_owned(),
        }
    }

    #[test]
    fn skips_are_found_in_a_junit_report() {
        let report = r#"
        <testcase name="ctrl_break_asks" classname="pool-subprocess::it" time="0.1">
            <system-out>
running 1 test
skipped: no console under Wine &amp; &quot;friends&quot;
test ctrl_break_asks ... ok
</system-out>
        </testcase>
        <testcase name="a_limit_holds" classname="pool-subprocess::it" time="0.1">
            <system-out>skipped: job limits are not enforced</system-out>
            <system-err>it was skipped: not at the start of the line</system-err>
        </testcase>"#;
        assert_eq!(
            in_junit(report),
            [
                skip(
                    "pool-subprocess::it ctrl_break_asks",
                    "no console under Wine & \"friends\""
                ),
                skip(
                    "pool-subprocess::it a_limit_holds",
                    "job limits are not enforced"
                ),
            ]
        );
    }

    #[test]
    fn skips_are_found_in_the_output_of_libtest() {
        let output = "\
running 2 tests
test ctrl_break_asks ... ok

successes:

---- ctrl_break_asks stdout ----
something else
skipped: no console under Wine\r

successes:
    ctrl_break_asks
";
        assert_eq!(
            in_libtest(output),
            [skip("ctrl_break_asks", "no console under Wine")]
        );
    }
}
