//! The server of all programs: a feed that numbers its ticks, and closes each connection after a few.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use reconnecting_stream::Event;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

pub(crate) const TICKS: u32 = 30;
/// How many ticks a connection gets.
const EACH: u32 = 3;
/// How many connections get ticks.
const CONNECTIONS: u32 = TICKS / EACH;

/// The delay before each attempt.
pub(crate) const DELAY: Duration = Duration::from_millis(1);

/// Counts what a program has observed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observed {
    connected: Arc<AtomicU32>,
    lost: Arc<AtomicU32>,
}

impl Observed {
    pub(crate) fn connected(&self) {
        self.connected.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn lost(&self) {
        self.lost.fetch_add(1, Ordering::SeqCst);
    }
}

/// Returns an observer that counts.
pub(crate) fn observer(observed: Observed) -> impl FnMut(&Event) {
    move |event| match event {
        Event::Connected { .. } => observed.connected(),
        Event::Lost { .. } => observed.lost(),
        _ => {}
    }
}

/// What a program over a stream of bytes does: it reads all ticks.
pub(crate) async fn read(mut stream: impl AsyncRead + Unpin) -> Vec<String> {
    let (mut ticks, mut tick) = (Vec::new(), [0; 5]);
    for _ in 0..TICKS {
        stream.read_exact(&mut tick).await.unwrap();
        ticks.push(String::from_utf8(tick.to_vec()).unwrap());
    }
    ticks
}

/// Returns a tick, which has 5 bytes.
fn tick(number: u32) -> String {
    format!("{number:04}\n")
}

async fn serve(listener: TcpListener) {
    for first in (0..TICKS).step_by(EACH as usize) {
        let (mut socket, _) = listener.accept().await.unwrap();
        for number in first..first + EACH {
            socket.write_all(tick(number).as_bytes()).await.unwrap();
        }
    }
    // The last connection was the last one that the programs need.
    std::future::pending::<()>().await;
}

/// Runs a program against a feed. It returns the ticks that it has read.
pub(crate) async fn check<F>(program: impl FnOnce(SocketAddr, Observed) -> F)
where
    F: Future<Output = Vec<String>>,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let observed = Observed::default();
    let serving = tokio::spawn(serve(listener));
    let running = program(address, observed.clone());
    let ticks = tokio::time::timeout(Duration::from_secs(60), running).await;
    let expected: Vec<_> = (0..TICKS).map(tick).collect();
    assert_eq!(ticks.expect("the program ends"), expected);
    assert_eq!(observed.connected.load(Ordering::SeqCst), CONNECTIONS);
    assert_eq!(observed.lost.load(Ordering::SeqCst), CONNECTIONS - 1);
    serving.abort();
}
