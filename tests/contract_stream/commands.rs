//! `reconnect()`: without a delay, never put off, one `Retrying` for each attempt.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::pin::Pin;
use std::task::Poll;

use reconnecting_stream::{Backoff, Connect, ReconnectingStream, Seam, State};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, advance, sleep, timeout};

use super::contract::{Net, Socket};
use super::support::Outcome;
use super::*;

fn ask(stream: &mut ReconnectingStream<impl Connect<Io = Socket>>, by_handle: bool) {
    if by_handle {
        stream.handle().reconnect();
    } else {
        stream.reconnect();
    }
}

/// Asks for a reconnect before each of a few polls.
async fn ask_before_each_poll(
    stream: &mut ReconnectingStream<impl Connect<Io = Socket>>,
    by_handle: bool,
    polls: usize,
) {
    for _ in 0..polls {
        ask(stream, by_handle);
        poll_fn(|cx| Poll::Ready(Pin::new(&mut *stream).poll_write(cx, b"x").is_ready())).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_reconnect_that_is_repeated_before_each_poll_makes_an_attempt_without_a_delay() {
    for by_handle in [true, false] {
        let net = Net::new();
        net.script([Outcome::Accepts]).otherwise(Outcome::Hangs);
        let mut stream = connect(&net, Seam::Hidden).await;
        let before = Instant::now();
        ask_before_each_poll(&mut stream, by_handle, 3).await;
        assert_eq!(net.attempts().len(), 2, "by handle: {by_handle}");
        assert_eq!(stream.state(), State::Connecting { attempt: 1 });
        assert_eq!(before.elapsed(), Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reconnect_that_is_repeated_before_each_poll_ends_a_backoff_with_an_attempt() {
    for by_handle in [true, false] {
        for delays in [Backoff::constant(HOUR), Backoff::none()] {
            let net = Net::new();
            net.script([Outcome::Accepts]).otherwise(Outcome::Hangs);
            let mut stream = build(&net, Seam::Hidden)
                .policy(policy().backoff(delays))
                .connect()
                .await
                .unwrap();
            stream.mark_lost(ErrorKind::Other.into());
            assert!(matches!(stream.state(), State::Backoff { .. }));
            ask_before_each_poll(&mut stream, by_handle, 3).await;
            assert_eq!(net.attempts().len(), 2, "by handle: {by_handle}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_reconnect_that_is_repeated_before_each_poll_begins_again_after_giving_up() {
    for by_handle in [true, false] {
        let net = Net::new();
        net.otherwise(Outcome::Refuses(ErrorKind::ConnectionRefused));
        let mut stream = build(&net, Seam::Hidden)
            .policy(policy().max_attempts(1))
            .lazy();
        assert!(has_given_up(&stream.write_all(b"x").await));
        net.otherwise(Outcome::Hangs);
        ask_before_each_poll(&mut stream, by_handle, 3).await;
        assert_eq!(net.attempts().len(), 2, "by handle: {by_handle}");
        assert_eq!(net.attempts()[1].1.number, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reconnect_that_is_repeated_during_an_attempt_lets_it_complete() {
    for by_handle in [true, false] {
        let net = Net::new();
        net.script([Outcome::Accepts, Outcome::AcceptsAfter(SECOND)]);
        let mut stream = connect(&net, Seam::Hidden).await;
        ask(&mut stream, by_handle);
        for _ in 0..9 {
            let waiting = timeout(SECOND / 10, stream.connected()).await;
            assert!(waiting.is_err());
            ask(&mut stream, by_handle);
        }
        sleep(SECOND / 2).await;
        // A command that is executed now would drop the second connection.
        assert!(matches!(stream.state(), State::Connecting { .. }));
        stream.write_all(b"x").await.unwrap();
        assert_eq!(net.attempts().len(), 2, "by handle: {by_handle}");
        assert_eq!(net.peer(2).text(), "x");
    }
}

#[tokio::test(start_paused = true)]
async fn there_is_one_retrying_for_each_attempt() {
    let net = Net::new();
    net.script([
        Outcome::Accepts,
        Outcome::Refuses(ErrorKind::ConnectionRefused),
        Outcome::Hangs,
        Outcome::Refuses(ErrorKind::ConnectionRefused),
        Outcome::Accepts,
    ]);
    let (builder, recorder) = observed(&net, Seam::Hidden);
    let policy = policy().backoff(Backoff::constant(HOUR)).max_attempts(None);
    let mut stream = builder.policy(policy).connect().await.unwrap();
    recorder.take();
    net.peer(1).reset();
    for _ in 0..8 {
        // During a backoff, twice; during the attempt that hangs; on the connection.
        stream.handle().reconnect();
        stream.handle().reconnect();
        let _ = timeout(SECOND / 2, stream.write_all(b"x")).await;
        stream.reconnect();
        stream.reconnect();
        let _ = timeout(SECOND / 2, stream.write_all(b"x")).await;
        advance(2 * SECOND).await;
    }
    let events = recorder.take();
    let count = |name| events.iter().filter(|event| **event == name).count();
    let attempts = net.attempts().len() - 1;
    assert!(attempts > 5, "{events:?}");
    let is_one_due = matches!(stream.state(), State::Backoff { .. });
    assert_eq!(
        count("retrying"),
        attempts + usize::from(is_one_due),
        "{events:?}"
    );
    assert_eq!(count("retrying"), count("lost") + count("failed"));
}
