//! `connect`, `lazy` and `wrap`.

use super::*;

#[tokio::test(start_paused = true)]
async fn connect_makes_one_attempt_and_returns_its_error() {
    let network = Network::new();
    network.otherwise(Outcome::Refuses(ErrorKind::ConnectionRefused));
    let error = build(network.connector()).connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert!(gave_up(&error).is_none());
    assert_eq!(network.attempts().len(), 1);

    network.otherwise(Outcome::Hangs);
    let error = build(network.connector()).connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn connect_repeats_the_attempt_with_retry_initial_connect() {
    let network = Network::new();
    network.script([Outcome::Refuses(ErrorKind::ConnectionRefused); 3]);
    let builder = build(network.connector()).retry_initial_connect(true);
    let start = Instant::now();
    let stream = builder.connect().await.unwrap();
    assert_eq!(start.elapsed(), 3 * SECOND);
    assert_eq!((network.attempts().len(), stream.generation()), (4, 1));

    network.otherwise(Outcome::Refuses(ErrorKind::ConnectionRefused));
    let builder = build(network.connector())
        .policy(policy().max_attempts(5))
        .retry_initial_connect(true);
    let error = builder.connect().await.unwrap_err();
    assert_eq!(gave_up(&error).unwrap().attempts, 5);
}

#[tokio::test(start_paused = true)]
async fn lazy_dials_at_the_first_poll() {
    let network = Network::new();
    let mut stream = build(network.connector()).lazy();
    sleep(SECOND).await;
    assert_eq!((network.attempts().len(), stream.generation()), (0, 0));
    let before = Instant::now();
    stream.write_all(b"x").await.unwrap();
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!(stream.generation(), 1);
}

#[tokio::test(start_paused = true)]
async fn lazy_makes_one_attempt_even_if_it_may_not_reconnect() {
    let network = Network::new();
    let mut stream = build(network.connector())
        .policy(policy().max_attempts(0))
        .lazy();
    assert_eq!(stream.connected().await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn wrap_begins_with_a_connection() {
    let network = Network::new();
    let (wire, peer) = Wire::new();
    let mut stream = build(network.connector()).wrap(wire);
    assert_eq!(stream.state(), State::Connected { generation: 1 });
    stream.write_all(b"x").await.unwrap();
    assert_eq!(peer.received(), b"x");
    peer.reset();
    stream.write_all(b"y").await.unwrap();
    assert_eq!(stream.generation(), 2);
}

#[tokio::test(start_paused = true)]
async fn dropping_connect_drops_the_attempt() {
    for retry in [true, false] {
        let network = Network::new();
        network.otherwise(Outcome::Hangs);
        let builder = build(network.connector()).retry_initial_connect(retry);
        assert!(timeout(SECOND, builder.connect()).await.is_err());
        assert_eq!((network.attempts().len(), network.running()), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_connector_made_with_connect_fn_gets_the_attempt() {
    let mut numbers = Vec::new();
    let connector = connect_fn(|attempt| {
        numbers.push(attempt.number);
        let fails = attempt.number < 3;
        async move {
            if fails {
                return Err(ErrorKind::ConnectionRefused.into());
            }
            Ok(Wire::new().0)
        }
    });
    let mut stream = build(connector).lazy();
    assert_eq!(stream.connected().await.unwrap(), 1);
    drop(stream);
    assert_eq!(numbers, [1, 2, 3]);
}
