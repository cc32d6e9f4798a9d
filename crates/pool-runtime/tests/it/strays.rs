//! A runtime whose process is a subreaper finds what has hidden from its pool.

use std::time::Duration;

use pool_runtime::{Cgroups, Command, Config, Runtime};

use crate::alone::alone;

/// Leaves its session and clears its environment.
const HIDES: &str = "exec >/dev/null 2>&1
    setsid env -i /bin/sleep 61 &
    until [ \"$(tr '\\0' ' ' </proc/$!/cmdline)\" = '/bin/sleep 61 ' ]; do :; done";

#[test]
fn a_shutdown_kills_what_has_hidden() {
    alone("strays::a_shutdown_kills_what_has_hidden", || {
        let config = Config::new().cgroups(Cgroups::Off).subreaper(true);
        let runtime = Runtime::start(config).unwrap();
        let hides = Command::new("/bin/sh").args(["-c", HIDES]);
        let outcome = runtime.pool().run(hides).wait().unwrap();
        assert!(outcome.is_success(), "{outcome:?}");
        let report = runtime.shutdown(Duration::ZERO).wait();
        assert!(report.is_clean(), "{report}");
        let [stray] = &report.strays.killed[..] else {
            panic!("{report}");
        };
        assert_eq!(stray.command, "/bin/sleep 61");
        let text = report.to_string();
        let told = format!("  stray: {stray}, killed\nsurvivors: 0");
        assert!(text.ends_with(&told), "{text}");
        assert!(!std::path::Path::new(&format!("/proc/{}", stray.pid)).exists());
    });
}
