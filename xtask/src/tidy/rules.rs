//! The rules for Rust files.

use super::Violation;
use super::source::{Place, Source, bracketed, words};

/// A rule finds the lines that break it, each with what stands there.
struct Rule {
    find: fn(&Source) -> Vec<(usize, String)>,
    why: &'static str,
}

const RULES: [Rule; 9] = [
    Rule {
        find: unsafe_code,
        why: "unsafe is only in sys/ and in the slots of pool-core: whoever reviews it looks there",
    },
    Rule {
        find: platform_switches,
        why: "what differs between systems lies behind one facade, sys/ (and signal.rs): the \
              logic above it is written, and tested, once",
    },
    Rule {
        find: statics,
        why: "only pool-runtime/src/global.rs has a static: every other pool is a value, which \
              tests can have many of; and pool-core/src/detour.rs, which knows of threads and no pool",
    },
    Rule {
        find: process_starts,
        why: "only tree.rs and sys/ start processes: what starts elsewhere is held by no slot and \
              killed by no deadline",
    },
    Rule {
        find: allow_attributes,
        why: "say #[expect(lint, reason = \"…\")], which tells when it is no longer needed",
    },
    Rule {
        find: unfinished_code,
        why: "what is here is finished: what is not is left out",
    },
    Rule {
        find: empty_names,
        why: "a module is a noun that says what it owns",
    },
    Rule {
        find: test_prefixes,
        why: "a test is named as the fact that it shows: the attribute says that it is a test",
    },
    Rule {
        find: length,
        why: "at 300 lines of code ask which second noun lives in the file; 500 is the end",
    },
];

/// The lines of code (neither blank nor comment) that a file may have.
const LENGTH: usize = 500;

/// Names of modules that say nothing.
const EMPTY_NAMES: [&str; 8] = [
    "util", "utils", "helper", "helpers", "common", "inner", "imp", "misc",
];

pub(super) fn check(source: &Source) -> Vec<Violation> {
    let violation = |why: &'static str| {
        move |(line, what): (usize, String)| Violation {
            path: source.path.clone(),
            line,
            what,
            why,
        }
    };
    RULES
        .iter()
        .flat_map(|rule| (rule.find)(source).into_iter().map(violation(rule.why)))
        .collect()
}

fn unsafe_code(source: &Source) -> Vec<(usize, String)> {
    if in_sys(source) || source.is_at("crates/pool-core/src/slots.rs") {
        return Vec::new();
    }
    source
        .places_of("unsafe")
        .map(|place| (place.line, "unsafe".to_owned()))
        .collect()
}

fn platform_switches(source: &Source) -> Vec<(usize, String)> {
    if in_sys(source) || source.is_at("crates/pool-runtime/src/signal.rs") {
        return Vec::new();
    }
    let platforms = ["unix", "windows", "target_os", "target_family"];
    let switches = ["cfg", "cfg_attr"]
        .into_iter()
        .flat_map(|word| source.places_of(word));
    switches
        .filter(|place| !source.is_test(place.line))
        .filter_map(|place| Some((place.line, condition(&place)?)))
        .filter(|(_, condition)| !words(condition).any(|word| word == "test"))
        .filter(|(_, condition)| words(condition).any(|word| platforms.contains(&word)))
        .map(|(line, condition)| (line, format!("cfg({})", condition.trim())))
        .collect()
}

fn statics(source: &Source) -> Vec<(usize, String)> {
    let knows = [
        "crates/pool-runtime/src/global.rs",
        "crates/pool-core/src/detour.rs",
    ];
    if knows.iter().any(|file| source.is_at(file)) {
        return Vec::new();
    }
    let is_lifetime = |place: &Place<'_>| place.before.ends_with('\'');
    // A C library's, which is declared here and lives there.
    let is_foreign = |place: &Place<'_>| {
        let block = place.before.rfind("extern").map(|at| &place.before[at..]);
        block.is_some_and(|block| block.contains('{') && !block.contains('}'))
    };
    ["static", "thread_local"]
        .into_iter()
        .flat_map(|word| source.places_of(word).map(move |place| (word, place)))
        .filter(|(_, place)| !is_lifetime(place) && !is_foreign(place))
        .filter(|(_, place)| !source.is_test(place.line))
        .map(|(word, place)| (place.line, word.to_owned()))
        .collect()
}

fn process_starts(source: &Source) -> Vec<(usize, String)> {
    if in_sys(source) || source.is_at("crates/pool-subprocess/src/tree.rs") {
        return Vec::new();
    }
    source
        .places_of("process")
        .filter(|place| !source.is_test(place.line))
        .filter(|place| {
            let path = place.after.strip_prefix("::").unwrap_or_default();
            let list = bracketed(path).filter(|_| path.starts_with('{'));
            let mut named = words(list.unwrap_or(path));
            match list {
                Some(_) => named.any(|word| word == "Command"),
                None => named.next() == Some("Command") && path.starts_with("Command"),
            }
        })
        .map(|place| (place.line, "process::Command".to_owned()))
        .collect()
}

