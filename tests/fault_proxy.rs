//! The fault proxy does what it says, seen from bare sockets on both of its sides.

use std::future::Future;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reconnecting_stream::testing::{Direction, Fault, FaultProxy, Plan};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use Direction::{ToClient, ToServer};

const DEADLINE: Duration = Duration::from_secs(60);
const MS: Duration = Duration::from_millis(1);

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.expect("it hangs")
}

/// A proxy and its server.
struct Lab {
    proxy: FaultProxy,
    server: TcpListener,
}

impl Lab {
    async fn new(plans: impl IntoIterator<Item = Plan>) -> Self {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = FaultProxy::start(server.local_addr().unwrap())
            .await
            .unwrap();
        proxy.script(plans);
        Self { proxy, server }
    }

    async fn dial(&self) -> TcpStream {
        TcpStream::connect(self.proxy.addr()).await.unwrap()
    }

    /// A client and its peer.
    async fn pair(&self) -> (TcpStream, TcpStream) {
        let client = self.dial().await;
        (client, soon(self.server.accept()).await.unwrap().0)
    }
}

/// Everything until the end, and how it ends.
async fn rest(socket: &mut TcpStream) -> (Vec<u8>, Option<ErrorKind>) {
    let mut bytes = Vec::new();
    let end = soon(socket.read_to_end(&mut bytes)).await;
    (bytes, end.err().map(|error| error.kind()))
}

fn bytes(n: u32) -> Vec<u8> {
    (0..n).map(|i| i.to_le_bytes()[0] ^ 7).collect()
}

#[tokio::test]
async fn without_a_plan_everything_is_relayed_and_each_side_can_finish() {
    let lab = Lab::new([]).await;
    let (mut client, mut peer) = lab.pair().await;
    client.write_all(&bytes(100_000)).await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(rest(&mut peer).await, (bytes(100_000), None));
    peer.write_all(&bytes(70_000)).await.unwrap();
    drop(peer);
    assert_eq!(rest(&mut client).await, (bytes(70_000), None));
    let stats = soon(lab.proxy.wait_for(|stats| stats.open == 0)).await;
    assert_eq!((stats.to_server, stats.to_client), (100_000, 70_000));
    assert_eq!((stats.accepted, stats.faults()), (1, 0));
}

#[tokio::test]
async fn a_reset_of_one_side_is_passed_on_to_the_other() {
    let lab = Lab::new([]).await;
    for is_client in [true, false] {
        let (client, peer) = lab.pair().await;
        let (dies, mut hears) = match is_client {
            true => (client, peer),
            false => (peer, client),
        };
        dies.set_zero_linger().unwrap();
        drop(dies);
        assert_eq!(rest(&mut hears).await.1, Some(ErrorKind::ConnectionReset));
    }
}

#[tokio::test]
async fn exactly_so_many_bytes_are_relayed_before_a_fault() {
    let ends = [
        (Fault::Reset, Some(ErrorKind::ConnectionReset)),
        (Fault::Refuse(MS), Some(ErrorKind::ConnectionReset)),
        (Fault::Fin, None),
    ];
    for (fault, end) in ends {
        for n in [0, 1, 700, 20_000] {
            let plans = [ToClient, ToServer].map(|side| Plan::new().after(n.into(), side, fault));
            let lab = Lab::new(plans).await;
            let (mut client, mut peer) = lab.pair().await;
            if n > 0 {
                peer.write_all(&bytes(40_000)).await.unwrap();
            }
            assert_eq!(rest(&mut client).await, (bytes(n), end), "{fault:?}");
            soon(lab.proxy.wait_for(|stats| stats.open == 0)).await;
            soon(lab.proxy.accept()).await;

            let (mut client, mut peer) = lab.pair().await;
            if n > 0 {
                client.write_all(&bytes(40_000)).await.unwrap();
            }
            assert_eq!(rest(&mut peer).await, (bytes(n), end), "{fault:?}");
            assert_eq!(lab.proxy.stats().faults(), 2);
        }
    }
}

