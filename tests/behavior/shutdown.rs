//! Shutting down.

use super::*;

#[tokio::test(start_paused = true)]
async fn after_a_shutdown_reads_continue_until_the_end_and_nothing_reconnects() {
    let network = Network::new();
    let mut stream = build(network.connector()).connect().await.unwrap();
    stream.write_all(b"request").await.unwrap();
    stream.shutdown().await.unwrap();
    assert!(network.peer(1).is_shut_down());
    network.peer(1).send(b"reply");
    assert_eq!(read(&mut stream).await.unwrap(), b"reply");
    network.peer(1).close();
    for _ in 0..2 {
        assert_eq!(read(&mut stream).await.unwrap(), b"");
    }
    assert_eq!(stream.state(), State::Closed);
    assert!(network.peer(1).is_dropped());
    assert_eq!(network.attempts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_loss_after_a_shutdown_is_reported_to_the_reader() {
    let network = Network::new();
    let mut stream = build(network.connector())
        .seam(Seam::Error)
        .connect()
        .await
        .unwrap();
    stream.shutdown().await.unwrap();
    network.peer(1).reset();
    let error = read(&mut stream).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(lost(&error).unwrap().generation, 1);
    stream.flush().await.unwrap();
    assert_eq!(read(&mut stream).await.unwrap(), b"");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_whose_error_is_permanent_fails_each_time() {
    let network = Network::new();
    let policy = policy().classify(|_, _| Verdict::Permanent);
    let mut stream = build(network.connector())
        .policy(policy)
        .connect()
        .await
        .unwrap();
    network.peer(1).fault(Fault::Error(ErrorKind::InvalidData));
    for _ in 0..2 {
        let error = stream.shutdown().await.unwrap_err();
        assert!(gave_up(&error).is_some());
    }
    assert_eq!(stream.state(), State::GaveUp);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_during_an_outage_cancels_the_attempt() {
    for outcome in [
        Outcome::Hangs,
        Outcome::Refuses(ErrorKind::ConnectionRefused),
    ] {
        let network = Network::new();
        network.script([Outcome::Accepts]).otherwise(outcome);
        let mut stream = build(network.connector()).connect().await.unwrap();
        network.peer(1).reset();
        assert!(timeout(3 * SECOND / 2, stream.write(b"x")).await.is_err());
        stream.shutdown().await.unwrap();
        assert_eq!(network.running(), 0);
        assert_eq!(stream.state(), State::Closed);
        stream.shutdown().await.unwrap();
        stream.flush().await.unwrap();
        let error = read(&mut stream).await.unwrap_err();
        assert!(lost(&error).is_some(), "a cut reply must not look complete");
        assert_eq!(read(&mut stream).await.unwrap(), b"");
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_before_the_first_connection_makes_no_attempt() {
    let network = Network::new();
    let mut stream = build(network.connector()).lazy();
    stream.shutdown().await.unwrap();
    assert!(stream.write(b"x").await.is_err());
    assert_eq!(network.attempts().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_second_shutdown_succeeds_and_writes_after_it_are_a_broken_pipe() {
    let network = Network::new();
    let mut stream = build(network.connector()).connect().await.unwrap();
    stream.shutdown().await.unwrap();
    stream.shutdown().await.unwrap();
    let error = stream.write(b"x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    stream.flush().await.unwrap();
    assert_eq!(network.peer(1).received(), b"");
}

#[tokio::test(start_paused = true)]
async fn nothing_can_be_written_while_a_shutdown_is_pending() {
    let network = Network::new();
    let mut stream = build(network.connector()).connect().await.unwrap();
    network.peer(1).stall_shutdown(true);
    assert!(timeout(SECOND, stream.shutdown()).await.is_err());
    assert!(stream.write(b"x").await.is_err());
    network.peer(1).stall_shutdown(false);
    stream.shutdown().await.unwrap();
    assert!(network.peer(1).is_shut_down());
}

#[tokio::test(start_paused = true)]
async fn a_loss_met_by_a_shutdown_ends_the_stream() {
    for seam in [Seam::Hidden, Seam::Error, Seam::Eof] {
        let network = Network::new();
        let mut stream = build(network.connector())
            .seam(seam)
            .connect()
            .await
            .unwrap();
        network.peer(1).reset();
        for _ in 0..2 {
            let error = stream.shutdown().await.unwrap_err();
            assert!(lost(&error).is_some());
            assert_eq!(stream.state(), State::Closed);
        }
        let error = read(&mut stream).await.unwrap_err();
        assert!(lost(&error).is_some(), "the reader is told as well");
        assert_eq!(read(&mut stream).await.unwrap(), b"");
        assert_eq!(network.attempts().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn no_command_reconnects_a_stream_that_was_shut_down() {
    let network = Network::new();
    let mut stream = build(network.connector()).connect().await.unwrap();
    let handle = stream.handle();
    stream.shutdown().await.unwrap();
    handle.reconnect();
    stream.reconnect();
    network.peer(1).close();
    assert_eq!(read(&mut stream).await.unwrap(), b"");
    handle.reconnect();
    assert_eq!(read(&mut stream).await.unwrap(), b"");
    assert_eq!(network.attempts().len(), 1);
}
