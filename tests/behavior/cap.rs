//! Giving up.

use super::*;

#[tokio::test(start_paused = true)]
async fn after_giving_up_every_poll_of_either_half_returns_the_same_error() {
    let network = Network::new();
    network
        .script([Outcome::Accepts])
        .otherwise(Outcome::Refuses(ErrorKind::ConnectionRefused));
    let mut stream = build(network.connector())
        .policy(policy().max_attempts(3))
        .connect()
        .await
        .unwrap();
    network.peer(1).reset();
    for _ in 0..3 {
        for error in [
            stream.write(b"x").await.unwrap_err(),
            stream.read(&mut [0; 4]).await.unwrap_err(),
            stream.flush().await.unwrap_err(),
            stream
                .write_vectored(&[IoSlice::new(b"x")])
                .await
                .unwrap_err(),
            stream.connected().await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
            let gave_up = gave_up(&error).unwrap();
            assert_eq!((gave_up.attempts, gave_up.outage), (3, 3 * SECOND));
            assert_eq!(gave_up.last_error.kind(), ErrorKind::ConnectionRefused);
        }
    }
    assert_eq!(network.attempts().len(), 4);
    let error = stream.shutdown().await.unwrap_err();
    assert!(gave_up(&error).is_some());
}

#[tokio::test(start_paused = true)]
async fn with_max_attempts_of_zero_a_stream_never_reconnects() {
    let network = Network::new();
    let mut stream = build(network.connector())
        .policy(policy().max_attempts(0))
        .connect()
        .await
        .unwrap();
    network.peer(1).reset();
    let error = stream.write(b"x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(gave_up(&error).unwrap().attempts, 0);
    assert!(network.peer(1).is_dropped());
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_delays_is_the_end_of_the_outage() {
    let network = Network::new();
    network
        .script([Outcome::Accepts])
        .otherwise(Outcome::Refuses(ErrorKind::ConnectionRefused));
    let delays = Backoff::from_factory(|| vec![SECOND, 2 * SECOND]);
    let mut stream = build(network.connector())
        .policy(policy().backoff(delays))
        .connect()
        .await
        .unwrap();
    network.peer(1).reset();
    let error = stream.write(b"x").await.unwrap_err();
    assert_eq!(gave_up(&error).unwrap().attempts, 2);
    assert_eq!(gave_up(&error).unwrap().outage, 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_reconnect_after_giving_up_starts_afresh() {
    for by_handle in [true, false] {
        let network = Network::new();
        network.script([Outcome::Accepts]);
        let mut stream = build(network.connector())
            .policy(policy().max_attempts(0))
            .connect()
            .await
            .unwrap();
        network.peer(1).reset();
        assert!(stream.write(b"x").await.is_err());
        let before = Instant::now();
        if by_handle {
            stream.handle().reconnect();
        } else {
            stream.reconnect();
        }
        stream.write_all(b"x").await.unwrap();
        assert_eq!(before.elapsed(), Duration::ZERO, "without a delay");
        assert_eq!(network.attempts()[1].attempt.number, 1);
    }
}
