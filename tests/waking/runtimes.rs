//! The same with tasks of both runtimes, sockets, and resets that come from a peer.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::*;

/// A peer that resets every other connection after its first byte, and echoes on the rest.
async fn flaky_echo(listener: TcpListener) {
    for n in 0.. {
        let (mut socket, _) = listener.accept().await.unwrap();
        if n % 2 == 0 {
            socket.read_u8().await.unwrap();
            socket.set_zero_linger().unwrap();
            continue;
        }
        tokio::spawn(async move {
            let (mut from, mut to) = socket.split();
            let _ = tokio::io::copy(&mut from, &mut to).await;
        });
    }
}

async fn connect(
    address: SocketAddr,
) -> ReconnectingStream<impl Connect<Io = TcpStream, Future: Send> + Send> {
    ReconnectingStream::builder(move || TcpStream::connect(address))
        .policy(Policy::default().backoff(Backoff::constant(SECOND / 200)))
        .connect()
        .await
        .unwrap()
}

/// Writes until an answer has come: the peer's reset may have taken any byte with it. The
/// reader that was there first may be aborted; the next one has its place.
async fn both_halves_complete(abort_first_reader: bool) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let peer = tokio::spawn(flaky_echo(listener));
    let (reader, mut writer) = tokio::io::split(connect(address).await);
    let reader = Arc::new(Mutex::new(reader));
    let read = || {
        let reader = Arc::clone(&reader);
        tokio::spawn(async move { reader.lock().await.read_u8().await.unwrap() })
    };
    let mut waiting = read();
    tokio::task::yield_now().await;
    writer.write_u8(b'?').await.unwrap();
    if abort_first_reader {
        waiting.abort();
        let _ = (&mut waiting).await;
        waiting = read();
    }
    let writing = tokio::spawn(async move {
        loop {
            writer.write_u8(b'!').await.unwrap();
            tokio::time::sleep(SECOND / 1000).await;
        }
    });
    let answer = timeout(30 * SECOND, waiting)
        .await
        .expect("the reader sleeps");
    assert!(matches!(answer.unwrap(), b'?' | b'!'));
    writing.abort();
    peer.abort();
}

#[tokio::test]
async fn both_halves_complete_on_a_current_thread_runtime() {
    for run in 0..40 {
        both_halves_complete(run % 2 == 0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_halves_complete_on_a_multi_thread_runtime() {
    for run in 0..40 {
        both_halves_complete(run % 2 == 0).await;
    }
}
