//! The proxy as its user sees it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::task::AbortHandle;

use super::acceptor::Acceptor;
use super::connection::Command;
use super::plan::{Fault, Plan};
use super::port::Port;
use super::shared::Shared;
use super::stats::Stats;

/// A TCP proxy that injects faults: see the [module](super).
///
/// It listens on a free port of the loopback interface, `127.0.0.1`. It spawns a task for itself
/// and one for each connection; dropping it closes the port, ends the tasks and closes their
/// sockets, as if its program had been killed.
///
/// The **commands** are its `async` methods. They, [`script`](Self::script),
/// [`default_plan`](Self::default_plan) and [`stats`](Self::stats) know of every client whose
/// `connect` has returned before the call. Commands may be called at the same time: they are
/// carried out one after the other, and the last one counts.
///
/// # Panics
///
/// Every command panics, after it was carried out as far as it can be:
/// - once the function of [`default_plan`](Self::default_plan) has panicked, with its message, so
///   that the test fails and does not wait;
/// - once the runtime that the proxy was started on was shut down.
///
/// # Examples
///
/// Everything that a client has open is reset, and nothing is accepted for a while:
///
/// ```
/// use reconnecting_stream::testing::{Fault, FaultProxy};
/// use tokio::io::AsyncReadExt;
/// use tokio::net::{TcpListener, TcpStream};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let service = TcpListener::bind("127.0.0.1:0").await?;
/// let proxy = FaultProxy::start(service.local_addr()?).await?;
/// let mut client = TcpStream::connect(proxy.addr()).await?;
///
/// proxy.refuse().await;
/// assert_eq!(proxy.inject(Fault::Reset).await, 1);
/// assert!(client.read_u8().await.is_err());
/// assert!(TcpStream::connect(proxy.addr()).await.is_err());
///
/// proxy.accept().await;
/// assert!(TcpStream::connect(proxy.addr()).await.is_ok());
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping the proxy ends it"]
pub struct FaultProxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    acceptor: AbortHandle,
}

impl FaultProxy {
    /// Listens, and relays to the server at this address. The server is dialed for each
    /// connection, so it need not be there yet.
    ///
    /// # Errors
    ///
    /// What binding a port fails with.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime with I/O and time enabled.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn start(upstream: SocketAddr) -> io::Result<Self> {
        let port = Port::open()?;
        let addr = port.addr();
        let shared = Arc::new(Shared::new(upstream, port));
        let acceptor = Acceptor::new(Arc::clone(&shared));
        Ok(Self {
            addr,
            shared,
            acceptor: tokio::spawn(acceptor.run()).abort_handle(),
        })
    }

    /// Where the client is to connect to. It stays the same.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The coming connections get these plans, one each, after those that were scripted before.
    pub fn script(&self, plans: impl IntoIterator<Item = Plan>) {
        self.shared.script(plans);
    }

    /// Coming connections for which nothing is scripted get a plan from this function of their
    /// number, from 1, scripted ones included. Without it they have no faults.
    ///
    /// It is called on the task of the proxy, for one connection after the other, and should not
    /// block. It may call the proxy. If it panics, its connection is reset, the other ones stay,
    /// and every command [panics](Self#panics).
    pub fn default_plan(&self, plan: impl FnMut(u64) -> Plan + Send + 'static) {
        self.shared.set_default_plan(Arc::new(Mutex::new(plan)));
    }

    /// Injects the fault into every open connection. Returns how many there were, when it is done.
    ///
    /// # Cancel safety
    ///
    /// Once the future was polled, the fault is injected even if the future is dropped.
    pub async fn inject(&self, fault: Fault) -> usize {
        self.shared.command(Command::Inject(fault)).await
    }

    /// Ends the [stall](Fault::Stall) of every connection; what was held back is relayed.
    ///
    /// # Cancel safety
    ///
    /// Once the future was polled, the stalls end even if the future is dropped.
    pub async fn resume(&self) {
        self.shared.command(Command::Resume).await;
    }

    /// Refuses new connections until [`accept`](Self::accept). Open ones stay.
    ///
    /// The port stays reserved: the system gives it to no other socket. A client that connects
    /// during the call may be reset instead of refused.
    ///
    /// # Cancel safety
    ///
    /// The first poll completes it.
    pub async fn refuse(&self) {
        self.shared.count(|stats| stats.refusals += 1);
        self.shared.refuse(None);
        self.shared.check();
    }

    /// Accepts connections again, also if a [`Fault::Refuse`] was to last longer.
    ///
    /// # Panics
    ///
    /// If the system does not let the port listen again within a second, as when there are no
    /// descriptors left; and as every command does.
    ///
    /// # Cancel safety
    ///
    /// The first poll completes it, unless the system does not let the port listen: then it has to
    /// be called again.
    pub async fn accept(&self) {
        self.shared.listen().await;
    }

    /// What it has done so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        *self.shared.stats().borrow()
    }

    /// Waits until what it has done is enough for `condition`, and returns it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # use reconnecting_stream::testing::FaultProxy;
    /// # async fn example(proxy: FaultProxy) {
    /// proxy.wait_for(|stats| stats.resets == 3).await;
    /// # }
    /// ```
    pub async fn wait_for(&self, mut condition: impl FnMut(&Stats) -> bool) -> Stats {
        let mut stats = self.shared.stats();
        loop {
            // A copy, so that `condition` is called without a lock.
            let now = *stats.borrow_and_update();
            self.shared.check();
            if condition(&now) {
                return now;
            }
            // It fails without a sender, and the sender is ours.
            let _ = stats.changed().await;
        }
    }
}

impl fmt::Debug for FaultProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultProxy")
            .field("addr", &self.addr)
            .field("upstream", &self.shared.upstream)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.close();
        self.acceptor.abort();
    }
}
