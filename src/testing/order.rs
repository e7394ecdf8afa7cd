//! What the connections of a proxy are told.

use tokio::sync::mpsc::UnboundedSender;

use super::plan::Fault;

/// A command of the user of the proxy, who counts those who have obeyed and waits for the rest
/// to drop theirs.
#[derive(Debug)]
pub(super) struct Order(pub(super) Command, pub(super) UnboundedSender<()>);

#[derive(Clone, Copy, Debug)]
pub(super) enum Command {
    Commit(Fault),
    Resume,
}
