//! Connections that are streams and sinks of messages themselves, as a WebSocket is.
#![cfg(feature = "codec")]

mod support;

#[path = "messages/socket.rs"]
mod socket;

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{Sink, SinkExt, StreamExt};
use reconnecting_stream::{
    Backoff, Builder, Connect, ConnectionLost, Eof, MessageTransport, Policy, ReconnectingStream,
    Seam, Verdict,
};
use socket::{Socket, WsError, classify};
use support::Task;
use tokio::time::{advance, timeout};

type Classify = fn(&WsError) -> Verdict;
type Sockets = Arc<Mutex<Vec<Socket>>>;

/// A builder over sockets that are kept, and the sockets.
fn builder() -> (
    Builder<impl Connect<Io = MessageTransport<Socket, Classify>, Future: Send> + Send>,
    Sockets,
) {
    let sockets = Sockets::default();
    let kept = Arc::clone(&sockets);
    let connector = move || {
        let socket = Socket::default();
        kept.lock().unwrap().push(socket.clone());
        async move { Ok(MessageTransport::new(socket, classify as Classify)) }
    };
    let policy = Policy::default().backoff(Backoff::constant(Duration::from_secs(1)));
    (
        ReconnectingStream::builder(connector).policy(policy),
        sockets,
    )
}

fn socket(sockets: &Mutex<Vec<Socket>>, generation: usize) -> Socket {
    sockets.lock().unwrap()[generation - 1].clone()
}

fn is_lost(error: &WsError) -> bool {
    let WsError::Io(error) = error else {
        return false;
    };
    error
        .get_ref()
        .is_some_and(|inner| inner.downcast_ref::<ConnectionLost>().is_some())
}

