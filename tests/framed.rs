//! `ReconnectingFramed` over scripted connections.
#![cfg(feature = "codec")]

mod support;

#[path = "framed/close.rs"]
mod close;
#[path = "framed/codecs.rs"]
mod codecs;
#[path = "framed/confirmations.rs"]
mod confirmations;
#[path = "framed/drain.rs"]
mod drain;
#[path = "framed/handshake.rs"]
mod handshake;
#[path = "framed/losses.rs"]
mod losses;
#[path = "framed/queue.rs"]
mod queue;
#[path = "framed/replies.rs"]
mod replies;
#[path = "framed/seams.rs"]
mod seams;
#[path = "framed/wakers.rs"]
mod wakers;

use std::io::{self, ErrorKind};
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{FutureExt, Sink, SinkExt, Stream, StreamExt};
use reconnecting_stream::{
    Backoff, Connect, Eof, Handle, Permanent, Policy, ReconnectingFramed, Resend, Seam, State,
};
use support::{Fault, Network, Outcome, TakesNothing, Task, Wire, gave_up, lost};
use tokio::io::AsyncReadExt;
use tokio::time::{advance, sleep, timeout};
use tokio_util::codec::{
    BytesCodec, Decoder, Encoder, LengthDelimitedCodec, LinesCodec, LinesCodecError,
};

const SECOND: Duration = Duration::from_secs(1);

fn policy() -> Policy {
    Policy::default().backoff(Backoff::constant(SECOND))
}

type Framed<C, U = LinesCodec> = ReconnectingFramed<C, U>;

async fn lines(network: &Network) -> Framed<impl Connect<Io = Wire, Future: Send> + Send> {
    lines_with(network, Resend::Torn, policy()).await
}

async fn lines_with(
    network: &Network,
    resend: Resend,
    policy: Policy,
) -> Framed<impl Connect<Io = Wire, Future: Send> + Send> {
    ReconnectingFramed::builder(network.connector(), LinesCodec::new())
        .policy(policy)
        .resend(resend)
        .seam(Seam::Error)
        .connect()
        .await
        .unwrap()
}

fn text(network: &Network, generation: usize) -> String {
    String::from_utf8(network.peer(generation).received()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_idle_timeout_counts_from_the_last_byte_whichever_half_read_it() {
    let network = Network::new();
    let framed = lines_with(&network, Resend::Torn, policy().idle_timeout(5 * SECOND)).await;
    let (mut sink, mut stream) = framed.split();
    for _ in 0..5 {
        assert!(timeout(3 * SECOND, stream.next()).await.is_err());
        network.peer(1).send(b"beat\n");
        sink.send("x").await.unwrap();
        assert_eq!(stream.next().await.unwrap().unwrap(), "beat");
    }
    let error = stream.next().await.unwrap().unwrap_err();
    assert!(format!("{error:?}").contains("TimedOut"));
}

#[tokio::test(start_paused = true)]
async fn accessors_of_a_framed_stream_reach_the_connection_and_its_codec() {
    let network = Network::new();
    let mut framed = lines(&network).await;
    assert!(framed.get_ref().is_some() && framed.get_mut().is_some());
    assert!(Pin::new(&mut framed).get_pin_mut().is_some());
    framed.send("x").await.unwrap();
    assert!(framed.codec().is_some() && framed.codec_mut().is_some());
    assert_eq!(framed.read_buffer().unwrap().len(), 0);
    assert_eq!(framed.unconfirmed(), 0);
    assert!(format!("{framed:?}").starts_with("ReconnectingFramed { state: Connected"));
    assert!(framed.into_inner().is_some());

    let (wire, peer) = Wire::new();
    let mut framed = ReconnectingFramed::builder_with(network.connector(), LinesCodec::new)
        .policy(policy())
        .wrap(wire);
    framed.send("wrapped").await.unwrap();
    assert_eq!(peer.received(), b"wrapped\n");
    sleep(SECOND).await;
}

/// It is a `Stream` and a `Sink`, and what that needs.
#[test]
fn a_framed_stream_is_a_stream_and_a_sink_and_send_sync_and_unpin() {
    fn is<T: Unpin + Send + Sync>(_: &T) {}
    fn is_both<T: Stream + for<'a> Sink<&'a str>>(_: &T) {}
    let connector = || async { Ok(Wire::new().0) };
    let framed = ReconnectingFramed::builder(connector, LinesCodec::new()).lazy();
    is(&framed);
    is_both(&framed);
}

#[tokio::test(start_paused = true)]
async fn accessors_of_a_framed_stream_are_those_of_the_current_connection() {
    let network = Network::new();
    let mut framed = ReconnectingFramed::builder(network.connector(), LinesCodec::new())
        .connect()
        .await
        .unwrap();
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
async fn a_connection_that_takes_no_byte_of_a_message_is_lost() {
    let connector = || std::future::ready(Ok(TakesNothing));
    let mut framed = ReconnectingFramed::builder(connector, BytesCodec::new())
        .policy(Policy::default().max_attempts(2))
        .connect()
        .await
        .unwrap();
    let error = framed.send(Bytes::from("x")).await.unwrap_err();
    assert_eq!(gave_up(&error).unwrap().attempts, 2);
    assert_eq!(error.kind(), ErrorKind::WriteZero);
}
