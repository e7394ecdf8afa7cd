//! Accessors, and `reconnect` of a stream.

use super::*;

#[tokio::test(start_paused = true)]
async fn accessors_reach_the_connection_while_there_is_one() {
    let network = Network::new();
    let mut stream = build(network.connector()).connect().await.unwrap();
    assert!(stream.get_ref().is_some());
    assert!(stream.get_mut().is_some());
    assert!(Pin::new(&mut stream).get_pin_mut().is_some());
    network.peer(1).reset();
    assert!(timeout(SECOND / 2, read(&mut stream)).await.is_err());
    assert!(stream.get_ref().is_none());
    assert!(stream.get_mut().is_none());
    assert!(Pin::new(&mut stream).get_pin_mut().is_none());
    assert!(stream.into_inner().is_none());

    let stream = build(network.connector()).connect().await.unwrap();
    let connection = stream.into_inner();
    assert!(!network.peer(2).is_dropped(), "it is the caller's now");
    drop(connection.unwrap());
    assert!(network.peer(2).is_dropped());
}

#[tokio::test(start_paused = true)]
async fn the_debug_of_a_stream_and_of_its_handle_shows_the_state() {
    let network = Network::new();
    let stream = build(network.connector()).lazy();
    assert_eq!(
        format!("{stream:?} {:?}", stream.handle()),
        "ReconnectingStream { state: Backoff { attempt: 1, delay: 0ns }, seam: Hidden, .. } \
         Handle { state: Backoff { attempt: 1, delay: 0ns }, .. }"
    );
}

#[tokio::test(start_paused = true)]
async fn reconnect_drops_the_connection_now_and_dials_again() {
    let network = Network::new();
    let mut stream = build(network.connector()).connect().await.unwrap();
    stream.reconnect();
    assert!(network.peer(1).is_dropped());
    let before = Instant::now();
    assert_eq!(stream.connected().await.unwrap(), 2);
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn reconnect_cuts_a_backoff_short_and_lets_an_attempt_continue() {
    let network = Network::new();
    network.script([Outcome::Accepts, Outcome::AcceptsAfter(SECOND)]);
    let mut stream = build(network.connector())
        .policy(policy().backoff(Backoff::constant(60 * SECOND)))
        .connect()
        .await
        .unwrap();
    network.peer(1).reset();
    let start = Instant::now();
    assert!(timeout(SECOND / 2, stream.write(b"x")).await.is_err());
    stream.reconnect();
    assert!(timeout(SECOND / 2, stream.write(b"x")).await.is_err());
    assert_eq!(stream.state(), State::Connecting { attempt: 1 });
    stream.reconnect();
    stream.write_all(b"x").await.unwrap();
    assert_eq!(start.elapsed(), 3 * SECOND / 2);
    assert_eq!(network.attempts().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn vectored_writes_go_to_the_connection() {
    struct Vectored(Wire);
    impl AsyncWrite for Vectored {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.0).poll_write(cx, buf)
        }
        fn poll_write_vectored(
            self: Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let all: Vec<u8> = bufs.iter().flat_map(|buf| buf.to_vec()).collect();
            self.poll_write(cx, &all)
        }
        fn is_write_vectored(&self) -> bool {
            true
        }
        fn poll_flush(
            mut self: Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(cx)
        }
        fn poll_shutdown(
            mut self: Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(cx)
        }
    }
    let (wire, peer) = Wire::new();
    let mut stream = ReconnectingStream::builder(|| async { Ok(Vectored(Wire::new().0)) }).lazy();
    assert!(!stream.is_write_vectored(), "without a connection");
    stream.connected().await.unwrap();
    assert!(stream.is_write_vectored());
    *stream.get_mut().unwrap() = Vectored(wire);
    let bufs = [IoSlice::new(b"ab"), IoSlice::new(b"cd")];
    assert_eq!(stream.write_vectored(&bufs).await.unwrap(), 4);
    assert_eq!(peer.received(), b"abcd");
}
