//! The state machine that gets and keeps a connection, over time.
//!
//! A [`Link`] owns the connection, the timer of a backoff and a running attempt. It knows nothing
//! about bytes, messages or seams; [`transfer`](crate::transfer) runs operations over it. It has
//! four kinds of methods:
//!
//! - **Getters** (`state`, `generation`, `policy`, `connection`, ...) change nothing.
//! - **Commands** (`lose`, `reconnect`, `close`) change the state. They take the role that polls,
//!   if one does: the tasks of all other roles are woken. `take_command` returns what a handle
//!   has asked for; the caller executes it.
//! - **Polls**: `poll_connected` drives backoff and attempts until there is a connection, or there
//!   will be none.
//! - **Waiting**: `prepare_to_wait` registers the polling task. Call it before `poll_connected`,
//!   and again after an operation on the connection returned `Pending`; if it returns true, look
//!   again instead of returning `Pending`.
//!
//! Every change of the state is one call of `transition`, which leaves the link complete before
//! foreign code (the drop of a connection, the observer, a waker) runs.

mod attempt;
mod event;
mod handle;
#[expect(
    clippy::module_inception,
    reason = "the type is named after the folder"
)]
mod link;
pub(crate) mod shared;
#[cfg(test)]
mod shared_tests;
mod state;
mod supervisor;
#[cfg(test)]
mod test_task;
mod timers;
mod transition;

pub use event::Event;
pub use handle::Handle;
pub(crate) use link::{Link, Unavailable};
pub(crate) use shared::{Command, Role};
pub use state::State;
pub(crate) use supervisor::Settings;
pub(crate) use transition::AfterLoss;
