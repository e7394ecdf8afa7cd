//! `TcpConnector` against listeners on loopback.
#![cfg(feature = "net")]

#[path = "tcp/endpoints.rs"]
mod endpoints;

#[path = "support/soon.rs"]
mod soon;

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use reconnecting_stream::{
    Attempt, Backoff, Connect, Event, GaveUp, Keepalive, Policy, ReconnectingStream,
    ReconnectingTcpStream, State, TcpConnector, Unreachable,
};
use socket2::SockRef;
use soon::soon;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

const MS: Duration = Duration::from_millis(1);

const _: () = {
    const fn assert_traits<T: Send + Sync + Unpin + std::fmt::Debug>() {}
    assert_traits::<ReconnectingTcpStream>();
};

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A port that refuses, and that no other socket can take.
fn refusing() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// A port whose backlog is full: an attempt gets neither yes nor no.
async fn hanging() -> (TcpListener, Vec<TcpStream>, SocketAddr) {
    let (socket, address) = refusing();
    let listener = socket.listen(0).unwrap();
    let mut fill = Vec::new();
    while let Ok(stream) = timeout(100 * MS, TcpStream::connect(address)).await {
        fill.push(stream.unwrap());
    }
    (listener, fill, address)
}

async fn attempt(connector: &mut TcpConnector) -> io::Result<TcpStream> {
    soon(connector.connect(&Attempt::first())).await
}

fn unreachable(error: &io::Error) -> &Unreachable {
    error.get_ref().unwrap().downcast_ref().unwrap()
}

fn quick() -> Policy {
    Policy::default()
        .backoff(Backoff::constant(5 * MS))
        // A busy machine needs seconds to restart a server.
        .max_attempts(None)
}

#[tokio::test]
async fn a_tcp_stream_outlives_a_reset_by_default() {
    let (listener, address) = listen().await;
    let mut stream = ReconnectingTcpStream::connect(TcpConnector::new(address))
        .await
        .unwrap();
    let (peer, _) = listener.accept().await.unwrap();
    peer.set_zero_linger().unwrap();
    drop(peer);
    let answer = tokio::spawn(async move { listener.accept().await.unwrap().0.write_u8(7).await });
    assert_eq!(soon(stream.read_u8()).await.unwrap(), 7);
    answer.await.unwrap().unwrap();
    assert_eq!(stream.generation(), 2);
}

#[tokio::test]
async fn every_connection_has_the_socket_options() {
    let (listener, address) = listen().await;
    let keepalive = Keepalive::default()
        .idle(Duration::from_secs(7))
        .interval(Duration::from_secs(2))
        .probes(4);
    let connector = TcpConnector::new(address)
        .nodelay(true)
        .keepalive(keepalive)
        .user_timeout(Duration::from_secs(9))
        .send_buffer_size(50_000)
        .recv_buffer_size(60_000)
        .bind_address(IpAddr::from([127, 0, 0, 2]));
    let mut stream = ReconnectingTcpStream::connect(connector).await.unwrap();
    for generation in 1..=3 {
        assert_eq!(soon(stream.connected()).await.unwrap(), generation);
        let socket = stream.get_ref().unwrap();
        assert_eq!(
            socket.local_addr().unwrap().ip(),
            IpAddr::from([127, 0, 0, 2])
        );
        let options = SockRef::from(socket);
        assert!(options.tcp_nodelay().unwrap());
        assert!(options.keepalive().unwrap());
        assert!(options.send_buffer_size().unwrap() >= 50_000);
        assert!(options.recv_buffer_size().unwrap() >= 60_000);
        #[cfg(target_os = "linux")]
        {
            assert_eq!(
                options.tcp_keepalive_time().unwrap(),
                Duration::from_secs(7)
            );
            assert_eq!(
                options.tcp_keepalive_interval().unwrap(),
                Duration::from_secs(2)
            );
            assert_eq!(options.tcp_keepalive_retries().unwrap(), 4);
            assert_eq!(
                options.tcp_user_timeout().unwrap(),
                Some(Duration::from_secs(9))
            );
        }
        stream.reconnect();
    }
    drop(listener);
}

#[tokio::test]
async fn the_default_socket_options_are_those_of_the_documentation() {
    let (_listener, address) = listen().await;
    let stream = attempt(&mut TcpConnector::new(address)).await.unwrap();
    let options = SockRef::from(&stream);
    assert!(options.tcp_nodelay().unwrap());
    assert!(options.keepalive().unwrap());
    #[cfg(target_os = "linux")]
    {
        assert_eq!(
            options.tcp_keepalive_time().unwrap(),
            Duration::from_secs(15)
        );
        assert_eq!(
            options.tcp_keepalive_interval().unwrap(),
            Duration::from_secs(5)
        );
        assert_eq!(options.tcp_keepalive_retries().unwrap(), 3);
        assert_eq!(
            options.tcp_user_timeout().unwrap(),
            Some(Duration::from_secs(30))
        );
    }
}

#[tokio::test]
async fn socket_options_can_be_left_to_the_system_and_extremes_are_clamped() {
    let (_listener, address) = listen().await;
    let mut plain = TcpConnector::new(address)
        .nodelay(false)
        .keepalive(None)
        .user_timeout(None)
        .bind_address(None);
    let stream = attempt(&mut plain).await.unwrap();
    let options = SockRef::from(&stream);
    assert!(!options.tcp_nodelay().unwrap());
    assert!(!options.keepalive().unwrap());
    let extremes = [Duration::ZERO, Duration::MAX];
    for extreme in extremes {
        let keepalive = Keepalive::new().idle(extreme).interval(extreme);
        let mut connector = TcpConnector::new(address)
            .keepalive(keepalive.probes(u32::MAX))
            .user_timeout(extreme)
            .happy_eyeballs_delay(extreme)
            .send_buffer_size(0)
            .recv_buffer_size(0);
        attempt(&mut connector).await.unwrap();
    }
}
