//! What can go wrong, one enum per operation.

use std::{fmt, panic::Location, sync::Arc, time::Duration};

use crate::status::Status;

/// Why [`Pool::acquire`](crate::Pool::acquire) gave no resource.
///
/// # Examples
/// ```
/// use pool_core::AcquireError;
///
/// fn worth_another_try(error: &AcquireError<std::io::Error>) -> bool {
///     error.is_timeout() || error.is_saturated()
/// }
/// # assert!(!worth_another_try(&AcquireError::Closed));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcquireError<E> {
    /// The pool is closed.
    #[error("the pool is closed")]
    Closed,
    /// The manager's `create` failed.
    #[error("failed to create a resource")]
    Create(#[source] E),
    /// The manager's `create` panicked, with this message.
    #[error("creating a resource panicked: {0}")]
    CreatePanicked(Arc<str>),
    /// The queue is as long as it may get.
    #[error("the pool is saturated: {waiters} callers are waiting")]
    Saturated {
        /// How many callers were waiting.
        waiters: usize,
    },
    /// Creates have failed too often in a row to be tried at the moment, and nothing is idle:
    /// [`Limits::breaker_after`](crate::Limits::breaker_after).
    #[error("{0}")]
    CircuitOpen(Box<CircuitOpen>),
    /// The time was up.
    #[error("{0}")]
    Timeout(Box<AcquireTimeout>),
}

/// A time that was up, and what the pool looked like then. In a box, because what an acquire returns is copied
/// on the way, its error's room included.
///
/// # Examples
/// ```
/// use pool_core::{AcquireError, Phase};
///
/// fn hint(error: &AcquireError<std::io::Error>) -> Option<&'static str> {
///     match error {
///         AcquireError::Timeout(timeout) if timeout.phase == Phase::Wait => Some("a larger pool"),
///         _ => None,
///     }
/// }
/// # assert!(hint(&AcquireError::Closed).is_none());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AcquireTimeout {
    /// What was going on when the time was up.
    pub phase: Phase,
    /// How long this caller had waited.
    pub waited: Duration,
    /// The pool at that instant.
    pub status: Status,
    /// What the last create said, if it failed and none has succeeded since: often the real cause.
    pub last_create_error: Option<Arc<str>>,
}

impl fmt::Display for AcquireTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (waited, phase, status) = (self.waited, self.phase, self.status);
        let cause = Trailing(&self.last_create_error);
        write!(f, "timed out after {waited:?} {phase} ({status}){cause}")
    }
}

/// A circuit that is open: creates are not tried for a while. In a box, as [`AcquireTimeout`] is.
///
/// # Examples
/// ```
/// use pool_core::AcquireError;
/// use std::time::Duration;
///
/// fn retry_after(error: &AcquireError<std::io::Error>) -> Option<Duration> {
///     match error {
///         AcquireError::CircuitOpen(circuit) => Some(circuit.retry_after),
///         _ => None,
///     }
/// }
/// # assert!(retry_after(&AcquireError::Closed).is_none());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CircuitOpen {
    /// When the next create is tried.
    pub retry_after: Duration,
    /// What the last create said.
    pub last_create_error: Option<Arc<str>>,
}

impl fmt::Display for CircuitOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (after, cause) = (self.retry_after, Trailing(&self.last_create_error));
        write!(
            f,
            "creating resources has failed too often: tried again in {after:?}{cause}"
        )
    }
}

/// The optional end of a message.
struct Trailing<'a>(&'a Option<Arc<str>>);

impl fmt::Display for Trailing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(cause) => write!(f, "; the last create failed: {cause}"),
            None => Ok(()),
        }
    }
}

impl<E> AcquireError<E> {
    /// Whether the pool is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed)
    }

    /// Whether the time was up.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout(_))
    }

    /// Whether creates are not tried at the moment.
    #[must_use]
    pub fn is_circuit_open(&self) -> bool {
        matches!(self, Self::CircuitOpen(_))
    }

    /// Whether the queue was full.
    #[must_use]
    pub fn is_saturated(&self) -> bool {
        matches!(self, Self::Saturated { .. })
    }
}

/// Why [`Pool::warm_up`](crate::Pool::warm_up) ended before so many resources existed. Those that were made stay.
///
/// # Examples
/// ```
/// # use pool_core::{CreateCx, Manager, Pool};
/// # struct Numbers;
/// # impl Manager for Numbers {
/// #     type Resource = u32;
/// #     type Error = std::convert::Infallible;
/// #     async fn create(&self, _: &CreateCx) -> Result<u32, Self::Error> { Ok(7) }
/// # }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use pool_core::WarmUpError;
///
/// let pool = Pool::builder(Numbers).max_size(4).build()?;
/// let error = pool.warm_up(5).wait().unwrap_err();
/// assert!(matches!(error, WarmUpError::TooMany { wanted: 5, max_size: 4 }));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WarmUpError<E> {
    /// The pool is closed.
    #[error("the pool is closed")]
    Closed,
    /// More than may exist.
    #[error("{wanted} resources were asked for, and at most {max_size} may exist")]
    TooMany {
        /// How many were asked for.
        wanted: usize,
        /// How many may exist: [`Limits::max_size`](crate::Limits::max_size).
        max_size: usize,
    },
    /// The manager's `create` failed.
    #[error("failed to create a resource")]
    Create(#[source] E),
    /// The manager's `create` panicked, with this message.
    #[error("creating a resource panicked: {0}")]
    CreatePanicked(Arc<str>),
    /// Creates have failed too often in a row to be tried at the moment:
    /// [`Limits::breaker_after`](crate::Limits::breaker_after).
    #[error("{0}")]
    CircuitOpen(Box<CircuitOpen>),
    /// The time was up, for all of it or for one create.
    #[error("{0}")]
    Timeout(Box<AcquireTimeout>),
}

