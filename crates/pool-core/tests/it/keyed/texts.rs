use std::time::Duration;

use insta::assert_snapshot;

use super::Family;
use crate::scripted::{poll, ready};

#[test]
fn a_status_tells_what_there_is_over_all_keys_and_by_key() {
    let pool = Family::default().pool(3, 2);
    assert_snapshot!(pool.status(), @"0 of 3 slots; 0 waiting; 0 keys");
    let held = [7, 7, 8].map(|key| ready(pool.acquire(&key)).unwrap());
    let mut waiting = pool.acquire(&9);
    assert!(poll(&mut waiting).is_pending());
    let status = pool.status();
    assert_snapshot!(status, @"3 of 3 slots: 3 in use; 1 waiting; 3 keys");
    assert_snapshot!(status.keys[0], @"7: 2 of 2 slots: 2 in use; 0 waiting");
    assert_snapshot!(status.keys[2], @"9: 0 of 2 slots; 1 waiting");
    drop(waiting);
    drop(held);
    pool.close();
    assert_snapshot!(pool.status(), @"0 of 3 slots; 0 waiting, closed; 0 keys");
}

#[test]
fn a_failed_drain_names_the_key() {
    let pool = Family::default().pool(3, 2);
    let _held = ready(pool.acquire(&7)).unwrap();
    let error = pool.drain(Duration::ZERO).wait().unwrap_err().to_string();
    assert!(error.starts_with("not drained after "), "{error}");
    let held =
        " (1 of 3 slots: 1 in use; 0 waiting, closed; 1 key); held: 7: resource 1 in slot 0 for ";
    assert!(error.contains(held), "{error}");
}

#[test]
fn a_bad_limit_is_named_with_its_range() {
    let family = Family::default();
    let build = |total, per_key| {
        let builder = family.builder().max_total(total).max_per_key(per_key);
        builder.build().unwrap_err()
    };
    assert_snapshot!(build(0, 1), @"max_total is 0, allowed is 1 to 1048576");
    assert_snapshot!(build(1, 0), @"max_size is 0, allowed is 1 to 1048576");
}
