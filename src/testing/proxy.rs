//! The public handle of the proxy.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::task::AbortHandle;

use super::acceptor::Acceptor;
use super::fault::Fault;
use super::plan::Plan;
use super::port::Port;
use super::relay::Command;
use super::state::ProxyState;
use super::stats::Stats;

/// A TCP proxy that injects faults. See the [module](super).
///
/// It listens on a free port of the loopback interface, `127.0.0.1`, unless [`bind`](Self::bind) names
/// an address. It spawns a task for itself
/// and one for each connection; dropping it closes the port, ends the tasks and closes their
/// sockets, as if its program had been killed.
///
/// The **commands** are its `async` methods. They, [`script`](Self::script),
/// [`default_plan`](Self::default_plan) and [`stats`](Self::stats) know of every client whose
/// `connect` has returned before the call. Commands may be called at the same time. The proxy
/// carries them out one after the other, and the last one counts.
///
/// # Panics
///
/// In two cases every command panics, after it was carried out as far as possible:
/// - The function of [`default_plan`](Self::default_plan) has panicked. The command panics with
///   its message, so that the test fails instead of waiting.
/// - The runtime on which the proxy was started was shut down.
///
/// # Examples
///
/// All open connections are reset, and new ones are refused for a while:
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
    state: Arc<ProxyState>,
    acceptor: AbortHandle,
}

impl FaultProxy {
    /// Starts a proxy that relays to the server at this address. It connects to the server once for
    /// each client, so the server may start later.
    ///
    /// # Errors
    ///
    /// Returns the error of binding a port.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    ///
    /// # Panics
    ///
    /// Panics outside of a Tokio runtime with I/O and time enabled.
    pub async fn start(upstream: SocketAddr) -> io::Result<Self> {
        Self::bind((Ipv4Addr::LOCALHOST, 0).into(), upstream).await
    }

    /// Starts a proxy that listens on `listen`, which may be an address that other hosts reach. The
    /// port 0 is any free one.
    ///
    /// # Errors
    ///
    /// Returns the error of binding the address, for example `AddrInUse`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    ///
    /// # Panics
    ///
    /// Panics outside of a Tokio runtime with I/O and time enabled.
    pub async fn bind(listen: SocketAddr, upstream: SocketAddr) -> io::Result<Self> {
        let port = Port::open(listen)?;
        let addr = port.addr();
        let state = Arc::new(ProxyState::new(upstream, port));
        let acceptor = Acceptor::new(Arc::clone(&state));
        Ok(Self {
            addr,
            state,
            acceptor: tokio::spawn(acceptor.run()).abort_handle(),
        })
    }

    /// Returns the address that clients connect to. It does not change.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Gives these plans to the next connections, one each, after the plans scripted earlier.
    pub fn script(&self, plans: impl IntoIterator<Item = Plan>) {
        self.state.script(plans);
    }

    /// Sets the function that makes the plan of each later connection for which none is scripted.
    /// Its argument is the number of the connection, counted from 1, scripted ones included.
    /// Without such a function these connections have no faults.
    ///
    /// The task of the proxy calls it for one connection after the other, so it should not block.
    /// It may call the proxy. If it panics, its connection is reset, the other connections stay
    /// open, and every command [panics](Self#panics).
    pub fn default_plan(&self, plan: impl FnMut(u64) -> Plan + Send + 'static) {
        self.state.set_default_plan(Arc::new(Mutex::new(plan)));
    }

    /// Injects the fault into every open connection, and returns how many there were. If there are
    /// none, nothing happens, so that a [`Fault::Refuse`] leaves the port open.
    ///
    /// # Cancel safety
    ///
    /// Once the future was polled, the fault is injected even if the future is dropped.
    pub async fn inject(&self, fault: Fault) -> usize {
        self.state.command(Command::Inject(fault)).await
    }

    /// Ends the [stall](Fault::Stall) or the [timeout](Fault::Timeout) of every connection. Data that
    /// arrived meanwhile is relayed. A stall also ends with a reset, 5 s after its client has closed
    /// its side, so resume earlier if the client half-closes.
    ///
    /// # Cancel safety
    ///
    /// Once the future was polled, the stalls end even if the future is dropped.
    pub async fn resume(&self) {
        self.state.command(Command::Resume).await;
    }

    /// Refuses new connections until [`accept`](Self::accept). Open connections stay open.
    ///
    /// The port stays reserved, so that the system gives it to no other socket that asks for a free
    /// port. A socket that binds this very address with `SO_REUSEADDR`, which `TcpListener::bind` sets
    /// on Unix, can take it on Linux. A client that connects during the call may be reset instead of
    /// refused.
    ///
    /// # Cancel safety
    ///
    /// The first poll completes it.
    pub async fn refuse(&self) {
        self.state.count(|stats| stats.refusals += 1);
        self.state.refuse(None);
        self.state.check();
    }

    /// Accepts connections again, even if a [`Fault::Refuse`] has not ended.
    ///
    /// # Cancel safety
    ///
    /// The first poll completes it, unless the system does not let the port listen. In that case
    /// call it again.
    ///
    /// # Panics
    ///
    /// Panics if the system does not let the port listen again within a second, for example because
    /// no descriptors are left or because [another socket](Self::refuse) has taken the port, and in the
    /// cases in which every command panics.
    pub async fn accept(&self) {
        self.state.listen().await;
    }

    /// Returns the counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        *self.state.stats().borrow()
    }

    /// Waits until the counters fulfil `condition`, and returns them.
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
        let mut stats = self.state.stats();
        loop {
            // Copied, so that `condition` is called without a lock.
            let now = *stats.borrow_and_update();
            self.state.check();
            if condition(&now) {
                return now;
            }
            // It fails only without a sender, and `self` owns the sender.
            let _ = stats.changed().await;
        }
    }
}

impl fmt::Debug for FaultProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultProxy")
            .field("addr", &self.addr)
            .field("upstream", &self.state.upstream)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.state.close();
        self.acceptor.abort();
    }
}
