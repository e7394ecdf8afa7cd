//! The task that begins the connections of a proxy, and owns their tasks.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{JoinSet, spawn_blocking};

use super::connection::{Connection, Request};
use super::plan::Plan;
use super::shared::Shared;
use super::socket::reset;

/// A connection whose plan is not known yet.
pub(super) struct Accepted {
    pub(super) client: TcpStream,
    pub(super) number: u64,
    pub(super) plan: Box<dyn FnOnce() -> Plan + Send>,
    pub(super) connection: Connection,
    pub(super) requests: UnboundedReceiver<Request>,
}

/// Aborting its task ends its connections, too.
pub(super) struct Acceptor {
    shared: Arc<Shared>,
    connections: JoinSet<()>,
}

impl Acceptor {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            connections: JoinSet::new(),
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            while let Some(accepted) = self.shared.next_accepted() {
                self.begin(accepted);
            }
            self.shared.attend_port().await;
        }
    }

    /// Makes the plan without a lock held, so that the user's function may use the proxy.
    fn begin(&mut self, accepted: Accepted) {
        while self.connections.try_join_next().is_some() {}
        let client = accepted.client;
        match catch_unwind(AssertUnwindSafe(accepted.plan)) {
            Ok(plan) => {
                let connection = accepted.connection.run(client, plan, accepted.requests);
                self.connections.spawn(connection);
            }
            Err(panic) => {
                let (number, message) = (accepted.number, message(&*panic));
                let failure = format!("the plan of connection {number} panicked: {message}");
                self.shared.fail(failure);
                reset(client);
            }
        }
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        self.shared.close();
        self.shared
            .fail("the runtime of the proxy was shut down".into());
    }
}

/// Waits before the system is asked again for what it has refused. It takes real time: Tokio's
/// paused clock would be advanced, and the wait be over, as long as the system refuses.
pub(super) async fn rest() {
    let _ = spawn_blocking(|| thread::sleep(Duration::from_millis(10))).await;
}

fn message(panic: &(dyn Any + Send)) -> &str {
    match panic.downcast_ref::<String>() {
        Some(message) => message,
        None => panic.downcast_ref::<&str>().unwrap_or(&"no message"),
    }
}