#[tokio::test]
async fn a_stall_relays_nothing_until_it_is_resumed() {
    let lab = Lab::new([Plan::new().after(10, ToServer, Fault::Stall)]).await;
    let (mut client, mut peer) = lab.pair().await;
    client.write_all(&bytes(30)).await.unwrap();
    client.shutdown().await.unwrap();
    let mut arrived = [0; 10];
    soon(peer.read_exact(&mut arrived)).await.unwrap();
    soon(lab.proxy.wait_for(|stats| stats.stalls == 1)).await;
    peer.write_all(b"answer").await.unwrap();
    assert!(timeout(30 * MS, peer.read_u8()).await.is_err());
    assert!(timeout(30 * MS, client.read_u8()).await.is_err());
    lab.proxy.resume().await;
    assert_eq!(rest(&mut peer).await, (bytes(30)[10..].to_vec(), None));
    drop(peer);
    assert_eq!(rest(&mut client).await, (b"answer".to_vec(), None));
}

#[tokio::test]
async fn at_once_a_stall_does_not_dial_the_server() {
    let lab = Lab::new([Fault::Stall.into()]).await;
    let mut client = lab.dial().await;
    client.write_all(b"x").await.unwrap();
    soon(lab.proxy.wait_for(|stats| stats.stalls == 1)).await;
    assert!(timeout(30 * MS, lab.server.accept()).await.is_err());
    lab.proxy.resume().await;
    let (mut peer, _) = soon(lab.server.accept()).await.unwrap();
    assert_eq!(soon(peer.read_u8()).await.unwrap(), b'x');
}

#[tokio::test]
async fn a_half_open_connection_is_silent_and_let_go_when_its_client_has_gone() {
    let lab = Lab::new([Plan::new().after(3, ToServer, Fault::HalfOpen)]).await;
    let (mut client, mut peer) = lab.pair().await;
    client.write_all(b"abcdef").await.unwrap();
    let end = Some(ErrorKind::ConnectionReset);
    assert_eq!(rest(&mut peer).await, (b"abc".to_vec(), end));
    client.write_all(b"is nobody there?").await.unwrap();
    assert!(timeout(30 * MS, client.read_u8()).await.is_err());
    assert_eq!(lab.proxy.stats().open, 1);
    drop(client);
    soon(lab.proxy.wait_for(|stats| stats.open == 0)).await;
}

#[tokio::test]
async fn one_byte_at_a_time_is_many_reads() {
    let lab = Lab::new([Fault::OneByteAtATime.into()]).await;
    let (mut client, mut peer) = lab.pair().await;
    peer.write_all(&bytes(200)).await.unwrap();
    drop(peer);
    let (mut read, mut reads) = (Vec::new(), 0);
    while soon(client.read_buf(&mut read)).await.unwrap() > 0 {
        reads += 1;
    }
    assert_eq!(read, bytes(200));
    assert!(reads >= 20, "{reads} reads of 200 bytes");
    assert_eq!(lab.proxy.stats().crawls, 1);
}

#[tokio::test]
async fn a_delay_holds_what_is_sent_for_that_long() {
    let lab = Lab::new([Fault::Delay(50 * MS).into()]).await;
    let (mut client, mut peer) = lab.pair().await;
    let begun = Instant::now();
    peer.write_all(b"x").await.unwrap();
    soon(client.read_u8()).await.unwrap();
    assert!(begun.elapsed() >= 50 * MS);
    assert_eq!(lab.proxy.stats().delays, 1);
}

#[tokio::test]
async fn at_once_a_reset_never_reaches_the_server() {
    let lab = Lab::new([Fault::Reset.into()]).await;
    let mut client = lab.dial().await;
    let end = Some(ErrorKind::ConnectionReset);
    assert_eq!(rest(&mut client).await, (vec![], end));
    assert!(timeout(30 * MS, lab.server.accept()).await.is_err());
}

#[tokio::test]
async fn a_refusal_ends_after_its_time_or_by_command() {
    for is_commanded in [true, false] {
        let time = if is_commanded {
            DEADLINE * 60
        } else {
            100 * MS
        };
        let lab = Lab::new([Fault::Refuse(time).into()]).await;
        let mut client = lab.dial().await;
        rest(&mut client).await;
        let is_refused = soon(async {
            // The port follows its connection in a moment.
            while let Ok(mut client) = TcpStream::connect(lab.proxy.addr()).await {
                if rest(&mut client).await.1.is_none() {
                    return false;
                }
            }
            true
        });
        if is_commanded {
            assert!(is_refused.await);
            soon(lab.proxy.accept()).await;
        }
        soon(async { while TcpStream::connect(lab.proxy.addr()).await.is_err() {} }).await;
    }
}

