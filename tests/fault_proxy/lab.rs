//! A proxy between bare sockets, and what tests of it ask.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::thread;
use std::time::{Duration, Instant};

use futures::FutureExt;
use reconnecting_stream::testing::{FaultProxy, Plan};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Builder;

pub(crate) use super::soon::{DEADLINE, soon};

pub(crate) const MS: Duration = Duration::from_millis(1);
pub(crate) const ROUNDS: usize = 500;

/// A proxy and its server.
pub(crate) struct Lab {
    pub(crate) proxy: FaultProxy,
    pub(crate) server: TcpListener,
}

impl Lab {
    pub(crate) async fn new(plans: impl IntoIterator<Item = Plan>) -> Self {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = FaultProxy::start(server.local_addr().unwrap())
            .await
            .unwrap();
        proxy.script(plans);
        Self { proxy, server }
    }

    pub(crate) async fn dial(&self) -> TcpStream {
        TcpStream::connect(self.proxy.addr()).await.unwrap()
    }

    /// A client and its peer.
    pub(crate) async fn pair(&self) -> (TcpStream, TcpStream) {
        let client = self.dial().await;
        (client, soon(self.server.accept()).await.unwrap().0)
    }
}

/// A proxy whose server refuses. No other socket gets its port as long as the second one is kept:
/// a test should not connect to the port of another test.
pub(crate) async fn without_a_server() -> (FaultProxy, TcpSocket) {
    let vacant = TcpSocket::new_v4().unwrap();
    vacant.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let proxy = FaultProxy::start(vacant.local_addr().unwrap());
    (proxy.await.unwrap(), vacant)
}

/// Everything until the end, and how it ends.
pub(crate) async fn rest(socket: &mut TcpStream) -> (Vec<u8>, Option<ErrorKind>) {
    let mut bytes = Vec::new();
    let end = soon(socket.read_to_end(&mut bytes)).await;
    (bytes, end.err().map(|error| error.kind()))
}

pub(crate) fn bytes(n: u32) -> Vec<u8> {
    (0..n).map(|i| i.to_le_bytes()[0] ^ 7).collect()
}

/// Runs the test on a thread, so that a deadlock fails it, too.
pub(crate) fn in_time(test: impl FnOnce() + Send + 'static) {
    let (thread, begun) = (thread::spawn(test), Instant::now());
    while !thread.is_finished() {
        assert!(begun.elapsed() < DEADLINE * 2, "it hangs");
        thread::sleep(MS);
    }
    thread.join().unwrap_or_else(|panic| resume_unwind(panic));
}

pub(crate) fn on_both_runtimes<T: Future<Output = ()>>(
    test: impl Fn() -> T + Copy + Send + 'static,
) {
    for mut runtime in [Builder::new_current_thread(), Builder::new_multi_thread()] {
        in_time(move || runtime.enable_all().build().unwrap().block_on(test()));
    }
}

/// Sends a byte each way.
pub(crate) async fn converse(client: &mut TcpStream, peer: &mut TcpStream) {
    client.write_all(b"?").await.unwrap();
    assert_eq!(soon(peer.read_u8()).await.unwrap(), b'?');
    peer.write_all(b"!").await.unwrap();
    assert_eq!(soon(client.read_u8()).await.unwrap(), b'!');
}

pub(crate) async fn assert_reset(client: TcpStream) {
    assert_reset_soon(Ok(client)).await;
}

/// The reset may come before the task that connects is polled again.
pub(crate) async fn assert_reset_soon(connected: io::Result<TcpStream>) {
    let end = match connected {
        Ok(mut client) => rest(&mut client).await.1,
        Err(error) => Some(error.kind()),
    };
    assert_eq!(end, Some(ErrorKind::ConnectionReset));
}

pub(crate) async fn connect(proxy: &FaultProxy) -> io::Result<TcpStream> {
    soon(TcpStream::connect(proxy.addr())).await
}

pub(crate) async fn assert_refused(proxy: &FaultProxy) {
    let error = connect(proxy).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

/// Asserts that no socket listens, without a connection to the one that may soon.
pub(crate) async fn assert_closed(addr: SocketAddr) {
    TcpListener::bind(addr).await.unwrap();
}

/// What the command panics with.
pub(crate) async fn panic_of<T>(command: impl Future<Output = T>) -> String {
    let caught = AssertUnwindSafe(soon(command)).catch_unwind().await;
    let panic = caught.err().expect("it did not panic");
    *panic.downcast().expect("a formatted message")
}
