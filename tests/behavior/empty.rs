//! Operations on no bytes, and connections that take none.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_read_into_an_empty_buffer_is_passed_through() {
    let network = Network::new();
    let mut stream = build(network.connector()).connect().await.unwrap();
    network.peer(1).close();
    assert_eq!(stream.read(&mut []).await.unwrap(), 0);
    assert_eq!(stream.generation(), 1);
    assert!(!network.peer(1).is_dropped());
}

#[tokio::test(start_paused = true)]
async fn a_write_of_an_empty_slice_is_passed_through() {
    let network = Network::new();
    let mut stream = build(network.connector()).connect().await.unwrap();
    assert_eq!(stream.write(&[]).await.unwrap(), 0);
    let empty = [IoSlice::new(&[]), IoSlice::new(&[])];
    assert_eq!(stream.write_vectored(&empty).await.unwrap(), 0);
    assert_eq!(stream.state(), State::Connected { generation: 1 });
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_takes_nothing_is_lost() {
    for is_vectored in [false, true] {
        let mut stream = ReconnectingStream::builder(|| async { Ok(TakesNothing) })
            .policy(policy().max_attempts(2))
            .connect()
            .await
            .unwrap();
        let slices = [IoSlice::new(&[]), IoSlice::new(b"x")];
        let written = match is_vectored {
            false => stream.write(b"x").await,
            true => stream.write_vectored(&slices).await,
        };
        let error = written.unwrap_err();
        assert_eq!(gave_up(&error).unwrap().attempts, 2);
        assert_eq!(error.kind(), ErrorKind::WriteZero);
    }
}
