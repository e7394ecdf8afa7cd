//! The task that accepts the connections of a proxy and owns their tasks.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{JoinSet, spawn_blocking};

use super::plan::Plan;
use super::relay::{Relay, Request};
use super::socket::reset;
use super::state::ProxyState;

/// An accepted connection whose plan has not been made.
pub(super) struct Accepted {
    pub(super) client: TcpStream,
    pub(super) number: u64,
    pub(super) plan: Box<dyn FnOnce() -> Plan + Send>,
    pub(super) relay: Relay,
    pub(super) requests: UnboundedReceiver<Request>,
}

/// Accepts connections and runs them. Aborting its task also aborts theirs.
pub(super) struct Acceptor {
    proxy: Arc<ProxyState>,
    relays: JoinSet<()>,
}

impl Acceptor {
    pub(super) fn new(proxy: Arc<ProxyState>) -> Self {
        Self {
            proxy,
            relays: JoinSet::new(),
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            while let Some(accepted) = self.proxy.next_accepted() {
                self.spawn(accepted);
            }
            self.proxy.drive_port().await;
        }
    }

    /// Makes the plan and spawns the relay. No lock is locked meanwhile, so the user's function may
    /// call the proxy.
    fn spawn(&mut self, accepted: Accepted) {
        while self.relays.try_join_next().is_some() {}
        let client = accepted.client;
        match catch_unwind(AssertUnwindSafe(accepted.plan)) {
            Ok(plan) => {
                let connection = accepted.relay.run(client, plan, accepted.requests);
                self.relays.spawn(connection);
            }
            Err(panic) => {
                let (number, message) = (accepted.number, message(&*panic));
                let failure = format!("the plan of connection {number} panicked: {message}");
                self.proxy.fail(failure);
                reset(client);
            }
        }
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        self.proxy.close();
        self.proxy
            .fail("the runtime of the proxy was shut down".into());
    }
}

/// Waits before a failed system call is repeated. It sleeps on a thread, in real time, because a
/// paused clock of Tokio would advance immediately and the retries would spin.
pub(super) async fn retry_delay() {
    let _ = spawn_blocking(|| thread::sleep(Duration::from_millis(10))).await;
}

fn message(panic: &(dyn Any + Send)) -> &str {
    match panic.downcast_ref::<String>() {
        Some(message) => message,
        None => panic.downcast_ref::<&str>().unwrap_or(&"no message"),
    }
}
