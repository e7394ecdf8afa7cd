//! The proxy as its user sees it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::task::JoinHandle;

use super::acceptor::accept;
use super::order::Command;
use super::plan::{Fault, Plan};
use super::port::{Port, Wanted};
use super::shared::Shared;
use super::stats::Stats;

/// A TCP proxy that commits faults: see the [module](super).
///
/// It listens on a free port of the loopback interface, `127.0.0.1`. It spawns a task for itself
/// and one for each connection; dropping it ends them all and closes their sockets, as if its
/// program had been killed.
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
/// let _peer = service.accept().await?;
///
/// proxy.refuse().await;
/// assert_eq!(proxy.commit(Fault::Reset).await, 1);
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
    acceptor: JoinHandle<io::Result<()>>,
}

impl FaultProxy {
    /// Listens, and relays to the server at this address. The server is dialed anew for each
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
        let addr = port.addr()?;
        let shared = Arc::new(Shared::new(upstream));
        let acceptor = tokio::spawn(accept(port, Arc::clone(&shared)));
        Ok(Self {
            addr,
            shared,
            acceptor,
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

    /// Connections for which nothing is scripted get a plan from this function of their number,
    /// from 1, scripted ones included. Without it they have no faults.
    ///
    /// It should not block. If it panics the proxy accepts no more.
    pub fn otherwise(&self, plan: impl FnMut(u64) -> Plan + Send + 'static) {
        self.shared.otherwise(Box::new(plan));
    }

    /// Commits the fault on every open connection. Returns how many there were, when it is done.
    ///
    /// # Cancel safety
    ///
    /// Once it was polled it will be done.
    pub async fn commit(&self, fault: Fault) -> usize {
        self.shared.order(Command::Commit(fault)).await
    }

    /// Ends the [stall](Fault::Stall) of every connection; what was held back is relayed.
    ///
    /// # Cancel safety
    ///
    /// Once it was polled it will be done.
    pub async fn resume(&self) {
        self.shared.order(Command::Resume).await;
    }

    /// Refuses new connections from now on: returns when the port does. Open ones stay.
    ///
    /// The port stays reserved, so the system gives it to nobody else. Connections that were established
    /// by the kernel and not accepted yet are reset.
    ///
    /// # Cancel safety
    ///
    /// Once it was polled it will be done.
    pub async fn refuse(&self) {
        self.shared.count(|stats| stats.refusals += 1);
        self.shared.want(Wanted::Refuse).await;
    }

    /// Accepts connections again, also if a [`Fault::Refuse`] was to last longer: returns when
    /// the port does.
    ///
    /// # Cancel safety
    ///
    /// Once it was polled it will be done.
    pub async fn accept(&self) {
        self.shared.want(Wanted::Listen).await;
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
    pub async fn wait_for(&self, condition: impl FnMut(&Stats) -> bool) -> Stats {
        let mut stats = self.shared.stats();
        // It fails without a sender, and the sender is ours.
        stats
            .wait_for(condition)
            .await
            .map_or_else(|_| self.stats(), |stats| *stats)
    }
}

impl fmt::Debug for FaultProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultProxy")
            .field("addr", &self.addr)
            .field("upstream", &self.shared.upstream())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}
