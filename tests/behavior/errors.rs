//! Which errors are losses.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_error_of_a_lost_kind_drops_the_connection_immediately() {
    for operation in ["read", "write", "flush"] {
        let network = Network::new();
        let mut stream = build(network.connector()).connect().await.unwrap();
        network.peer(1).reset();
        let mut task = pin!(async {
            match operation {
                "read" => read(&mut stream).await.map(drop),
                "write" => stream.write_all(b"x").await,
                _ => stream.flush().await,
            }
        });
        assert!(Task::new().poll_future(task.as_mut()).is_pending());
        assert!(
            network.peer(1).is_dropped(),
            "before the backoff: {operation}"
        );
        assert_eq!(
            network.attempts().len(),
            1,
            "the backoff has begun: {operation}"
        );
        if operation == "read" {
            sleep(SECOND + SECOND).await;
            continue;
        }
        task.await.unwrap();
        assert_eq!(network.connections(), 2, "{operation}");
    }
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
