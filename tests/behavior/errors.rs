//! Which errors are losses.

use super::*;

/// Asserts that the connection is dropped when the backoff begins, not when it ends.
fn assert_dropped_before_the_backoff<F: Future>(network: &Network, operation: Pin<&mut F>) {
    network.peer(1).reset();
    assert!(Task::new().poll_future(operation).is_pending());
    assert!(network.peer(1).is_dropped());
    assert_eq!(network.attempts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_read_that_meets_a_reset_drops_the_connection_immediately() {
    let network = Network::new();
    let mut stream = build(network.connector()).connect().await.unwrap();
    let mut reading = pin!(read(&mut stream));
    assert_dropped_before_the_backoff(&network, reading.as_mut());
    assert!(timeout(2 * SECOND, reading).await.is_err());
    assert_eq!(network.connections(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_meets_a_reset_drops_the_connection_immediately() {
    let network = Network::new();
    let mut stream = build(network.connector()).connect().await.unwrap();
    let mut writing = pin!(stream.write_all(b"x"));
    assert_dropped_before_the_backoff(&network, writing.as_mut());
    writing.await.unwrap();
    assert_eq!(network.connections(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_flush_that_meets_a_reset_drops_the_connection_immediately() {
    let network = Network::new();
    let mut stream = build(network.connector()).connect().await.unwrap();
    let mut flushing = pin!(stream.flush());
    assert_dropped_before_the_backoff(&network, flushing.as_mut());
    flushing.await.unwrap();
    assert_eq!(network.connections(), 2);
}

#[tokio::test(start_paused = true)]
async fn errors_of_broken_connections_are_losses_by_default() {
    for kind in [
        ErrorKind::ConnectionReset,
        ErrorKind::ConnectionAborted,
        ErrorKind::ConnectionRefused,
        ErrorKind::BrokenPipe,
        ErrorKind::NotConnected,
        ErrorKind::TimedOut,
        ErrorKind::HostUnreachable,
        ErrorKind::NetworkUnreachable,
        ErrorKind::NetworkDown,
        ErrorKind::UnexpectedEof,
        ErrorKind::WriteZero,
    ] {
        let network = Network::new();
        let mut stream = build(network.connector()).connect().await.unwrap();
        network.peer(1).fault(Fault::Error(kind));
        stream.write_all(b"x").await.unwrap();
        assert_eq!(network.peer(2).received(), b"x", "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn other_errors_are_returned_and_the_connection_stays() {
    for kind in [
        ErrorKind::Interrupted,
        ErrorKind::WouldBlock,
        ErrorKind::InvalidData,
        ErrorKind::InvalidInput,
        ErrorKind::PermissionDenied,
        ErrorKind::Unsupported,
        ErrorKind::OutOfMemory,
    ] {
        let network = Network::new();
        let mut stream = build(network.connector()).connect().await.unwrap();
        network.peer(1).fault(Fault::Error(kind));
        assert_eq!(read(&mut stream).await.unwrap_err().kind(), kind);
        assert_eq!(stream.write(b"x").await.unwrap_err().kind(), kind);
        network.peer(1).heal();
        stream.write_all(b"x").await.unwrap();
        assert_eq!(
            network.peer(1).received(),
            b"x",
            "the connection stays: {kind}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_classifier_replaces_the_default_verdicts() {
    fn classify(error: &io::Error, phase: Phase) -> Verdict {
        match (error.kind(), phase) {
            (ErrorKind::InvalidData, Phase::Read) => Verdict::Lost,
            (ErrorKind::ConnectionReset, Phase::Write) => Verdict::Surface,
            (ErrorKind::TimedOut, Phase::Flush) => Verdict::Permanent,
            _ => Verdict::of(error, phase),
        }
    }
    let network = Network::new();
    let mut stream = build(network.connector())
        .policy(policy().classify(classify))
        .connect()
        .await
        .unwrap();

    network.peer(1).reset();
    let surfaced = stream.write(b"x").await.unwrap_err();
    assert_eq!(surfaced.kind(), ErrorKind::ConnectionReset);
    assert!(lost(&surfaced).is_none());
    assert_eq!(stream.generation(), 1);

    network.peer(1).fault(Fault::Error(ErrorKind::InvalidData));
    assert!(timeout(2 * SECOND, read(&mut stream)).await.is_err());
    assert_eq!(stream.generation(), 2);

    network.peer(2).fault(Fault::Error(ErrorKind::TimedOut));
    let end = stream.flush().await.unwrap_err();
    assert_eq!(gave_up(&end).unwrap().attempts, 1);
    assert_eq!(stream.state(), State::GaveUp);
}
