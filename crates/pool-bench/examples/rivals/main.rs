//! What goes wrong in other pools, run for real, and the same beside it in pool-core.
//!
//! ```text
//! cargo run -p pool-bench --example rivals
//! ```
//!
//! Each case has a thread and a runtime of its own, and some seconds: what has said nothing by then
//! hangs. Times in here are what a fault takes to show itself; nothing is measured.

mod case;
mod of_bb8;
mod of_deadpool;
mod of_mobc;
mod of_ours;
mod script;

use case::{Case, observe};

/// What goes wrong, in whose pool, and what is seen in it and in ours.
type Row = (&'static str, &'static str, Case, Case);

const ROWS: [Row; 17] = [
    (
        "4 slots, none made; resized to 2; all are taken",
        "deadpool",
        of_deadpool::shrunk,
        of_ours::shrunk,
    ),
    (
        "4 slots; resized to 2 and to 4, ten times; all are taken",
        "deadpool",
        of_deadpool::resized_often,
        of_ours::resized_often,
    ),
    (
        "retain's predicate panics once; then somebody acquires",
        "deadpool",
        of_deadpool::predicate_panics,
        of_ours::predicate_panics,
    ),
    (
        "a resource looks at its pool when it is dropped; the pool shrinks",
        "deadpool",
        of_deadpool::curious,
        of_ours::curious,
    ),
    (
        "8 idle, all of their checks hang; every timeout is 50 ms",
        "deadpool",
        of_deadpool::dead_resources,
        of_ours::dead_resources,
    ),
    (
        "what is done after a create hangs; every timeout is 50 ms",
        "deadpool",
        of_deadpool::hook_hangs,
        of_ours::create_hangs,
    ),
    (
        "one ended by a shrink, one by the drop of the pool: how many are told",
        "deadpool",
        of_deadpool::detached,
        of_ours::detached,
    ),
    (
        "2 slots, two creates panic; then somebody acquires",
        "bb8",
        of_bb8::creates_panic,
        of_ours::creates_panic,
    ),
    (
        "1 slot, the first create hangs; three acquire, one after the other",
        "bb8",
        of_bb8::create_hangs,
        of_ours::first_create_hangs,
    ),
    (
        "1 kept ready, idle for 50 ms at most, unused for a second: how many are made",
        "bb8",
        of_bb8::unused,
        of_ours::unused,
    ),
    (
        "a resource looks at its pool when it is dropped for having been idle",
        "bb8",
        of_bb8::curious,
        of_ours::curious_idle,
    ),
    (
        "a broken one is dropped on a thread without a runtime",
        "bb8",
        of_bb8::dropped_elsewhere,
        of_ours::dropped_elsewhere,
    ),
    (
        "five callers give up: how many still count as waiting",
        "bb8",
        of_bb8::given_up,
        of_ours::given_up,
    ),
    (
        "64 tasks on 1: the least turns of one, as a part of the mean",
        "bb8",
        of_bb8::turns,
        of_ours::turns,
    ),
    (
        "4 slots, none made; resized to 1; all are taken",
        "mobc",
        of_mobc::shrunk,
        of_ours::shrunk_to_one,
    ),
    (
        "one is dropped on a thread without a runtime",
        "mobc",
        of_mobc::dropped_elsewhere,
        of_ours::dropped_elsewhere,
    ),
    (
        "five callers give up: how many still count as waiting",
        "mobc",
        of_mobc::given_up,
        of_ours::given_up,
    ),
];

fn main() {
    // Panics are among what is looked for.
    std::panic::set_hook(Box::new(|_| {}));
    println!("| what is done | pool | there | pool-core |");
    println!("|---|---|---|---|");
    for (what, pool, theirs, ours) in ROWS {
        println!(
            "| {what} | {pool} | {} | {} |",
            observe(theirs),
            observe(ours)
        );
    }
}
