//! The state of a stream, as the reference has it and as handles observe it.

use reconnecting_stream::State;

use super::outcome::{Failure, ms};
use super::plan::Ms;
use super::support::Outcome;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnState {
    Connected {
        generation: u64,
        since: Ms,
    },
    Backoff {
        attempt: u32,
        delay: Ms,
        due: Ms,
        /// Even without a delay the task yields, once.
        has_to_yield: bool,
    },
    Connecting {
        attempt: u32,
        began: Ms,
        limit: Ms,
        outcome: Outcome,
    },
    GaveUp(Failure),
    Closed,
}

/// A state, comparable with one that was never there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObservedState {
    Connected(u64),
    Backoff { attempt: u32, delay: Ms },
    Connecting(u32),
    GaveUp,
    Closed,
}

impl From<State> for ObservedState {
    fn from(state: State) -> Self {
        match state {
            State::Connected { generation } => Self::Connected(generation),
            State::Backoff { attempt, delay, .. } => {
                let delay = ms(delay);
                Self::Backoff { attempt, delay }
            }
            State::Connecting { attempt } => Self::Connecting(attempt),
            State::GaveUp => Self::GaveUp,
            State::Closed => Self::Closed,
            other => panic!("a state that is not in the contract: {other:?}"),
        }
    }
}
