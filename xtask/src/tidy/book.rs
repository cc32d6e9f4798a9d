//! The rules for the book.

use super::Violation;
use super::source::Source;

const SUMMARY: &str = "docs/src/SUMMARY.md";

/// `pages` are paths from the root with their texts, the summary among them.
pub(super) fn check(pages: &[(String, String)], sources: &[Source]) -> Vec<Violation> {
    let summary = pages.iter().find(|(path, _)| path == SUMMARY);
    let summary = summary.map(|(_, text)| text.as_str()).unwrap_or_default();
    let mut violations = Vec::new();
    for (path, text) in pages.iter().filter(|(path, _)| path != SUMMARY) {
        let in_book = path.trim_start_matches("docs/src/");
        if !summary.contains(&format!("({in_book})"))
            && !summary.contains(&format!("(./{in_book})"))
        {
            violations.push(Violation {
                path: path.clone(),
                line: 1,
                what: "a page that SUMMARY.md does not list".to_owned(),
                why: "what the summary does not list is not in the book",
            });
        }
        let example = text
            .lines()
            .position(|line| line.trim_start().starts_with("```rust"));
        if let Some(index) = example.filter(|_| !is_tested(path, sources)) {
            violations.push(Violation {
                path: path.clone(),
                line: index + 1,
                what: "a rust block that no crate includes".to_owned(),
                why: "an example that is not compiled is soon wrong: include the page as \
                      documentation under #[cfg(doctest)] in the crate that it shows",
            });
        }
    }
    violations
}

fn is_tested(page: &str, sources: &[Source]) -> bool {
    sources.iter().any(|source| source.text.contains(page))
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::source::Source;

    fn found(pages: &[(&str, &str)], source: &str) -> Vec<String> {
        let owned = |(path, text): &(&str, &str)| (format!("docs/src/{path}"), (*text).to_owned());
        let pages: Vec<_> = pages.iter().map(owned).collect();
        let sources = [Source::new("crates/x/src/lib.rs", source, true)];
        let violations = check(&pages, &sources).into_iter();
        violations
            .map(|violation| format!("{}:{}", violation.path, violation.line))
            .collect()
    }

    #[test]
    fn a_page_outside_of_the_summary_is_found() {
        let pages = [
            ("SUMMARY.md", "- [A](a.md)\n- [C](./c/d.md)"),
            ("a.md", ""),
            ("b.md", ""),
            ("c/d.md", ""),
        ];
        assert_eq!(found(&pages, ""), ["docs/src/b.md:1"]);
    }

    #[test]
    fn an_example_that_no_crate_includes_is_found() {
        let pages = [
            ("SUMMARY.md", "[A](a.md)"),
            ("a.md", "Text.\n\n```rust,no_run\n```\n"),
        ];
        assert_eq!(found(&pages, ""), ["docs/src/a.md:3"]);
        let included =
            r#"#[cfg(doctest)] #[doc = include_str!("../../../docs/src/a.md")] mod book {}"#;
        assert!(found(&pages, included).is_empty());
        let shell_only = [("SUMMARY.md", "[A](a.md)"), ("a.md", "```sh\n```\n")];
        assert!(found(&shell_only, "").is_empty());
    }
}
