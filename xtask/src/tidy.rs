//! x
use crate::shell::Result;
use clap::Args;
/// x
#[derive(Debug, Default, Args)]
pub(crate) struct Options {}
pub(crate) fn run(_: &Options) -> Result {
    Ok(())
}