fn allow_attributes(source: &Source) -> Vec<(usize, String)> {
    let is_attribute = |place: &Place<'_>| {
        // Either `[allow(` or, further into an attribute, `cfg_attr(condition, allow(`.
        let attribute = place.before.rsplit(['\n', ']']).next().unwrap_or_default();
        let opens = place.before.ends_with('[') || attribute.contains("cfg_attr(");
        opens && place.after.starts_with('(')
    };
    source
        .places_of("allow")
        .filter(is_attribute)
        .map(|place| (place.line, "#[allow(…)]".to_owned()))
        .collect()
}

fn unfinished_code(source: &Source) -> Vec<(usize, String)> {
    ["todo", "unimplemented", "dbg"]
        .into_iter()
        .flat_map(|word| source.places_of(word).map(move |place| (word, place)))
        .filter(|(_, place)| place.after.starts_with('!'))
        .map(|(word, place)| (place.line, format!("{word}!")))
        .collect()
}

fn empty_names(source: &Source) -> Vec<(usize, String)> {
    let path = source.path.trim_end_matches(".rs").split('/');
    let of_path = path
        .filter(|name| EMPTY_NAMES.contains(name))
        .map(|name| (1, name.to_owned()));
    let of_mods = source.places_of("mod").filter_map(|place| {
        let name = words(place.after).next()?;
        EMPTY_NAMES
            .contains(&name)
            .then(|| (place.line, name.to_owned()))
    });
    of_path.chain(of_mods).collect()
}

fn test_prefixes(source: &Source) -> Vec<(usize, String)> {
    source
        .places_of("fn")
        .filter_map(|place| {
            let name = words(place.after)
                .next()
                .filter(|name| name.starts_with("test_"))?;
            let attributes = place
                .before
                .rsplit(['}', ';', '{'])
                .next()
                .unwrap_or_default();
            let is_test = words(attributes).any(|word| word == "test");
            is_test.then(|| (place.line, name.to_owned()))
        })
        .collect()
}

fn length(source: &Source) -> Vec<(usize, String)> {
    let mut lines = source.lines().filter(|(_, line)| !line.trim().is_empty());
    let count = source
        .lines()
        .filter(|(_, line)| !line.trim().is_empty())
        .count();
    lines
        .nth(LENGTH)
        .map(|(line, _)| (line, format!("{count} lines of code")))
        .into_iter()
        .collect()
}

fn in_sys(source: &Source) -> bool {
    source.is_at("sys") || source.path.ends_with("/sys.rs")
}

/// What stands in the parentheses of a `cfg`, as an attribute or as a macro.
fn condition(place: &Place<'_>) -> Option<String> {
    let after = place.after.strip_prefix('!').unwrap_or(place.after);
    let condition = bracketed(after).filter(|_| after.starts_with('('))?;
    Some(on_one_line(condition))
}

