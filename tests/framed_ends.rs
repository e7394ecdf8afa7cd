//! What a sink of messages accepts: its bound by default, and nothing more once it has ended.
#![cfg(feature = "codec")]

mod support;

use std::io::ErrorKind;
use std::pin::Pin;
use std::time::Duration;

use futures::{FutureExt, Sink, SinkExt, StreamExt};
use reconnecting_stream::{Backoff, Connect, Policy, ReconnectingFramed, Resend};
use support::{Network, Outcome, Wire, gave_up};
use tokio_util::codec::{LinesCodec, LinesCodecError};

type Framed<C> = ReconnectingFramed<C, LinesCodec>;

async fn lines(network: &Network) -> Framed<impl Connect<Io = Wire, Future: Send> + Send> {
    let policy = Policy::default().backoff(Backoff::constant(Duration::from_secs(1)));
    ReconnectingFramed::builder(network.connector(), LinesCodec::new())
        .policy(policy.max_attempts(1))
        .connect()
        .await
        .unwrap()
}

/// The answer to a message for which there is room.
async fn refusal<C: Connect<Io = Wire>>(framed: &mut Framed<C>) -> std::io::Error {
    match framed.feed("x").await.unwrap_err() {
        LinesCodecError::Io(error) => error,
        error @ LinesCodecError::MaxLineLengthExceeded => panic!("{error}"),
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_accepted_after_a_handle_has_closed_it() {
    let network = Network::new();
    let mut framed = lines(&network).await;
    framed.handle().close();
    let error = refusal(&mut framed).await;
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_accepted_after_it_was_shut_down() {
    let network = Network::new();
    let mut framed = lines(&network).await;
    SinkExt::<&str>::close(&mut framed).await.unwrap();
    let error = refusal(&mut framed).await;
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    assert!(network.peer(1).is_shut_down());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_accepted_after_it_gave_up() {
    let network = Network::new();
    network
        .script([Outcome::Accepts])
        .otherwise(Outcome::Refuses(ErrorKind::ConnectionRefused));
    let mut framed = lines(&network).await;
    network.peer(1).reset();
    assert!(framed.next().await.unwrap().is_err());
    let error = refusal(&mut framed).await;
    assert_eq!(gave_up(&error).unwrap().attempts, 1);
}

#[tokio::test(start_paused = true)]
async fn closing_on_a_fresh_connection_sends_again_what_was_not_confirmed() {
    let network = Network::new();
    let mut framed = ReconnectingFramed::builder(network.connector(), LinesCodec::new())
        .resend(Resend::Unconfirmed { max_bytes: 1000 })
        .connect()
        .await
        .unwrap();
    framed.send("x").await.unwrap();
    framed.reconnect();
    framed.connected().await.unwrap();
    SinkExt::<&str>::close(&mut framed).await.unwrap();
    assert_eq!(network.peer(2).received(), b"x\n");
    assert!(network.peer(2).is_shut_down());
}

#[tokio::test(start_paused = true)]
async fn sixty_four_kibibytes_wait_by_default() {
    let network = Network::new();
    let mut framed = lines(&network).await;
    network.peer(1).set_room(0);
    let line = "x".repeat(1023);
    let mut accepted = 0;
    while let Some(fed) = framed.feed(&*line).now_or_never() {
        fed.unwrap();
        accepted += 1;
    }
    assert_eq!(accepted, 64);
}

#[tokio::test(start_paused = true)]
async fn its_accessors_tell_what_it_has() {
    let network = Network::new();
    let mut framed = lines(&network).await;
    for generation in 1..=2 {
        network.peer(generation).send(b"a line\nhalf");
        assert_eq!(framed.next().await.unwrap().unwrap(), "a line");
        assert_eq!(framed.generation(), generation as u64);
        assert_eq!(&framed.read_buffer().unwrap()[..], b"half");
        framed.reconnect();
        assert!(framed.get_ref().is_none());
        framed.connected().await.unwrap();
    }
    assert_eq!(network.connections(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_full_is_not_ready() {
    let network = Network::new();
    let mut framed = ReconnectingFramed::builder(network.connector(), LinesCodec::new())
        .max_queued(1)
        .lazy();
    framed.feed("x").await.unwrap();
    let ready = std::future::poll_fn(|cx| Sink::<&str>::poll_ready(Pin::new(&mut framed), cx));
    // It dials, hands over, and has room again.
    ready.await.unwrap();
    assert_eq!(network.peer(1).received(), b"x\n");
}
