//! Faults that shape what is relayed. The times are those of Tokio's paused clock, which advances while
//! the test and the proxy wait.

use std::io::ErrorKind;
use std::time::Duration;

use reconnecting_stream::testing::{Direction, Fault, FaultProxy, Plan};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::lab::{Lab, bytes};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// A client and its peer. It has no timeout, which the paused clock would end.
async fn pair(lab: &Lab) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(lab.proxy.addr()).await.unwrap();
    (client, lab.server.accept().await.unwrap().0)
}

/// Sends so many bytes, reads them, and returns how long that took and how many reads it took.
async fn relay(n: u32, from: &mut TcpStream, to: &mut TcpStream) -> (Duration, usize) {
    let begun = Instant::now();
    let (mut read, mut reads) = (Vec::new(), 0);
    let sent = bytes(n);
    let reading = async {
        while read.len() < sent.len() {
            assert!(to.read_buf(&mut read).await.unwrap() > 0);
            reads += 1;
        }
    };
    let (written, ()) = tokio::join!(from.write_all(&sent), reading);
    written.unwrap();
    assert_eq!(read, sent);
    (begun.elapsed(), reads)
}

#[tokio::test(start_paused = true)]
async fn a_latency_is_paid_once_by_all_that_is_in_flight() {
    let (delay, jitter) = (HOUR, HOUR / 2);
    let plan = Plan::new().on_accept(Fault::Latency { delay, jitter });
    let lab = Lab::new([plan.seed(3)]).await;
    let (mut client, mut peer) = pair(&lab).await;
    // 20 reads of the proxy.
    let (took, _) = relay(320_000, &mut client, &mut peer).await;
    assert!(took >= HOUR / 2, "{took:?}");
    assert!(took < 4 * HOUR, "{took:?}");
    let (took, _) = relay(1, &mut peer, &mut client).await;
    assert!(took >= HOUR / 2, "{took:?}");
    assert_eq!(lab.proxy.stats().latencies, 1);
}

