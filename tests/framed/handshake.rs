//! The handshake of `on_connect`.

use super::*;

fn greeting(
    network: &Network,
) -> reconnecting_stream::Builder<
    impl Connect<Io = Wire> + use<>,
    reconnecting_stream::FramedOptions<Wire, LinesCodec>,
> {
    ReconnectingFramed::builder(network.connector(), LinesCodec::new())
        .policy(policy())
        .on_connect(|mut framed| async move {
            framed.send("hello").await.map_err(io::Error::other)?;
            match framed.next().await {
                Some(Ok(line)) if line == "welcome" => Ok(framed),
                Some(Ok(line)) if line == "wrong password" => Err(Permanent::new(line).into()),
                _ => Err(ErrorKind::ConnectionRefused.into()),
            }
        })
}

#[tokio::test(start_paused = true)]
async fn the_handshake_comes_before_anything_queued_on_every_connection() {
    let network = Network::new();
    network.greet(|_, peer| peer.send(b"welcome\nfirst\n"));
    let mut framed = greeting(&network).connect().await.unwrap();
    assert_eq!(
        framed.next().await.unwrap().unwrap(),
        "first",
        "read with the handshake"
    );
    framed.feed("queued").await.unwrap();
    network.peer(1).reset();
    SinkExt::<&str>::flush(&mut framed).await.unwrap();
    assert_eq!(text(&network, 1), "hello\n");
    assert_eq!(text(&network, 2), "hello\nqueued\n");
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_fails_is_a_failed_attempt() {
    let network = Network::new();
    network.greet(|generation, peer| {
        peer.send(if generation < 3 {
            b"go away\n"
        } else {
            b"welcome\n"
        });
    });
    let mut framed = greeting(&network).lazy();
    assert_eq!(framed.connected().await.unwrap(), 1);
    assert_eq!(network.attempts().len(), 3);
    assert_eq!(network.open(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_fails_for_good_ends_the_outage() {
    let network = Network::new();
    network.greet(|_, peer| peer.send(b"wrong password\n"));
    let mut framed = greeting(&network).lazy();
    let error = framed.send("x").await.unwrap_err();
    let LinesCodecError::Io(error) = error else {
        panic!("{error:?}");
    };
    assert_eq!(gave_up(&error).unwrap().attempts, 1);
    assert_eq!(network.attempts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_hangs_is_under_the_attempt_timeout() {
    let network = Network::new();
    network.greet(|generation, peer| {
        if generation == 2 {
            peer.send(b"welcome\n");
        }
    });
    let mut framed = greeting(&network).lazy();
    framed.connected().await.unwrap();
    let attempts = network.attempts();
    assert_eq!(attempts[1].at - attempts[0].at, 11 * SECOND);
    assert!(network.peer(1).is_dropped());
}

#[tokio::test(start_paused = true)]
async fn what_a_handshake_left_unflushed_is_written() {
    let network = Network::new();
    let mut framed = ReconnectingFramed::builder(network.connector(), LinesCodec::new())
        .policy(policy())
        .on_connect(|mut framed| async move {
            framed
                .feed("fed, not flushed")
                .await
                .map_err(io::Error::other)?;
            Ok(framed)
        })
        .connect()
        .await
        .unwrap();
    framed.send("x").await.unwrap();
    assert_eq!(text(&network, 1), "fed, not flushed\nx\n");
}