impl<E> WarmUpError<E> {
    /// Whether the pool is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed)
    }

    /// Whether the time was up.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout(_))
    }

    /// Whether creates are not tried at the moment.
    #[must_use]
    pub fn is_circuit_open(&self) -> bool {
        matches!(self, Self::CircuitOpen(_))
    }
}

/// What an acquire was doing when its time was up.
///
/// # Examples
/// ```
/// use pool_core::Phase;
///
/// assert_eq!(Phase::Wait.to_string(), "waiting for a slot");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// In the queue for a return.
    Wait,
    /// First in the queue for a create that is under way.
    Create,
    /// Checking a reused resource.
    Recycle,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wait => "waiting for a slot",
            Self::Create => "waiting for a resource to be created",
            Self::Recycle => "checking a reused resource",
        })
    }
}

/// A setting that is out of its range.
///
/// # Examples
/// ```
/// use pool_core::ConfigError;
///
/// let error = ConfigError::new("workers", 0, "1 to 64");
/// assert_eq!(error.field(), "workers");
/// assert_eq!(error.to_string(), "workers is 0, allowed is 1 to 64");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value}, allowed is {allowed}")]
pub struct ConfigError {
    field: &'static str,
    value: String,
    allowed: &'static str,
}

impl ConfigError {
    /// The setting `field` has this value, and these are allowed.
    pub fn new(field: &'static str, value: impl fmt::Display, allowed: &'static str) -> Self {
        Self {
            field,
            value: value.to_string(),
            allowed,
        }
    }

    /// The name of the setting.
    #[must_use]
    pub fn field(&self) -> &'static str {
        self.field
    }

    /// The allowed range, in words.
    #[must_use]
    pub fn allowed(&self) -> &'static str {
        self.allowed
    }
}

/// The deadline of [`Pool::drain`](crate::Pool::drain) passed before everything had come back.
/// The pool stays closed; draining again is allowed.
///
/// # Examples
/// ```
/// # use pool_core::{CreateCx, Manager, Pool};
/// # struct Numbers;
/// # impl Manager for Numbers {
/// #     type Resource = u32;
/// #     type Error = std::convert::Infallible;
/// #     async fn create(&self, _: &CreateCx) -> Result<u32, Self::Error> { Ok(7) }
/// # }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = Pool::new(Numbers);
/// let _held = pool.acquire_blocking()?;
/// let error = pool.drain(std::time::Duration::ZERO).wait().unwrap_err();
/// for holder in &error.holders {
///     eprintln!("{holder}");
/// }
/// assert_eq!(error.status.in_use, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[error("not drained after {waited:?} ({status}){}", Held(holders))]
#[non_exhaustive]
pub struct DrainError {
    /// How long the drain waited.
    pub waited: Duration,
    /// The pool at that instant.
    pub status: Status,
    /// Who still holds what, by slot.
    pub holders: Vec<Holder>,
}

/// The optional end of the drain message.
struct Held<'a>(&'a [Holder]);

impl fmt::Display for Held<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "; held: ";
        for holder in self.0 {
            write!(f, "{separator}{holder}")?;
            separator = ", ";
        }
        Ok(())
    }
}

/// One resource that a caller holds.
///
/// # Examples
/// ```
/// # use pool_core::{CreateCx, Manager, Pool};
/// # struct Numbers;
/// # impl Manager for Numbers {
/// #     type Resource = u32;
/// #     type Error = std::convert::Infallible;
/// #     async fn create(&self, _: &CreateCx) -> Result<u32, Self::Error> { Ok(7) }
/// # }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = Pool::new(Numbers);
/// let _held = pool.acquire_blocking()?;
/// let error = pool.drain(std::time::Duration::ZERO).wait().unwrap_err();
/// assert_eq!(error.holders[0].acquired_at.file(), file!());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// Which resource: a number that the pool never gives twice.
    pub id: u64,
    /// Which slot: below the pool's largest size so far.
    pub index: usize,
    /// For how long it has been held; in a busy pool give or take 100 ms.
    pub held_for: Duration,
    /// The line of code that acquired it.
    pub acquired_at: &'static Location<'static>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            id,
            index,
            held_for,
            acquired_at,
        } = self;
        write!(
            f,
            "resource {id} in slot {index} for {held_for:?}, acquired at {acquired_at}"
        )
    }
}