#[tokio::test]
async fn while_it_refuses_the_port_is_reserved_and_open_connections_stay() {
    let lab = Lab::new([]).await;
    let (mut client, mut peer) = lab.pair().await;
    for _ in 0..10 {
        lab.proxy.refuse().await;
        let error = TcpStream::connect(lab.proxy.addr()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let thief = TcpSocket::new_v4().unwrap();
        assert!(thief.bind(lab.proxy.addr()).is_err());
        peer.write_all(b"x").await.unwrap();
        assert_eq!(soon(client.read_u8()).await.unwrap(), b'x');
        lab.proxy.accept().await;
        lab.pair().await;
    }
    assert_eq!(lab.proxy.stats().refusals, 10);
}

#[tokio::test]
async fn a_command_reaches_every_open_connection_and_is_done_when_it_returns() {
    let lab = Lab::new([]).await;
    let mut pairs = Vec::new();
    for _ in 0..10 {
        pairs.push(lab.pair().await);
    }
    assert_eq!(lab.proxy.commit(Fault::Stall).await, 10);
    assert_eq!(lab.proxy.stats().stalls, 10);
    // What is stalled already isn't stalled again.
    assert_eq!(lab.proxy.commit(Fault::Stall).await, 10);
    assert_eq!(lab.proxy.stats().stalls, 10);
    assert_eq!(lab.proxy.commit(Fault::Reset).await, 10);
    assert_eq!(lab.proxy.stats().resets, 10);
    for (mut client, mut peer) in pairs {
        assert!(rest(&mut client).await.1.is_some());
        assert!(rest(&mut peer).await.1.is_some());
    }
    assert_eq!(lab.proxy.commit(Fault::Reset).await, 0);
}

#[tokio::test]
async fn the_client_is_reset_if_there_is_no_server() {
    let lab = Lab::new([]).await;
    let Lab { proxy, server } = lab;
    drop(server);
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_eq!(rest(&mut client).await.1, Some(ErrorKind::ConnectionReset));
    assert_eq!(proxy.stats().unreachable, 1);
}

#[tokio::test]
async fn what_is_scripted_comes_first_then_what_the_function_says() {
    let lab = Lab::new([Fault::Reset.into(), Plan::new()]).await;
    let asked = Arc::new(Mutex::new(Vec::new()));
    let asking = Arc::clone(&asked);
    lab.proxy.otherwise(move |connection| {
        asking.lock().unwrap().push(connection);
        Fault::Reset.into()
    });
    let mut ends = Vec::new();
    for _ in 0..4 {
        let mut client = lab.dial().await;
        client.shutdown().await.unwrap();
        ends.push(match timeout(30 * MS, client.read_u8()).await {
            Ok(Err(error)) => error.kind() == ErrorKind::ConnectionReset,
            Ok(Ok(_)) | Err(_) => false,
        });
    }
    assert!(!ends[1]);
    assert_eq!(*asked.lock().unwrap(), [3, 4]);
    soon(lab.proxy.wait_for(|stats| stats.resets == 3)).await;
}

#[tokio::test]
async fn a_drop_ends_everything() {
    let metrics = tokio::runtime::Handle::current().metrics();
    let before = metrics.num_alive_tasks();
    let lab = Lab::new([]).await;
    let (mut client, mut peer) = lab.pair().await;
    let addr = lab.proxy.addr();
    drop(lab.proxy);
    rest(&mut client).await;
    rest(&mut peer).await;
    soon(async { while TcpStream::connect(addr).await.is_ok() {} }).await;
    assert_eq!(metrics.num_alive_tasks(), before);
}

#[tokio::test]
async fn a_command_that_spares_a_connection_dials_its_server_once() {
    let lab = Lab::new([]).await;
    for round in 1..=500 {
        let mut client = lab.dial().await;
        soon(lab.proxy.wait_for(|stats| stats.accepted == round)).await;
        lab.proxy.resume().await;
        client.write_all(b"x").await.unwrap();
        let (mut peer, _) = soon(lab.server.accept()).await.unwrap();
        assert_eq!(soon(peer.read_u8()).await.unwrap(), b'x');
    }
}
