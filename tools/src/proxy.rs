//! A TCP proxy whose clients wait while its upstream is restarted.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use reconnecting_stream::{Eof, Policy, ReconnectingStream, Seam};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

/// What a proxy has done.
#[derive(Debug, Default)]
pub struct Counts {
    /// Both sides have finished.
    pub finished: AtomicU64,
    /// One side was lost, and so the other was reset.
    pub lost: AtomicU64,
    pub bytes_up: AtomicU64,
    pub bytes_down: AtomicU64,
}

/// Copies each client's connection to `upstream`, and back.
pub async fn run(
    listener: TcpListener,
    upstream: SocketAddr,
    policy: Policy,
    counts: Arc<Counts>,
) -> io::Result<()> {
    loop {
        let (client, _) = listener.accept().await?;
        let (policy, counts) = (policy.clone(), Arc::clone(&counts));
        tokio::spawn(async move {
            match copy(client, upstream, policy).await {
                Ok((up, down)) => {
                    counts.finished.fetch_add(1, Ordering::Relaxed);
                    counts.bytes_up.fetch_add(up, Ordering::Relaxed);
                    counts.bytes_down.fetch_add(down, Ordering::Relaxed);
                }
                Err(_) => {
                    counts.lost.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
}

/// One conversation.
async fn copy(
    mut client: TcpStream,
    upstream: SocketAddr,
    policy: Policy,
) -> io::Result<(u64, u64)> {
    // The proxy does not know what the bytes mean, so no connection may continue the bytes of
    // another one, in either direction: the client has to know of a loss, and does what it would
    // do without a proxy.
    let mut upstream = ReconnectingStream::builder(move || TcpStream::connect(upstream))
        .seam(Seam::Error)
        // The end of what one side says is passed to the other: half-closed connections work.
        // With `Eof::Reconnect` it would be taken for a loss.
        .policy(policy.eof(Eof::Pass))
        // Here the proxy is better than none: an upstream that is being restarted is waited for.
        .lazy();
    let copied = copy_bidirectional(&mut client, &mut upstream).await;
    if copied.is_err() {
        // Or the client would take what it has got so far for a complete answer.
        client.set_zero_linger()?;
    }
    copied
}
