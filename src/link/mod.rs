//! The state machine that gets and keeps a connection, over time.
//!
//! A [`Link`] owns the connection, the timer of a backoff and a running attempt. It knows nothing
//! about bytes or messages; [`transfer`](crate::transfer) runs operations over it. Of seams it
//! knows only which half has a loss to be reported, by its flags. It has four kinds of methods:
//!
//! - **Getters** (`state`, `generation`, `policy`, `connection`, ...) change nothing.
//! - **Commands** (`lose`, `reconnect`, `close`) change the state. They take the role that polls,
//!   if one does: the tasks of all other roles are woken. `shared.take_command` returns what a
//!   handle has asked for; the caller executes it.
//! - **Polls**: `poll_connected` drives backoff and attempts until there is a connection, or there
//!   will be none.
//! - **Waiting**: `register_and_check` registers the polling task. Call it before
//!   `poll_connected`, and again after an operation on the connection returned `Pending`; if it
//!   returns true, poll again instead of returning `Pending`.
//!
//! Every change of the state is one call of `transition`. It sets the new state, which drops the
//! old connection, then publishes the state, wakes the tasks and reports the events. A panic of
//! foreign code (the drop of a connection, the observer) continues after all of that.

mod attempt;
mod commands;
mod event;
mod events;
mod handle;
mod idle;
#[expect(
    clippy::module_inception,
    reason = "the type is named after the folder"
)]
mod link;
mod reconnector;
pub(crate) mod shared;
#[cfg(test)]
mod shared_tests;
mod state;
#[cfg(test)]
pub(crate) mod test_task;
mod transition;

pub(crate) use attempt::Panic;
pub(crate) use commands::Command;
pub use event::Event;
pub use events::{Events, MissedEvents};
pub use handle::Handle;
pub(crate) use link::{Link, Unavailable};
pub(crate) use reconnector::Settings;
#[cfg(feature = "session")]
pub(crate) use shared::{Registrations, SharedGuard};
pub(crate) use shared::{Role, wake_each};
pub use state::State;
pub(crate) use transition::AfterLoss;
#[cfg(feature = "session")]
pub(crate) use transition::reconnect_requested;
