//! A Rust file as the rules see it: its code without comments and literals, and which lines of it
//! are tests.
//!
//! Not a parser: it knows just enough of the tokens to tell code from the rest.

/// One file.
#[derive(Debug)]
pub(super) struct Source {
    /// From the root, with slashes.
    pub(super) path: String,
    /// The file as it is.
    pub(super) text: String,
    /// The same lines, with each character of a comment or of the inside of a literal blanked.
    pub(super) code: String,
    /// Whether it is part of a library that we publish, and not of its tests.
    pub(super) published: bool,
    /// The lines (from 1) of items under a `cfg` with `test`, as first and last.
    tests: Vec<(usize, usize)>,
}

impl Source {
    pub(super) fn new(path: &str, text: &str, published: bool) -> Self {
        let code = without_comments_and_literals(text);
        let tests = test_items(&code);
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code,
            published: published && !is_of_tests(path),
            tests,
        }
    }

    /// Whether this line (from 1) belongs to tests.
    pub(super) fn is_test(&self, line: usize) -> bool {
        !self.published
            || self
                .tests
                .iter()
                .any(|(first, last)| (*first..=*last).contains(&line))
    }

    /// Whether the file is this one, or below a folder of this name.
    pub(super) fn is_at(&self, place: &str) -> bool {
        self.path == place
            || self
                .path
                .split('/')
                .rev()
                .skip(1)
                .any(|folder| folder == place)
    }

    /// The lines of code, numbered from 1.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
    }

    /// Where this word stands in the code, as (line, what is before it, what is after it).
    pub(super) fn places_of<'a>(&'a self, word: &'a str) -> impl Iterator<Item = Place<'a>> {
        let starts = self.code.match_indices(word).map(|(start, _)| start);
        let places = starts.map(move |start| Place {
            line: line_of(&self.code, start),
            before: &self.code[..start],
            after: &self.code[start + word.len()..],
        });
        places.filter(|place| {
            !place.before.ends_with(is_of_word) && !place.after.starts_with(is_of_word)
        })
    }
}

/// A word in the code, with what surrounds it.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) line: usize,
    pub(super) before: &'a str,
    pub(super) after: &'a str,
}

/// The words of a piece of code.
pub(super) fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c| !is_of_word(c))
        .filter(|word| !word.is_empty())
}

/// What stands between the bracket that `code` begins with and its partner.
pub(super) fn bracketed(code: &str) -> Option<&str> {
    let mut depth = 0_usize;
    for (index, c) in code.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return code.get(1..index);
        }
    }
    None
}

/// Whether the file is a module of tests by its name, or by that of its folder.
fn is_of_tests(path: &str) -> bool {
    let mut names = path.trim_end_matches(".rs").split('/');
    names.any(|name| name == "tests" || name.ends_with("_tests"))
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn line_of(code: &str, position: usize) -> usize {
    code[..position].matches('\n').count() + 1
}

/// Finds `#[cfg(…test…)]` and the item that follows: to its closing brace or semicolon.
fn test_items(code: &str) -> Vec<(usize, usize)> {
    let mut items = Vec::new();
    for (start, attribute) in code.match_indices("#[cfg(") {
        let Some(condition) = bracketed(&code[start + attribute.len() - 1..]) else {
            continue;
        };
        if !words(condition).any(|word| word == "test") || condition.contains("not(test)") {
            continue;
        }
        let item = start + attribute.len() + condition.len();
        let Some(stop) = code[item..].find(['{', ';']).map(|offset| item + offset) else {
            continue;
        };
        let body = bracketed(&code[stop..]).filter(|_| code[stop..].starts_with('{'));
        let end = stop + body.map_or(0, |body| body.len() + 1);
        items.push((line_of(code, start), line_of(code, end)));
    }
    items
}

fn without_comments_and_literals(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = comment(rest)
            .or_else(|| literal(rest, &code))
            .filter(|length| *length > 0);
        if let Some(length) = skipped {
            code.extend(rest[..length].chars().map(blank));
            rest = &rest[length..];
        } else {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    code
}

fn blank(c: char) -> char {
    if c == '\n' { '\n' } else { ' ' }
}

/// The length of the comment that `rest` begins with.
fn comment(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if !rest.starts_with("/*") {
        return None;
    }
    // They nest.
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        let here = &rest[at..];
        if here.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += here.chars().next().map_or(1, char::len_utf8);
        }
    }
    Some(rest.len())
}

