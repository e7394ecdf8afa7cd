//! The idle timeout.

use super::*;

async fn connect(network: &Network) -> ReconnectingStream<impl Connect<Io = Wire>> {
    connect_by(policy().idle_timeout(5 * SECOND), network).await
}

async fn connect_by(
    policy: Policy,
    network: &Network,
) -> ReconnectingStream<impl Connect<Io = Wire>> {
    let builder = ReconnectingStream::builder(network.connector());
    builder
        .policy(policy)
        .seam(Seam::Error)
        .connect()
        .await
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_write_that_waits_too_long_is_no_loss() {
    let network = Network::new();
    let mut stream = connect(&network).await;
    network.peer(1).set_room(0);
    let waiting = timeout(100 * SECOND, stream.write_all(b"x")).await;
    assert!(waiting.is_err());
    assert_eq!(stream.state(), State::Connected { generation: 1 });
}

#[tokio::test(start_paused = true)]
async fn a_read_that_waits_too_long_is_a_loss() {
    let network = Network::new();
    let mut stream = connect(&network).await;
    let start = Instant::now();
    let error = read(&mut stream).await.unwrap_err();
    assert_eq!(start.elapsed().as_secs(), 5);
    assert_eq!(lost(&error).unwrap().cause.kind(), ErrorKind::TimedOut);
    assert!(network.peer(1).is_dropped());
}

#[tokio::test(start_paused = true)]
async fn every_byte_restarts_the_idle_timeout() {
    let network = Network::new();
    let mut stream = connect(&network).await;
    for _ in 0..10 {
        assert!(timeout(4 * SECOND, read(&mut stream)).await.is_err());
        network.peer(1).send(b"x");
        assert_eq!(read(&mut stream).await.unwrap(), b"x");
    }
    assert_eq!(stream.generation(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_wait_of_a_dropped_read_continues_in_the_next_one() {
    let network = Network::new();
    let mut stream = connect(&network).await;
    let start = Instant::now();
    let error = loop {
        if let Ok(result) = timeout(SECOND / 4, read(&mut stream)).await {
            break result.unwrap_err();
        }
    };
    assert!(lost(&error).is_some());
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn the_idle_timeout_does_not_run_while_no_task_reads() {
    let network = Network::new();
    let mut stream = connect(&network).await;
    assert!(timeout(SECOND, read(&mut stream)).await.is_err());
    sleep(60 * SECOND).await;
    assert!(timeout(4 * SECOND, read(&mut stream)).await.is_err());
    let error = timeout(3 * SECOND, read(&mut stream)).await;
    assert!(lost(&error.unwrap().unwrap_err()).is_some());
}

#[tokio::test(start_paused = true)]
async fn extreme_idle_timeouts_are_clamped() {
    for limit in [Duration::ZERO, Duration::MAX] {
        let network = Network::new();
        let mut stream = connect_by(policy().idle_timeout(limit), &network).await;
        let waited = timeout(3600 * SECOND, read(&mut stream)).await;
        assert_eq!(waited.is_ok(), limit.is_zero());
    }
}
