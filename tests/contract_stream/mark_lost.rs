//! `mark_lost`: the application says that a connection is bad.

use std::io::ErrorKind;

use reconnecting_stream::{Backoff, Connect, ReconnectingStream, Seam, State};
use tokio::io::{AsyncWriteExt, split};
use tokio::time::{Instant, timeout};

use super::contract::{Net, Op, Socket};
use super::support::{Outcome, Task, lost};
use super::*;

fn mark(stream: &mut ReconnectingStream<impl Connect<Io = Socket>>, by_handle: bool) {
    let cause = io::Error::other("a missed heartbeat");
    if by_handle {
        stream.handle().mark_lost(cause);
    } else {
        stream.mark_lost(cause);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_marked_lost_is_dropped_and_replaced_under_the_backoff() {
    for by_handle in [true, false] {
        let net = Net::new();
        let (builder, recorder) = observed(&net, Seam::Error);
        let mut stream = builder.connect().await.unwrap();
        let before = Instant::now();
        mark(&mut stream, by_handle);
        let error = read(&mut stream).await.unwrap_err();
        let told = lost(&error).unwrap();
        assert_eq!(told.generation, 1);
        assert_eq!(told.cause.to_string(), "a missed heartbeat");
        assert!(net.peer(1).is_dropped());
        assert!(matches!(stream.state(), State::Backoff { attempt: 1, .. }));
        assert_eq!(stream.connected().await.unwrap(), 2);
        assert_eq!(before.elapsed(), SECOND);
        assert_eq!(
            recorder.take(),
            ["connected", "lost", "retrying", "connected"]
        );
    }
}

/// Connections in an hour, or attempts if they are refused, under a growing backoff.
async fn in_an_hour(refuses: bool, by_handle: bool) -> usize {
    let net = Net::new();
    if refuses {
        net.script([Outcome::Accepts])
            .otherwise(Outcome::Refuses(ErrorKind::ConnectionRefused));
    }
    let backoff = Backoff::exponential(SECOND).jitter(reconnecting_stream::Jitter::None);
    let mut stream = build(&net, Seam::Hidden)
        .policy(policy().backoff(backoff).max_attempts(None))
        .connect()
        .await
        .unwrap();
    let start = Instant::now();
    while start.elapsed() < HOUR {
        mark(&mut stream, by_handle);
        let _ = timeout(HOUR - start.elapsed(), stream.connected()).await;
    }
    net.attempts().len()
}

#[tokio::test(start_paused = true)]
async fn marking_each_connection_lost_makes_no_more_of_them_than_refusals_make_attempts() {
    for by_handle in [true, false] {
        let marked = in_an_hour(false, by_handle).await;
        let refused = in_an_hour(true, by_handle).await;
        assert!(marked <= refused + 1, "{marked}, {refused}");
        assert!(marked > 100, "{marked}");
    }
}

#[tokio::test(start_paused = true)]
async fn mark_lost_without_a_connection_does_nothing() {
    for by_handle in [true, false] {
        let net = Net::new();
        net.otherwise(Outcome::Hangs);
        let (builder, recorder) = observed(&net, Seam::Error);
        let mut stream = builder.policy(policy().max_attempts(2)).lazy();
        mark(&mut stream, by_handle);
        assert!(timeout(SECOND, stream.connected()).await.is_err());
        assert_eq!(stream.state(), State::Connecting { attempt: 1 });
        mark(&mut stream, by_handle);
        assert!(timeout(SECOND, stream.connected()).await.is_err());
        assert_eq!(stream.state(), State::Connecting { attempt: 1 });
        stream.connected().await.unwrap_err();
        mark(&mut stream, by_handle);
        assert!(has_given_up(&stream.write(b"x").await));
        stream.handle().close();
        mark(&mut stream, by_handle);
        assert_eq!(read(&mut stream).await.unwrap(), b"");
        assert!(!recorder.take().contains(&"lost"));
    }
}

#[tokio::test(start_paused = true)]
async fn mark_lost_of_a_handle_does_not_touch_a_connection_that_came_later() {
    let net = Net::new();
    let (builder, recorder) = observed(&net, Seam::Error);
    let mut stream = builder.connect().await.unwrap();
    let handle = stream.handle();
    handle.mark_lost(io::Error::other("of the first"));
    // The first connection is gone before the stream is polled.
    stream.reconnect();
    assert_eq!(stream.connected().await.unwrap(), 2);
    assert!(is_lost(&stream.write(b"x").await));
    stream.write_all(b"x").await.unwrap();
    assert_eq!(stream.state(), State::Connected { generation: 2 });
    assert_eq!(net.peer(2).text(), "x");
    let events = recorder.take();
    assert_eq!(events.iter().filter(|name| **name == "lost").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn mark_lost_on_another_thread_is_for_the_connection_that_the_handle_sees() {
    let net = Net::new();
    let mut stream = connect(&net, Seam::Error).await;
    let handle = stream.handle();
    // While a read of the first connection runs that meets its end.
    net.peer(1)
        .at(Op::Read, contract::When::Before, move |peer| {
            handle.mark_lost(io::Error::other("marked"));
            peer.reset();
        });
    assert!(is_lost(&read(&mut stream).await));
    assert_eq!(stream.connected().await.unwrap(), 2);
    assert!(is_lost(&stream.write(b"x").await));
    stream.write_all(b"x").await.unwrap();
    assert!(!net.peer(2).is_dropped());
}

#[tokio::test(start_paused = true)]
async fn of_several_mark_lost_before_the_next_poll_the_first_one_counts() {
    let net = Net::new();
    let mut stream = connect(&net, Seam::Error).await;
    let handle = stream.handle();
    handle.mark_lost(io::Error::other("first"));
    handle.clone().mark_lost(io::Error::other("second"));
    let error = read(&mut stream).await.unwrap_err();
    assert_eq!(lost(&error).unwrap().cause.to_string(), "first");
    assert_eq!(stream.connected().await.unwrap(), 2);
    assert!(timeout(SECOND, read(&mut stream)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn mark_lost_wakes_both_halves_and_each_is_told_once() {
    let net = Net::new();
    let stream = connect(&net, Seam::Error).await;
    let handle = stream.handle();
    net.peer(1).set_room(0);
    let (mut reader, mut writer) = split(stream);
    let (reading, writing) = (Task::new(), Task::new());
    let mut read_future = Box::pin(read(&mut reader));
    let mut write_future = Box::pin(writer.write_all(b"x"));
    assert!(reading.poll_future(read_future.as_mut()).is_pending());
    assert!(writing.poll_future(write_future.as_mut()).is_pending());
    reading.take_wakes();
    handle.mark_lost(ErrorKind::InvalidData.into());
    assert!(reading.is_woken() && writing.is_woken());
    assert!(is_lost(&read_future.await));
    assert!(is_lost(&write_future.await));
    writer.write_all(b"again").await.unwrap();
    assert_eq!(net.peer(2).text(), "again");
}
