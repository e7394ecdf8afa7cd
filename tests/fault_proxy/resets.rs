//! A reset of one side reaches the other one, whatever the proxy does meanwhile.

use std::io::ErrorKind;
use std::time::Duration;

use reconnecting_stream::testing::{Direction, Fault, FaultProxy, Plan};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use super::lab::*;

/// A connection of which the client, or its peer, will be the side that resets. It is the first one.
async fn sides(lab: &Lab, is_client: bool) -> (TcpStream, TcpStream) {
    let (client, peer) = lab.pair().await;
    match is_client {
        true => (client, peer),
        false => (peer, client),
    }
}

fn reset(socket: TcpStream) {
    socket.set_zero_linger().unwrap();
    drop(socket);
}

async fn assert_ended(proxy: &FaultProxy) {
    soon(proxy.wait_for(|stats| stats.accepted > 0 && stats.open == 0)).await;
}

#[tokio::test]
async fn a_reset_of_one_side_is_passed_on_to_the_other() {
    let lab = Lab::new([]).await;
    for is_client in [true, false] {
        let (dies, mut survivor) = sides(&lab, is_client).await;
        reset(dies);
        let end = Some(ErrorKind::ConnectionReset);
        assert_eq!(rest(&mut survivor).await.1, end);
    }
}

#[tokio::test]
async fn a_reset_after_the_end_of_a_stream_is_passed_on() {
    let lab = Lab::new([]).await;
    for is_client in [true, false] {
        let (mut dies, mut survivor) = sides(&lab, is_client).await;
        dies.shutdown().await.unwrap();
        assert_eq!(rest(&mut survivor).await, (vec![], None));
        reset(dies);
        assert_ended(&lab.proxy).await;
        assert!(survivor.write_all(b"x").await.is_err());
    }
}

#[tokio::test]
async fn a_reset_overtakes_the_end_of_a_stream_that_is_late() {
    let day = Duration::from_secs(24 * 3600);
    let lab = Lab::new([Fault::SlowClose(day).into()]).await;
    let (mut client, mut peer) = lab.pair().await;
    client.shutdown().await.unwrap();
    assert!(timeout(30 * MS, peer.read_u8()).await.is_err());
    reset(client);
    assert_reset(peer).await;
}

#[tokio::test]
async fn a_reset_overtakes_the_bytes_that_are_late() {
    let (delay, jitter) = (Duration::from_secs(24 * 3600), Duration::ZERO);
    let bandwidth = |direction| Fault::Bandwidth {
        direction,
        bytes_per_second: 1,
    };
    let narrow = Plan::new().on_accept(bandwidth(Direction::ToServer));
    for plan in [
        Fault::Delay(delay).into(),
        Fault::Latency { delay, jitter }.into(),
        narrow.on_accept(bandwidth(Direction::ToClient)),
    ] {
        for is_client in [true, false] {
            let lab = Lab::new([plan.clone()]).await;
            let (mut dies, mut survivor) = sides(&lab, is_client).await;
            dies.write_all(&[7; 1000]).await.unwrap();
            let late = timeout(30 * MS, survivor.read_exact(&mut [0; 1000])).await;
            assert!(late.is_err(), "{plan:?}");
            reset(dies);
            assert_reset(survivor).await;
        }
    }
}

#[tokio::test]
async fn a_reset_of_a_side_that_waits_for_room_is_passed_on() {
    let lab = Lab::new([]).await;
    for is_client in [true, false] {
        let (mut dies, survivor) = sides(&lab, is_client).await;
        // The survivor does not read, so that the proxy waits for room.
        while timeout(200 * MS, dies.write(&[7; 64 * 1024])).await.is_ok() {}
        reset(dies);
        assert_ended(&lab.proxy).await;
        assert_reset(survivor).await;
    }
}

#[tokio::test]
async fn a_reset_of_the_client_ends_the_connect_to_the_server() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let server = socket.listen(0).unwrap();
    let addr = server.local_addr().unwrap();
    // The kernel drops further SYNs when the queue of the server is full, so the proxy's connect hangs.
    let mut queue = Vec::new();
    while let Ok(queued) = timeout(200 * MS, TcpStream::connect(addr)).await {
        queue.push(queued.unwrap());
    }
    let proxy = FaultProxy::start(addr).await.unwrap();
    let client = connect(&proxy).await.unwrap();
    assert_eq!(proxy.stats().open, 1);
    reset(client);
    assert_ended(&proxy).await;
    assert_eq!(proxy.stats().unreachable, 0);
}

#[tokio::test(start_paused = true)]
async fn commands_do_not_put_off_the_end_of_a_silent_connection_whose_client_has_gone() {
    for fault in [Fault::Stall, Fault::HalfOpen] {
        let lab = Lab::new([]).await;
        let client = lab.dial().await;
        let _peer = lab.server.accept().await.unwrap();
        assert_eq!(lab.proxy.inject(fault).await, 1);
        drop(client);
        for _ in 0..3 {
            assert_eq!(lab.proxy.stats().open, 1);
            lab.proxy.inject(Fault::Slice(9)).await;
            sleep(Duration::from_secs(2)).await;
        }
        assert_eq!(lab.proxy.stats().open, 0, "{fault:?}");
    }
}
