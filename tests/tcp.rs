//! `TcpConnector` against listeners on loopback.
#![cfg(feature = "net")]

use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use reconnecting_stream::{
    Attempt, Backoff, Connect, Event, GaveUp, Keepalive, Policy, ReconnectingStream,
    ReconnectingTcpStream, State, TcpConnector, Unreachable,
};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

/// Long enough for a busy machine; nothing waits for it unless it fails.
const DEADLINE: Duration = Duration::from_secs(60);
const MS: Duration = Duration::from_millis(1);

const _: () = {
    const fn assert_traits<T: Send + Sync + Unpin + std::fmt::Debug>() {}
    assert_traits::<ReconnectingTcpStream>();
};

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.expect("it hangs")
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A port that refuses, and that nobody else can take.
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
async fn one_line_outlives_a_reset() {
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
async fn every_connection_has_the_options() {
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
async fn the_defaults_are_those_of_the_documentation() {
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
async fn options_can_be_left_to_the_system_and_extremes_are_clamped() {
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

#[tokio::test]
async fn the_next_endpoint_is_tried_in_the_same_attempt() {
    let (_refuses, refused) = refusing();
    let (_listener, address) = listen().await;
    let mut connector = TcpConnector::any_of([refused, address]);
    let stream = attempt(&mut connector).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), address);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_endpoint_that_hangs_does_not_cost_the_attempt_timeout() {
    let (_full, _fill, hung) = hanging().await;
    let (_listener, address) = listen().await;
    let mut connector = TcpConnector::any_of([hung, address]);
    let stream = attempt(&mut connector).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), address);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_endpoint_that_the_attempt_waited_for_in_vain_goes_last() {
    let (_full, _fill, hung) = hanging().await;
    let (_listener, address) = listen().await;
    let connector = TcpConnector::any_of([hung, address]).happy_eyeballs_delay(Duration::MAX);
    let mut stream = ReconnectingStream::builder(connector)
        .policy(quick().attempt_timeout(100 * MS))
        .retry_initial_connect(true)
        .connect()
        .await
        .unwrap();
    assert_eq!(stream.get_mut().unwrap().peer_addr().unwrap(), address);
}

#[tokio::test]
async fn an_endpoint_whose_connection_was_lost_goes_last() {
    let (first, at_first) = listen().await;
    let (second, at_second) = listen().await;
    let connector = TcpConnector::any_of([at_first, at_second]);
    let mut stream = ReconnectingStream::builder(connector)
        .policy(quick())
        .connect()
        .await
        .unwrap();
    let mut states = stream.handle().subscribe();
    let turns = [
        (&first, at_second),
        (&second, at_first),
        (&first, at_second),
    ];
    for (lost, (listener, next)) in (1..).zip(turns) {
        let (peer, _) = soon(listener.accept()).await.unwrap();
        drop(peer);
        let is_next =
            |state: &State| matches!(state, State::Connected { generation } if *generation > lost);
        tokio::select! {
            // Finds the end of the connection; the next peer says nothing.
            read = stream.read_u8() => panic!("{read:?}"),
            changed = soon(states.wait_for(is_next)) => drop(changed.unwrap()),
        }
        assert_eq!(stream.get_ref().unwrap().peer_addr().unwrap(), next);
    }
}

#[tokio::test]
async fn a_name_is_tried_at_all_of_its_addresses() {
    // `localhost` is ::1 and 127.0.0.1 on most systems; only one of them is listened on.
    let (_listener, address) = listen().await;
    let mut connector = TcpConnector::new(("localhost", address.port()));
    let stream = attempt(&mut connector).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), address);
}

#[tokio::test]
async fn every_address_that_was_tried_is_told() {
    let (_one, first) = refusing();
    let (_two, second) = refusing();
    let mut connector = TcpConnector::any_of([first, second]);
    let error = attempt(&mut connector).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    let failures = &unreachable(&error).failures;
    let tried: Vec<_> = failures
        .iter()
        .map(|failure| failure.address.unwrap())
        .collect();
    assert_eq!(tried, [first, second]);
    let text = error.to_string();
    assert!(
        text.contains(&first.to_string()) && text.contains(&second.to_string()),
        "{text}"
    );
}

#[tokio::test]
async fn no_endpoint_at_all_gives_up_with_a_typed_error() {
    let nowhere: [&str; 0] = [];
    let mut stream = ReconnectingStream::builder(TcpConnector::any_of(nowhere)).lazy();
    let error = soon(stream.connected()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let gave_up: &GaveUp = error.get_ref().unwrap().downcast_ref().unwrap();
    assert_eq!(gave_up.attempts, 1);
    assert!(unreachable(&gave_up.last_error).failures.is_empty());
}

#[tokio::test]
async fn an_endpoint_without_a_port_gives_up_at_once() {
    let mut stream = ReconnectingStream::builder(TcpConnector::new("db.example")).lazy();
    let error = soon(stream.connected()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("db.example"), "{error}");
}

#[tokio::test]
async fn an_address_of_the_other_family_than_the_bind_address_is_not_tried() {
    let (_listener, address) = listen().await;
    let mut connector = TcpConnector::new(address).bind_address(IpAddr::from(Ipv6Addr::LOCALHOST));
    let error = attempt(&mut connector).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
    assert!(unreachable(&error).failures[0].address.is_none());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_attempt_that_is_cut_off_leaves_no_socket() {
    let (_full, _fill, hung) = hanging().await;
    let connector = TcpConnector::any_of([hung, hung, hung]).happy_eyeballs_delay(10 * MS);
    let (told, mut failed) = tokio::sync::mpsc::unbounded_channel();
    let mut stream = ReconnectingStream::builder(connector)
        .policy(quick().attempt_timeout(100 * MS))
        .on_event(move |event: &Event| {
            if let Event::AttemptFailed { error, .. } = event {
                let _ = told.send((error.kind(), sockets_to(hung)));
            }
        })
        .lazy();
    let driven = tokio::spawn(async move { stream.connected().await });
    soon(async {
        while sockets_to(hung) == 0 {
            sleep(MS).await;
        }
    })
    .await;
    for _ in 0..2 {
        let (kind, sockets) = soon(failed.recv()).await.unwrap();
        assert_eq!((kind, sockets), (ErrorKind::TimedOut, 0));
    }
    driven.abort();
}

/// Sockets of anybody that are waiting for an answer from this port.
#[cfg(target_os = "linux")]
fn sockets_to(address: SocketAddr) -> usize {
    const SYN_SENT: &str = "02";
    let port = format!(":{:04X}", address.port());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let is_one = |line: &&str| {
        let mut fields = line.split_whitespace().skip(2);
        fields.next().is_some_and(|remote| remote.ends_with(&port))
            && fields.next() == Some(SYN_SENT)
    };
    table.lines().filter(is_one).count()
}
