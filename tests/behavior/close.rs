//! Closing by a handle.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_close_interrupts_a_backoff_and_an_attempt_in_flight() {
    for outcome in [
        Outcome::Hangs,
        Outcome::Refuses(ErrorKind::ConnectionRefused),
    ] {
        let network = Network::new();
        network.script([Outcome::Accepts]).otherwise(outcome);
        let mut stream = build(network.connector()).connect().await.unwrap();
        let handle = stream.handle();
        network.peer(1).reset();
        let (result, ()) = tokio::join!(stream.write(b"x"), async {
            sleep(3 * SECOND / 2).await;
            handle.close();
        });
        assert_eq!(result.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(network.running(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_close_reads_return_the_end_and_writes_a_broken_pipe() {
    let network = Network::new();
    let mut stream = build(network.connector()).connect().await.unwrap();
    network.peer(1).send(b"unread");
    let handle = stream.handle();
    handle.close();
    for _ in 0..2 {
        assert_eq!(read(&mut stream).await.unwrap(), b"");
        assert_eq!(
            stream.write(b"x").await.unwrap_err().kind(),
            ErrorKind::BrokenPipe
        );
        assert_eq!(
            stream.flush().await.unwrap_err().kind(),
            ErrorKind::BrokenPipe
        );
        let error = stream.connected().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotConnected);
    }
    stream.shutdown().await.unwrap();
    assert!(network.peer(1).is_dropped());
    assert_eq!(handle.state(), State::Closed);
    handle.reconnect();
    assert_eq!(read(&mut stream).await.unwrap(), b"");
}

#[tokio::test(start_paused = true)]
async fn a_close_is_executed_though_data_never_stops_arriving() {
    let network = Network::new();
    let mut stream = build(network.connector()).connect().await.unwrap();
    network.peer(1).set_chunk(1);
    network.peer(1).send(&[b'x'; 100]);
    read(&mut stream).await.unwrap();
    stream.handle().close();
    assert_eq!(read(&mut stream).await.unwrap(), b"");
}