/// The length of the string or character that `rest` begins with; `code` is what came before.
fn literal(rest: &str, code: &str) -> Option<usize> {
    if let Some(inside) = rest.strip_prefix('"') {
        return Some(1 + quoted(inside, '"'));
    }
    if let Some(inside) = rest.strip_prefix('\'') {
        // 'a' and '\n' are characters, 'a and 'static are lifetimes.
        let mut chars = inside.chars();
        let (first, second) = (chars.next()?, chars.next());
        let is_char = first == '\\' || second == Some('\'');
        return is_char.then(|| 1 + quoted(inside, '\''));
    }
    let is_raw = rest.starts_with("r\"") || rest.starts_with("r#");
    // The prefix of `br"` and `cr"` is left as code, which harms no rule.
    let prefixed = code.ends_with(['b', 'c']);
    if !is_raw || (code.ends_with(is_of_word) && !prefixed) {
        return None;
    }
    let fence = rest[1..].find(|c| c != '#')?;
    // r#name is a word, no string.
    let inside = rest[1 + fence..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(fence));
    let length = inside.find(&end).map_or(inside.len(), |at| at + end.len());
    Some(1 + fence + 1 + length)
}

/// The length up to and with the closing quote.
fn quoted(inside: &str, quote: char) -> usize {
    let mut escaped = false;
    for (index, c) in inside.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return index + c.len_utf8(),
            _ => {}
        }
    }
    inside.len()
}

#[cfg(test)]
mod tests {
    use super::{Source, bracketed, without_comments_and_literals};

    #[test]
    fn comments_and_literals_are_blanked_and_nothing_else() {
        let text = r###"a // unsafe
b /* x /* unsafe */ y
unsafe */ c
d("unsafe \" unsafe", 'u', '\'', b"unsafe", r#"un"safe"#, br"unsafe")
e<'static>(r#type)"###;
        let code = without_comments_and_literals(text);
        assert_eq!(code.lines().count(), text.lines().count());
        assert_eq!(code.len(), text.len());
        let words: Vec<_> = super::words(&code).collect();
        assert_eq!(
            words,
            ["a", "b", "c", "d", "b", "b", "e", "static", "r", "type"]
        );
    }

    #[test]
    fn items_under_cfg_test_are_tests() {
        let text = "\
fn a() {}
#[cfg(all(test, not(loom)))]
mod tests {
    fn b() { c() }
}
#[cfg(test)]
use d;
fn e() {}
#[cfg(not(test))]
fn f() {}
";
        let source = Source::new("crates/x/src/lib.rs", text, true);
        let tests: Vec<_> = (1..=10).filter(|line| source.is_test(*line)).collect();
        assert_eq!(tests, [2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn a_file_of_tests_is_known_by_its_name() {
        for path in [
            "src/ledger/tests.rs",
            "src/tests/queue.rs",
            "src/loom_tests.rs",
        ] {
            assert!(Source::new(path, "x", true).is_test(1), "{path}");
        }
        assert!(!Source::new("src/contests.rs", "x", true).is_test(1));
    }

    #[test]
    fn a_word_is_not_found_inside_another() {
        let source = Source::new("x.rs", "unsafe_code\nan unsafe word\nmy_unsafe", true);
        let lines: Vec<_> = source.places_of("unsafe").map(|place| place.line).collect();
        assert_eq!(lines, [2]);
    }

    #[test]
    fn brackets_are_matched_to_their_partner() {
        assert_eq!(bracketed("(a(b)[c]) d"), Some("a(b)[c]"));
        assert_eq!(bracketed("(a"), None);
    }

    #[test]
    fn a_place_is_a_file_or_a_folder() {
        let source = Source::new("crates/x/src/sys/linux.rs", "", true);
        assert!(source.is_at("sys"));
        assert!(source.is_at("crates/x/src/sys/linux.rs"));
        assert!(!source.is_at("linux.rs"));
    }
}