#[tokio::test(start_paused = true)]
async fn more_than_what_may_be_in_flight_waits_and_arrives() {
    let (delay, jitter) = (HOUR, Duration::ZERO);
    let lab = Lab::new([Fault::Latency { delay, jitter }.into()]).await;
    let (mut client, mut peer) = pair(&lab).await;
    let (took, _) = relay(4_000_000, &mut client, &mut peer).await;
    assert!(took >= 3 * HOUR, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_bandwidth_limits_its_direction_only() {
    let limit = Fault::Bandwidth {
        direction: Direction::ToClient,
        bytes_per_second: 1000,
    };
    let lab = Lab::new([limit.into()]).await;
    let (mut client, mut peer) = pair(&lab).await;
    let (took, _) = relay(100_000, &mut peer, &mut client).await;
    assert!((99 * SECOND..110 * SECOND).contains(&took), "{took:?}");
    let (took, _) = relay(100_000, &mut client, &mut peer).await;
    assert!(took < SECOND, "{took:?}");
    assert_eq!(lab.proxy.stats().bandwidths, 1);
}

#[tokio::test(start_paused = true)]
async fn a_bandwidth_of_zero_relays_a_byte_a_second() {
    let limit = Fault::Bandwidth {
        direction: Direction::ToServer,
        bytes_per_second: 0,
    };
    let lab = Lab::new([limit.into()]).await;
    let (mut client, mut peer) = pair(&lab).await;
    let (took, reads) = relay(10, &mut client, &mut peer).await;
    assert!((9 * SECOND..12 * SECOND).contains(&took), "{took:?}");
    assert!(reads >= 9, "{reads}");
}

#[tokio::test(start_paused = true)]
async fn slices_reach_a_fast_reader_one_by_one() {
    let slow = Fault::Bandwidth {
        direction: Direction::ToClient,
        bytes_per_second: 1000,
    };
    for (slice, least) in [(3, 80), (0, 250)] {
        let plan = Plan::new().on_accept(slow).on_accept(Fault::Slice(slice));
        let lab = Lab::new([plan]).await;
        let (mut client, mut peer) = pair(&lab).await;
        let (_, reads) = relay(300, &mut peer, &mut client).await;
        assert!(reads >= least, "{reads} reads of slices of {slice}");
        assert_eq!(lab.proxy.stats().slices, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_is_a_stall_that_ends_with_a_close() {
    let lab = Lab::new([Plan::new().after(3, Direction::ToServer, Fault::Timeout(HOUR))]).await;
    let (mut client, mut peer) = pair(&lab).await;
    let begun = Instant::now();
    client.write_all(b"abcdef").await.unwrap();
    let mut read = Vec::new();
    peer.read_to_end(&mut read).await.unwrap();
    assert_eq!(read, b"abc");
    assert!(begun.elapsed() >= HOUR);
    assert_eq!(lab.proxy.stats().timeouts, 1);
    lab.proxy.wait_for(|stats| stats.open == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_timeout_is_resumed_as_a_stall_is() {
    let lab = Lab::new([]).await;
    let (mut client, mut peer) = pair(&lab).await;
    relay(1, &mut client, &mut peer).await;
    lab.proxy.inject(Fault::Timeout(Duration::MAX)).await;
    client.write_all(b"x").await.unwrap();
    assert!(timeout(HOUR, peer.read_u8()).await.is_err());
    lab.proxy.inject(Fault::Timeout(HOUR)).await;
    lab.proxy.resume().await;
    assert_eq!(peer.read_u8().await.unwrap(), b'x');
    assert!(timeout(2 * HOUR, peer.read_u8()).await.is_err());
    relay(9, &mut peer, &mut client).await;
}

#[tokio::test(start_paused = true)]
async fn a_timeout_closes_after_its_time_even_if_the_client_has_finished() {
    let lab = Lab::new([]).await;
    let (mut client, mut peer) = pair(&lab).await;
    relay(1, &mut client, &mut peer).await;
    let begun = Instant::now();
    lab.proxy.inject(Fault::Timeout(HOUR)).await;
    client.shutdown().await.unwrap();
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(peer.read(&mut [0]).await.unwrap(), 0);
    assert!(begun.elapsed() >= HOUR);
}

#[tokio::test(start_paused = true)]
async fn a_stall_replaces_the_time_of_a_timeout() {
    let lab = Lab::new([]).await;
    let (mut client, mut peer) = pair(&lab).await;
    relay(1, &mut client, &mut peer).await;
    lab.proxy.inject(Fault::Timeout(HOUR)).await;
    lab.proxy.inject(Fault::Stall).await;
    assert!(timeout(2 * HOUR, client.read_u8()).await.is_err());
    assert_eq!(lab.proxy.stats().stalls, 1);
    lab.proxy.resume().await;
    relay(9, &mut peer, &mut client).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_close_delays_the_end_but_not_the_bytes() {
    let lab = Lab::new([Fault::SlowClose(HOUR).into()]).await;
    let (mut client, mut peer) = pair(&lab).await;
    let (took, _) = relay(1000, &mut peer, &mut client).await;
    assert!(took < SECOND, "{took:?}");
    let begun = Instant::now();
    peer.shutdown().await.unwrap();
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    assert!(begun.elapsed() >= HOUR);
    relay(1000, &mut client, &mut peer).await;
    assert_eq!(lab.proxy.stats().slow_closes, 1);
}

#[tokio::test]
async fn the_port_can_be_chosen_unless_it_is_taken() {
    let lab = Lab::new([]).await;
    let upstream = lab.server.local_addr().unwrap();
    let taken = FaultProxy::bind(upstream, upstream).await.unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AddrInUse);
    let free = "127.0.0.1:0".parse().unwrap();
    let proxy = FaultProxy::bind(free, upstream).await.unwrap();
    let addr = proxy.addr();
    drop(proxy);
    let proxy = FaultProxy::bind(addr, upstream).await.unwrap();
    assert_eq!(proxy.addr(), addr);
    assert!(TcpStream::connect(addr).await.is_ok());
}
