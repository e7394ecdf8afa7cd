//! Dropping streams and futures.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_dropped_stream_leaves_nothing_behind() {
    for outcome in [Outcome::Accepts, Outcome::Hangs] {
        let network = Network::new();
        network.script([Outcome::Accepts]).otherwise(outcome);
        let mut stream = build(network.connector()).connect().await.unwrap();
        let handle = stream.handle();
        network.peer(1).reset();
        let _ = timeout(2 * SECOND, read(&mut stream)).await;
        drop(stream);
        assert_eq!((network.running(), network.open()), (0, 0));
        assert_eq!(handle.state(), State::Closed);
        handle.reconnect();
        handle.close();
        sleep(60 * SECOND).await;
        assert_eq!(network.attempts().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_write_loses_nothing() {
    let network = Network::new();
    network.script([Outcome::Accepts, Outcome::AcceptsAfter(3 * SECOND)]);
    let mut stream = build(network.connector()).connect().await.unwrap();
    network.peer(1).reset();
    let start = Instant::now();
    while timeout(SECOND / 10, stream.write_all(b"x")).await.is_err() {}
    assert_eq!(start.elapsed().as_secs(), 4);
    assert_eq!(network.attempts().len(), 2, "the attempt continued");
    assert_eq!(network.peer(2).received(), b"x");
}
