//! Real sockets: real resets, a server that is killed and restarted, a full backlog.
#![cfg(target_os = "linux")]

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use reconnecting_stream::{
    Backoff, Connect, ConnectionLost, Policy, ReconnectingStream, Seam, State,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Long enough for a busy machine; nothing waits for it unless it fails.
const DEADLINE: Duration = Duration::from_secs(30);
const MS: Duration = Duration::from_millis(1);

fn quick() -> Policy {
    Policy::default()
        .backoff(Backoff::constant(5 * MS))
        // A busy machine needs seconds to restart a server.
        .max_attempts(None)
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// The same port again, as a server that is restarted.
fn listen_again(address: SocketAddr, backlog: u32) -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    socket.listen(backlog).unwrap()
}

fn to(address: SocketAddr) -> impl Connect<Io = TcpStream, Future: Send> + Send {
    move || TcpStream::connect(address)
}

async fn connect(
    address: SocketAddr,
    seam: Seam,
) -> ReconnectingStream<impl Connect<Io = TcpStream>> {
    ReconnectingStream::builder(to(address))
        .policy(quick())
        .seam(seam)
        .connect()
        .await
        .unwrap()
}

#[tokio::test]
async fn a_reset_is_a_loss() {
    let (listener, address) = listen().await;
    let mut stream = connect(address, Seam::Error).await;
    for generation in 1..=20 {
        let (peer, _) = listener.accept().await.unwrap();
        peer.set_zero_linger().unwrap();
        drop(peer);
        let error = stream.read_u8().await.unwrap_err();
        let lost: &ConnectionLost = error.get_ref().unwrap().downcast_ref().unwrap();
        assert_eq!(lost.generation, generation);
        assert_eq!(lost.cause.kind(), ErrorKind::ConnectionReset);
        // The writer has its error, too, then both continue.
        assert!(stream.write_u8(b'x').await.is_err());
        assert_eq!(stream.connected().await.unwrap(), generation + 1);
    }
}

/// Answers every byte with the next one, on every connection, until it is aborted.
async fn serve(listener: TcpListener) {
    let mut peers = JoinSet::new();
    loop {
        let (mut peer, _) = listener.accept().await.unwrap();
        peers.spawn(async move {
            while let Ok(byte) = peer.read_u8().await {
                let _ = peer.write_u8(byte + 1).await;
            }
        });
    }
}

#[tokio::test]
async fn a_server_that_is_killed_and_restarted_is_found_again() {
    let (listener, address) = listen().await;
    let mut server = tokio::spawn(serve(listener));
    let mut stream = connect(address, Seam::Error).await;
    for restart in 0..20 {
        let answer = timeout(DEADLINE, ask(&mut stream, restart)).await;
        assert_eq!(answer.expect("the server is there"), restart + 1);
        server.abort();
        let _ = server.await;
        if restart % 2 == 0 {
            // Refused for a while.
            assert!(timeout(20 * MS, ask(&mut stream, 0)).await.is_err());
        }
        server = tokio::spawn(serve(listen_again(address, 16)));
    }
    assert!(stream.generation() >= 20);
}

/// Asks until there is an answer: what was asked of a lost connection is asked again.
async fn ask(stream: &mut ReconnectingStream<impl Connect<Io = TcpStream>>, byte: u8) -> u8 {
    loop {
        let answer = async {
            stream.write_u8(byte).await?;
            stream.read_u8().await
        };
        match answer.await {
            Ok(answer) => return answer,
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
}

#[tokio::test]
async fn the_dead_socket_is_closed_before_the_backoff_begins() {
    let (listener, address) = listen().await;
    let mut stream = ReconnectingStream::builder(to(address))
        .policy(Policy::default().backoff(Backoff::constant(3600 * 1000 * MS)))
        .connect()
        .await
        .unwrap();
    let local = stream.get_ref().unwrap().local_addr().unwrap();
    drop(listener.accept().await.unwrap());
    assert!(timeout(100 * MS, stream.read_u8()).await.is_err());
    assert!(matches!(stream.state(), State::Backoff { .. }));
    assert!(
        !is_close_wait(local),
        "the peer's FIN was answered with ours"
    );
}

/// Whether the kernel still waits for the process to close the socket: state 08 in
/// `/proc/net/tcp`, see `proc(5)`.
fn is_close_wait(local: SocketAddr) -> bool {
    let port = format!(":{:04X} ", local.port());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    table.lines().any(|line| {
        let mut columns = line.split_whitespace().skip(1);
        let is_local = columns
            .next()
            .is_some_and(|local| format!("{local} ").ends_with(&port));
        is_local && columns.nth(1) == Some("08")
    })
}

#[tokio::test]
async fn a_full_backlog_is_a_timeout_of_the_attempt() {
    let (first, address) = listen().await;
    drop(first);
    let full = listen_again(address, 0);
    // One waits to be accepted; the kernel drops the SYNs of the rest.
    let mut waiting = Vec::new();
    while let Ok(socket) = timeout(100 * MS, TcpStream::connect(address)).await {
        waiting.push(socket.unwrap());
    }
    let mut stream = ReconnectingStream::builder(to(address))
        .policy(quick().attempt_timeout(50 * MS).max_attempts(3))
        .lazy();
    let error = stream.write_u8(b'x').await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    drop(full);
}

#[tokio::test]
async fn a_stream_that_was_shut_down_reads_until_the_end() {
    let (listener, address) = listen().await;
    let server = tokio::spawn(async move {
        let (mut peer, _) = listener.accept().await.unwrap();
        let mut request = String::new();
        peer.read_to_string(&mut request).await.unwrap();
        peer.write_all(request.to_uppercase().as_bytes())
            .await
            .unwrap();
        listener
    });
    let mut stream = connect(address, Seam::Hidden).await;
    stream.write_all(b"request").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    assert_eq!(reply, "REQUEST");
    assert_eq!(stream.state(), State::Closed);
    let listener = server.await.unwrap();
    assert!(
        timeout(50 * MS, listener.accept()).await.is_err(),
        "there was no other attempt"
    );
}

/// Sockets belong to the runtime that made them.
#[test]
fn a_stream_that_outlives_its_runtime_continues_after_a_reconnect() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let connector = move || TcpStream::connect(address);
    let first = runtime();
    let mut stream = first
        .block_on(ReconnectingStream::connect(connector))
        .unwrap();
    drop(first);
    runtime().block_on(async {
        let error = stream.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Other);
        assert_eq!(stream.state(), State::Connected { generation: 1 });
        stream.reconnect();
        stream.write_all(b"continues").await.unwrap();
        assert_eq!(stream.generation(), 2);
    });
}
