//! As whom a child runs.

/// As whom a child runs, where that is not as the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub(crate) struct Identity {
    pub(crate) user: Option<u32>,
    pub(crate) group: Option<u32>,
    pub(crate) umask: Option<u32>,
}

impl Identity {
    pub(crate) fn is_hosts(&self) -> bool {
        *self == Self::default()
    }
}