fn on_one_line(code: &str) -> String {
    code.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{LENGTH, check};
    use crate::tidy::source::Source;

    const LIBRARY: &str = "crates/pool-core/src/pool.rs";

    /// What the rules find in a file of a published library.
    fn found(path: &str, text: &str) -> Vec<(usize, String)> {
        of(&Source::new(path, text, true))
    }

    fn of(source: &Source) -> Vec<(usize, String)> {
        let violations = check(source).into_iter();
        violations
            .map(|violation| (violation.line, violation.what))
            .collect()
    }

    fn one(line: usize, what: &str) -> Vec<(usize, String)> {
        vec![(line, what.to_owned())]
    }

    #[test]
    fn unsafe_is_found_outside_of_sys_and_slots() {
        let text = "// unsafe in a comment\nfn f() { unsafe { g() } }";
        assert_eq!(found(LIBRARY, text), one(2, "unsafe"));
        assert_eq!(found("crates/pool-core/src/slots.rs", text), []);
        assert_eq!(found("crates/pool-subprocess/src/sys/linux.rs", text), []);
        let in_tests = "#[cfg(test)]\nmod tests { fn f() { unsafe { g() } } }";
        assert_eq!(found(LIBRARY, in_tests), one(2, "unsafe"));
    }

    #[test]
    fn platform_switches_are_found_outside_of_sys_and_signal() {
        assert_eq!(
            found(LIBRARY, "#[cfg(unix)]\nfn f() {}"),
            one(1, "cfg(unix)")
        );
        assert_eq!(
            found(
                LIBRARY,
                "\n#[cfg(all(\n    windows,\n    not(loom)\n))]\nfn f() {}"
            ),
            one(2, "cfg(all( windows, not(loom) ))")
        );
        let in_macro = "fn f() { if cfg!(target_os = \"linux\") {} }";
        assert_eq!(found(LIBRARY, in_macro).len(), 1);
        assert_eq!(
            found(LIBRARY, "#[cfg_attr(unix, path = \"x\")]\nmod x;").len(),
            1
        );
        assert_eq!(found(LIBRARY, "#[cfg(loom)]\nfn unix() {}"), []);
        assert_eq!(found(LIBRARY, "#[cfg(all(test, unix))]\nmod tests {}"), []);
        assert_eq!(
            found(
                "crates/pool-runtime/src/signal.rs",
                "#[cfg(unix)]\nfn f() {}"
            ),
            []
        );
        // A module of the same name elsewhere is no excuse.
        assert_eq!(
            found("crates/pool-core/src/signal.rs", "#[cfg(unix)]\nfn f() {}").len(),
            1
        );
    }

    #[test]
    fn statics_are_found_and_lifetimes_are_not() {
        assert_eq!(found(LIBRARY, "static A: u8 = 0;"), one(1, "static"));
        assert_eq!(found(LIBRARY, "thread_local! {}"), one(1, "thread_local"));
        assert_eq!(
            found(LIBRARY, "fn f(a: &'static str) where T: 'static {}"),
            []
        );
        let foreign = "crates/pool-subprocess/src/sys/linux.rs";
        let declaration = "unsafe extern \"C\" { static environ: *const c_char; }";
        assert_eq!(found(foreign, declaration), []);
        let own = "unsafe extern \"C\" { fn f(); }\nstatic A: [u8; 4] = [0; 4];";
        assert_eq!(found(foreign, own), one(2, "static"));
        assert_eq!(
            found("crates/pool-runtime/src/global.rs", "static A: u8 = 0;"),
            []
        );
        assert_eq!(
            found(LIBRARY, "#[cfg(test)]\nmod tests { static A: u8 = 0; }"),
            []
        );
        assert_eq!(
            of(&Source::new("xtask/src/x.rs", "static A: u8 = 0;", false)),
            []
        );
    }

    #[test]
    fn process_starts_are_found_outside_of_tree() {
        let direct = "use std::process::Command;";
        assert_eq!(found(LIBRARY, direct), one(1, "process::Command"));
        assert_eq!(
            found(LIBRARY, "use std::process::{ExitStatus, Command};").len(),
            1
        );
        assert_eq!(
            found(LIBRARY, "fn f(c: tokio::process::Command) {}").len(),
            1
        );
        assert_eq!(found(LIBRARY, "use std::process::{ExitStatus, Stdio};"), []);
        assert_eq!(
            found(LIBRARY, "use std::process::ExitStatus; use x::Command;"),
            []
        );
        assert_eq!(found(LIBRARY, "use pool_subprocess::Command;"), []);
        assert_eq!(found("crates/pool-subprocess/src/tree.rs", direct), []);
    }

    #[test]
    fn allow_attributes_are_found_everywhere() {
        assert_eq!(
            found(LIBRARY, "#![allow(dead_code)]"),
            one(1, "#[allow(…)]")
        );
        assert_eq!(
            found(LIBRARY, "\n#[cfg_attr(loom, allow(dead_code))]"),
            one(2, "#[allow(…)]")
        );
        assert_eq!(found(LIBRARY, "fn f() { policy.allow(x); }"), []);
        let test = Source::new("crates/x/tests/it/main.rs", "#[allow(dead_code)]", false);
        assert_eq!(of(&test).len(), 1);
    }

    #[test]
    fn unfinished_code_is_found() {
        let text = "fn f() { todo!() }\nfn g() { unimplemented!() }\nfn h() { dbg!(1); }";
        let lines: Vec<_> = found(LIBRARY, text)
            .into_iter()
            .map(|(line, _)| line)
            .collect();
        assert_eq!(lines, [1, 2, 3]);
        assert_eq!(found(LIBRARY, "fn todo() {}"), []);
    }

    #[test]
    fn empty_names_are_found_in_paths_and_modules() {
        assert_eq!(found("crates/pool-core/src/util.rs", ""), one(1, "util"));
        assert_eq!(
            found("crates/pool-core/src/common/x.rs", ""),
            one(1, "common")
        );
        assert_eq!(found(LIBRARY, "\nmod helpers;"), one(2, "helpers"));
        assert_eq!(found(LIBRARY, "mod utility_room;"), []);
    }

    #[test]
    fn a_test_prefix_is_found_on_tests_alone() {
        let text = "#[tokio::test(start_paused = true)]\nasync fn test_it() {}";
        assert_eq!(found(LIBRARY, text), one(2, "test_it"));
        assert_eq!(found(LIBRARY, "#[test]\nfn it_holds() {}"), []);
        assert_eq!(
            found(LIBRARY, "#[test]\nfn it_holds() {}\nfn test_bench() {}"),
            []
        );
    }

    #[test]
    fn a_file_is_too_long_by_its_code_alone() {
        let code = "fn f() {}\n".repeat(LENGTH);
        let comments = "// why\n\n".repeat(LENGTH);
        assert_eq!(found(LIBRARY, &format!("{comments}{code}")), []);
        let longer = format!("{code}fn g() {{}}\n");
        assert_eq!(found(LIBRARY, &longer), one(501, "501 lines of code"));
    }
}