#[tokio::test(start_paused = true)]
async fn messages_go_both_ways_over_one_connection_after_another() {
    let (builder, sockets) = builder();
    let mut stream = builder.connect().await.unwrap();
    for generation in 1..=3 {
        let socket = socket(&sockets, generation);
        socket.arrive(Some(Ok("hello")));
        assert_eq!(stream.next().await.unwrap().unwrap(), "hello");
        stream.send("there".to_owned()).await.unwrap();
        assert_eq!(socket.sent(), ["there"]);
        assert_eq!(socket.0.lock().unwrap().flushes, 1);
        socket.arrive(Some(Err(WsError::Gone)));
        let waiting = timeout(Duration::from_secs(2), stream.next()).await;
        assert!(waiting.is_err(), "on the next connection");
    }
    assert_eq!(stream.generation(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_loss_has_the_kind_of_the_error_that_it_comes_from() {
    let (builder, sockets) = builder();
    let mut stream = builder.seam(Seam::Error).connect().await.unwrap();
    let kinds = [io::ErrorKind::ConnectionReset, io::ErrorKind::TimedOut];
    for (generation, kind) in (1..).zip(kinds) {
        stream.connected().await.unwrap();
        let error = WsError::Io(kind.into());
        socket(&sockets, generation).arrive(Some(Err(error)));
        let told = stream.next().await.unwrap().unwrap_err();
        assert_eq!(ConnectionLost::find(&told).unwrap().cause.kind(), kind);
    }
}

#[tokio::test(start_paused = true)]
async fn the_classification_tells_a_loss_from_the_callers_error_and_from_giving_up() {
    let (builder, sockets) = builder();
    let mut stream = builder.connect().await.unwrap();
    socket(&sockets, 1).arrive(Some(Err(WsError::TooLarge)));
    assert!(matches!(stream.next().await, Some(Err(WsError::TooLarge))));
    socket(&sockets, 1).refuse(WsError::TooLarge);
    let refused = stream.send("x".to_owned()).await;
    assert!(matches!(refused, Err(WsError::TooLarge)));
    assert_eq!(stream.generation(), 1);

    socket(&sockets, 1).arrive(Some(Err(WsError::Banned)));
    let Some(Err(WsError::Io(error))) = stream.next().await else {
        panic!("it was to give up");
    };
    assert_eq!(
        support::gave_up(&error).unwrap().last_error.to_string(),
        "Banned"
    );
}

#[tokio::test(start_paused = true)]
async fn the_seam_is_one_error_for_each_half() {
    let (builder, sockets) = builder();
    let (mut sink, mut stream) = builder.seam(Seam::Error).connect().await.unwrap().split();
    socket(&sockets, 1).arrive(Some(Err(WsError::Gone)));
    assert!(is_lost(&stream.next().await.unwrap().unwrap_err()));
    assert!(is_lost(&sink.send("x".to_owned()).await.unwrap_err()));
    sink.send("y".to_owned()).await.unwrap();
    assert_eq!(socket(&sockets, 2).sent().last().unwrap(), "y");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_went_with_its_connection_is_an_error_in_every_mode() {
    for seam in [Seam::Hidden, Seam::Error, Seam::Eof] {
        let (builder, sockets) = builder();
        let mut stream = builder.seam(seam).connect().await.unwrap();
        socket(&sockets, 1).refuse(WsError::Gone);
        assert!(stream.send("lost".to_owned()).await.is_err());
        stream.send("kept".to_owned()).await.unwrap();
        assert_eq!(
            socket(&sockets, 2).sent(),
            ["kept"],
            "{seam:?}: and only one error"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_message_transport_is_a_loss_unless_the_policy_passes_it() {
    let (b, sockets) = builder();
    let mut stream = b.connect().await.unwrap();
    socket(&sockets, 1).arrive(None);
    let waiting = timeout(Duration::from_secs(2), stream.next()).await;
    assert!(waiting.is_err());
    assert_eq!(stream.generation(), 2);

    let (b, sockets) = builder();
    let policy = Policy::default().eof(Eof::Pass);
    let mut stream = b.policy(policy).connect().await.unwrap();
    socket(&sockets, 1).arrive(None);
    assert!(stream.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn closing_closes_the_connection_for_good() {
    let (builder, sockets) = builder();
    let mut stream = builder.connect().await.unwrap();
    stream.close().await.unwrap();
    stream.close().await.unwrap();
    assert!(socket(&sockets, 1).0.lock().unwrap().is_closed);
    assert!(stream.send("x".to_owned()).await.is_err());
    socket(&sockets, 1).arrive(None);
    assert!(stream.next().await.is_none());
    assert_eq!(sockets.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_loss_wakes_the_other_half() {
    let (builder, sockets) = builder();
    let (mut sink, mut stream) = builder.connect().await.unwrap().split();
    let reader = Task::new();
    assert!(reader.poll(|cx| stream.poll_next_unpin(cx)).is_pending());
    socket(&sockets, 1).refuse(WsError::Gone);
    assert!(sink.send("x".to_owned()).await.is_err());
    assert!(reader.is_woken());
    assert!(reader.poll(|cx| stream.poll_next_unpin(cx)).is_pending());
    advance(Duration::from_secs(2)).await;
    assert!(reader.is_woken());
    assert!(reader.poll(|cx| stream.poll_next_unpin(cx)).is_pending());
    reader.take_wakes();
    socket(&sockets, 2).arrive(Some(Ok("there")));
    assert!(reader.is_woken());
}

#[tokio::test(start_paused = true)]
async fn a_close_that_meets_a_loss_or_another_error_returns_it() {
    for (error, is_loss) in [(WsError::Gone, true), (WsError::TooLarge, false)] {
        let (builder, sockets) = builder();
        let mut stream = builder.connect().await.unwrap();
        socket(&sockets, 1).0.lock().unwrap().refuses_to_close = Some(error);
        let error = stream.close().await.unwrap_err();
        assert_eq!(ConnectionLost::find(&error).is_some(), is_loss);
        assert_eq!(sockets.lock().unwrap().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_was_not_waited_for_is_refused_without_a_connection() {
    let (builder, sockets) = builder();
    let mut stream = Box::pin(builder.lazy());
    let error = stream.as_mut().start_send("x".to_owned()).unwrap_err();
    let WsError::Io(error) = error else {
        panic!("expected an io error, got {error}");
    };
    assert_eq!(error.kind(), io::ErrorKind::NotConnected);
    assert!(sockets.lock().unwrap().is_empty());
}

#[test]
fn a_message_transport_returns_what_it_wraps() {
    let mut messages = MessageTransport::new(1, classify as Classify);
    *messages.get_mut() += 1;
    assert_eq!(*messages.get_ref(), 2);
    assert_eq!(messages.into_inner(), 2);
}
