//! What stands for [`seats`](crate::seats) in a build without keyed pools: a cap that is shared with nobody. It is
//! all constants, so that nothing of it is left in the code of a pool.

use crate::{
    effects::{Demand, Heir, Leaves},
    manager::Reason,
    upkeep::Place,
};

pub(crate) struct Seats;

/// There are no other pools.
#[derive(Debug)]
pub(crate) enum Elsewhere {}

impl Elsewhere {
    pub(crate) fn both(first: Option<Self>, _: Option<Self>) -> Option<Self> {
        first
    }

    pub(crate) fn carry_out(self, _: Place) {
        match self {}
    }
}

impl Seats {
    pub(crate) fn unshared() -> Self {
        Self
    }

    pub(crate) fn are_shared(&self) -> bool {
        false
    }

    pub(crate) fn are_pressed(&self) -> bool {
        false
    }

    pub(crate) fn next_id(&self) -> Option<u64> {
        None
    }

    pub(crate) fn settle(
        &mut self,
        _: usize,
        need: Demand,
        _: Leaves,
    ) -> (usize, Option<Elsewhere>) {
        (need.urgent + need.spare, None)
    }

    pub(crate) fn evicts(&mut self, _: u32, _: bool) -> Option<Reason> {
        None
    }

    pub(crate) fn vacated(&mut self, _: u32, _: Heir) {}
}
