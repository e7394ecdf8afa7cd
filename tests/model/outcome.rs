//! What a poll answers, in a form that can be compared.

use std::any::Any;
use std::io::{self, ErrorKind};
use std::task::Poll;

use super::plan::Ms;
use super::support;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PollOutcome {
    Pending,
    /// The end of the stream if empty.
    Read(Vec<u8>),
    Wrote(usize),
    Done,
    Generation(u64),
    Failed(Failure),
    /// The connector's own panic.
    Panicked,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub kind: ErrorKind,
    pub inner: Inner,
}

/// What the error contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inner {
    Nothing,
    Lost(Loss),
    GaveUp { attempts: u32, outage: Ms },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    pub generation: u64,
    pub cause: ErrorKind,
}

impl Failure {
    pub fn plain(kind: ErrorKind) -> Self {
        let inner = Inner::Nothing;
        Self { kind, inner }
    }

    pub fn lost(kind: ErrorKind, loss: Loss) -> Self {
        let inner = Inner::Lost(loss);
        Self { kind, inner }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let kind = error.kind();
        if let Some(lost) = support::lost(&error) {
            let (generation, cause) = (lost.generation, lost.cause.kind());
            return Self::lost(kind, Loss { generation, cause });
        }
        support::gave_up(&error).map_or(Self::plain(kind), |gave_up| {
            assert_eq!(gave_up.last_error.kind(), kind);
            let inner = Inner::GaveUp {
                attempts: gave_up.attempts,
                outage: ms(gave_up.outage),
            };
            Self { kind, inner }
        })
    }
}

impl PollOutcome {
    /// `None` for `Pending`.
    pub fn of<T>(poll: Poll<io::Result<T>>, ready: impl FnOnce(T) -> Self) -> Poll<Self> {
        poll.map(|result| result.map_or_else(|error| Self::Failed(error.into()), ready))
    }

    /// # Panics
    ///
    /// If the panic was not in the script.
    pub fn of_panic(panic: &(dyn Any + Send)) -> Self {
        let message = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("a panic without a message");
        assert!(message.contains("scripted"), "a poll panicked: {message}");
        Self::Panicked
    }
}

pub fn ms(duration: std::time::Duration) -> Ms {
    assert_eq!(duration.subsec_nanos() % 1_000_000, 0, "not on the grid");
    Ms::try_from(duration.as_millis()).unwrap()
}
