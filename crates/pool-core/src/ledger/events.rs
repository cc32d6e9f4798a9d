//! What can happen to a ledger, at random: for its model. A number says which of those that there are.

use proptest::prelude::*;

use super::turns::need;
use crate::{effects::Need, limits::Order, queue::Priority};

#[derive(Clone, Debug)]
pub(super) enum Event {
    Acquire(Priority, Need),
    TryAcquire,
    Take,
    Put(usize),
    Collect(usize),
    Cancel(usize),
    Return(usize),
    Discard(usize),
    Detach(usize),
    Pause(usize),
    Resume(usize),
    Created(usize),
    CreateFailed(usize),
    CreateLost(usize),
    Destroyed(usize),
    WarmUp(usize),
    LeaveWarmUp(usize),
    Resize(usize),
    Reorder(Order),
    Refresh,
    Expire,
    Pass,
    Close,
}

pub(super) fn event() -> impl Strategy<Value = Event> {
    let n = 0..16_usize;
    let priority = prop_oneof![1 => Just(Priority::Low), 4 => Just(Priority::Normal), 1 => Just(Priority::High)];
    prop_oneof![
        6 => (priority, need()).prop_map(|(priority, need)| Event::Acquire(priority, need)),
        1 => Just(Event::TryAcquire),
        4 => Just(Event::Take),
        4 => n.clone().prop_map(Event::Put),
        4 => n.clone().prop_map(Event::Collect),
        2 => n.clone().prop_map(Event::Cancel),
        4 => n.clone().prop_map(Event::Return),
        1 => n.clone().prop_map(Event::Discard),
        1 => n.clone().prop_map(Event::Detach),
        1 => n.clone().prop_map(Event::Pause),
        1 => n.clone().prop_map(Event::Resume),
        4 => n.clone().prop_map(Event::Created),
        1 => n.clone().prop_map(Event::CreateFailed),
        1 => n.clone().prop_map(Event::CreateLost),
        3 => n.clone().prop_map(Event::Destroyed),
        1 => (1..6_usize).prop_map(Event::WarmUp),
        1 => n.clone().prop_map(Event::LeaveWarmUp),
        1 => (1..6_usize).prop_map(Event::Resize),
        1 => prop_oneof![Just(Order::Hot), Just(Order::Rotate)].prop_map(Event::Reorder),
        1 => Just(Event::Refresh),
        1 => Just(Event::Expire),
        2 => Just(Event::Pass),
        1 => Just(Event::Close),
    ]
}
