//! What a sink of messages accepts, by which codec, and nothing more once it has ended.
#![cfg(feature = "codec")]

mod support;

use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use futures::{FutureExt, Sink, SinkExt, StreamExt};
use reconnecting_stream::{Backoff, Connect, Eof, Policy, ReconnectingFramed, Resend};
use support::{Network, Outcome, Wire, gave_up};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;
use tokio_util::codec::{
    BytesCodec, Decoder, Encoder, LengthDelimitedCodec, LinesCodec, LinesCodecError,
};

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

#[tokio::test(start_paused = true)]
async fn a_flush_of_nothing_waits_for_no_connection() {
    let network = Network::new();
    let mut framed = ReconnectingFramed::builder(network.connector(), LinesCodec::new()).lazy();
    SinkExt::<&str>::flush(&mut framed)
        .now_or_never()
        .unwrap()
        .unwrap();
    assert_eq!(network.connections(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_message_without_bytes_is_not_kept() {
    let network = Network::new();
    let mut framed = ReconnectingFramed::builder(network.connector(), BytesCodec::new())
        .connect()
        .await
        .unwrap();
    for message in ["", "x", ""] {
        framed.send(Bytes::from(message)).await.unwrap();
        assert_eq!(framed.unconfirmed(), 0, "{message:?}");
    }
    assert_eq!(network.peer(1).received(), b"x");
}

#[tokio::test(start_paused = true)]
async fn goes_on_after_the_peers_end_if_the_end_is_passed() {
    let network = Network::new();
    let mut framed = ReconnectingFramed::builder(network.connector(), LinesCodec::new())
        .policy(Policy::default().eof(Eof::Pass))
        .connect()
        .await
        .unwrap();
    framed.send("before").await.unwrap();
    network.peer(1).close();
    for message in ["one", "two"] {
        framed.send(message).await.unwrap();
        assert!(framed.next().await.is_none());
    }
    SinkExt::<&str>::close(&mut framed).await.unwrap();
    assert_eq!(network.peer(1).received(), b"before\none\ntwo\n");
    assert!(network.peer(1).is_shut_down());
}

#[tokio::test(start_paused = true)]
async fn closing_goes_on_where_it_was_left() {
    let network = Network::new();
    let mut framed = lines(&network).await;
    network.peer(1).set_room(2);
    framed.feed("one").await.unwrap();
    let close = |framed: &mut Framed<_>| SinkExt::<&str>::close(framed).now_or_never();
    assert!(close(&mut framed).is_none());
    network.peer(1).set_room(usize::MAX);
    close(&mut framed).unwrap().unwrap();
    assert_eq!(network.peer(1).received(), b"one\n");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_has_ended_before_its_first_use_gets_no_message() {
    let network = Network::new();
    network.greet(|generation, peer| {
        if generation < 3 {
            peer.close();
        }
    });
    let mut framed = ReconnectingFramed::builder(network.connector(), LinesCodec::new()).lazy();
    framed.send("x").await.unwrap();
    let received = [1, 2, 3].map(|generation| network.peer(generation).received());
    assert_eq!(received, [&b""[..], b"", b"x\n"]);
}

/// It takes nothing, and brings nothing.
struct Full;

impl AsyncRead for Full {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Full {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(0))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_takes_nothing_is_lost() {
    let connector = || std::future::ready(Ok(Full));
    let mut framed = ReconnectingFramed::builder(connector, BytesCodec::new())
        .policy(Policy::default().max_attempts(2))
        .connect()
        .await
        .unwrap();
    let error = framed.send(Bytes::from("x")).await.unwrap_err();
    assert_eq!(gave_up(&error).unwrap().attempts, 2);
    assert_eq!(error.kind(), ErrorKind::WriteZero);
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_connection_had_brought_and_nobody_can_decode_is_one_error() {
    let network = Network::new();
    let codec = LengthDelimitedCodec::builder()
        .max_frame_length(8)
        .new_codec();
    let mut framed = ReconnectingFramed::builder(network.connector(), codec)
        .connect()
        .await
        .unwrap();
    framed.send(Bytes::from("x")).await.unwrap();
    network
        .peer(1)
        .send(b"\0\0\0\x01a\xff\xff\xff\xff\0\0\0\x01b");
    network.peer(1).close();
    // The sink finds the loss, and takes what had arrived.
    framed.send(Bytes::from("y")).await.unwrap();
    network.peer(2).send(b"\0\0\0\x01c");
    assert_eq!(framed.next().await.unwrap().unwrap(), b"a"[..]);
    let error = framed.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert_eq!(framed.next().await.unwrap().unwrap(), b"c"[..]);
    assert_eq!(framed.generation(), 2);
}

/// Writes its number before each byte that it is given.
struct Numbered(u8);

impl Encoder<u8> for Numbered {
    type Error = std::io::Error;

    fn encode(&mut self, byte: u8, buffer: &mut BytesMut) -> std::io::Result<()> {
        buffer.extend_from_slice(&[self.0, byte]);
        Ok(())
    }
}

impl Decoder for Numbered {
    type Item = u8;
    type Error = std::io::Error;

    fn decode(&mut self, _: &mut BytesMut) -> std::io::Result<Option<u8>> {
        Ok(None)
    }
}

#[tokio::test(start_paused = true)]
async fn messages_are_encoded_by_the_codec_of_the_connection_that_is_there() {
    let network = Network::new();
    let made = AtomicU8::new(b'0');
    let codecs = move || Numbered(made.fetch_add(1, Ordering::Relaxed) + 1);
    let mut framed = ReconnectingFramed::builder_with(network.connector(), codecs)
        .connect()
        .await
        .unwrap();
    framed.send(b'a').await.unwrap();
    network.peer(1).reset();
    // Somebody else finds the loss, and waits for the next connection.
    assert!(
        timeout(Duration::from_secs(9), framed.next())
            .await
            .is_err()
    );
    framed.connected().await.unwrap();
    framed.reconnect();
    framed.connected().await.unwrap();
    framed.send(b'b').await.unwrap();
    assert_eq!(network.peer(1).received(), b"1a");
    assert_eq!(network.peer(3).received(), b"3b");
}
