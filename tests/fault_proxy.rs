//! The fault proxy does what it says, seen from bare sockets on both of its sides.

#[path = "fault_proxy/commands.rs"]
mod commands;
#[path = "fault_proxy/counters.rs"]
mod counters;
#[path = "fault_proxy/idle.rs"]
mod idle;
#[path = "fault_proxy/lab.rs"]
mod lab;
#[path = "fault_proxy/plans.rs"]
mod plans;
#[path = "fault_proxy/port.rs"]
mod port;
#[path = "fault_proxy/resets.rs"]
mod resets;
#[path = "fault_proxy/shapes.rs"]
mod shapes;
#[path = "support/soon.rs"]
mod soon;

use std::io::ErrorKind;
use std::time::Instant;

use reconnecting_stream::testing::{Direction, Fault, Plan};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use Direction::{ToClient, ToServer};
use lab::{Lab, MS, assert_closed, bytes, rest, soon, without_a_server};

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

/// Asserts that so many bytes were read, or fewer if a reset has overtaken them, as it does when
/// the kernel handles the two on different processors.
fn assert_prefix((read, end): (Vec<u8>, Option<ErrorKind>), n: u32, expected: Option<ErrorKind>) {
    assert_eq!(end, expected);
    let sent = bytes(n);
    assert!(sent.starts_with(&read), "{} bytes of {n}", read.len());
    assert!(end.is_some() || read == sent, "{} bytes of {n}", read.len());
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
            assert_prefix(rest(&mut client).await, n, end);
            assert_eq!(lab.proxy.stats().to_client, n.into(), "{fault:?}");
            soon(lab.proxy.wait_for(|stats| stats.open == 0)).await;
            soon(lab.proxy.accept()).await;

            let (mut client, mut peer) = lab.pair().await;
            if n > 0 {
                client.write_all(&bytes(40_000)).await.unwrap();
            }
            assert_prefix(rest(&mut peer).await, n, end);
            assert_eq!(lab.proxy.stats().to_server, n.into(), "{fault:?}");
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
async fn on_accept_a_stall_does_not_dial_the_server() {
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
async fn a_half_open_connection_is_silent_and_closed_when_its_client_has_gone() {
    let lab = Lab::new([Plan::new().after(3, ToServer, Fault::HalfOpen)]).await;
    let (mut client, mut peer) = lab.pair().await;
    client.write_all(b"abcdef").await.unwrap();
    let (read, end) = rest(&mut peer).await;
    assert_eq!(end, Some(ErrorKind::ConnectionReset));
    // The reset may overtake them.
    assert!(b"abc".starts_with(&read), "{read:?}");
    assert_eq!(lab.proxy.stats().to_server, 3);
    client.write_all(b"is a server there?").await.unwrap();
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
    assert_eq!(lab.proxy.stats().one_byte_at_a_time, 1);
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
async fn on_accept_a_reset_never_reaches_the_server() {
    let lab = Lab::new([Fault::Reset.into()]).await;
    let mut client = lab.dial().await;
    let end = Some(ErrorKind::ConnectionReset);
    assert_eq!(rest(&mut client).await, (vec![], end));
    assert!(timeout(30 * MS, lab.server.accept()).await.is_err());
}

#[tokio::test]
async fn the_client_is_reset_if_there_is_no_server() {
    let (proxy, _vacant) = without_a_server().await;
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_eq!(rest(&mut client).await.1, Some(ErrorKind::ConnectionReset));
    assert_eq!(proxy.stats().unreachable, 1);
}

#[tokio::test]
async fn a_drop_of_the_proxy_ends_everything() {
    let metrics = tokio::runtime::Handle::current().metrics();
    let before = metrics.num_alive_tasks();
    let lab = Lab::new([]).await;
    let (mut client, mut peer) = lab.pair().await;
    let addr = lab.proxy.addr();
    drop(lab.proxy);
    rest(&mut client).await;
    rest(&mut peer).await;
    assert_closed(addr).await;
    assert_eq!(metrics.num_alive_tasks(), before);
}
