//! A sink that is full, and what wakes a sender that waits for room.

use std::io::ErrorKind;

use futures::SinkExt;
use reconnecting_stream::Connect;
use tokio::time::advance;

use super::contract::Net;
use super::support::{Outcome, Task};
use super::*;

/// A sink whose queue is full, on a connection that takes nothing more.
async fn full(net: &Net) -> Framed<impl Connect<Io = Socket, Future: Send> + Send + Sync> {
    let mut framed = build(net).max_queued(4).connect().await.unwrap();
    net.peer(1).set_room(0);
    framed.feed("first").await.unwrap();
    framed
}

/// Polls for room and finds none.
fn wait<C: Connect<Io = Socket>>(framed: &mut Framed<C>, task: &Task) {
    assert!(task.poll(|cx| poll_ready(framed, cx)).is_pending());
    task.take_wakes();
}

/// Polls as a task does: when it is woken, until it has what it waits for.
async fn ready_at_last<C: Connect<Io = Socket>>(framed: &mut Framed<C>, task: &Task) {
    for _ in 0..20 {
        assert!(task.is_woken());
        if let Poll::Ready(ready) = task.poll(|cx| poll_ready(framed, cx)) {
            return ready.unwrap();
        }
        if !task.is_woken() {
            advance(SECOND).await;
            tokio::task::yield_now().await;
        }
    }
    panic!("it never became ready");
}

#[tokio::test(start_paused = true)]
async fn poll_ready_that_waits_for_room_is_woken_by_room() {
    let net = Net::new();
    let mut framed = full(&net).await;
    let task = Task::new();
    wait(&mut framed, &task);
    net.peer(1).set_room(usize::MAX);
    ready_at_last(&mut framed, &task).await;
    assert_eq!(net.peer(1).text(), "first\n");
}

#[tokio::test(start_paused = true)]
async fn poll_ready_that_waits_for_room_is_woken_by_a_loss_or_an_end() {
    for ends in [true, false] {
        let net = Net::new();
        let mut framed = full(&net).await;
        let task = Task::new();
        wait(&mut framed, &task);
        if ends {
            net.peer(1).finish();
        } else {
            net.peer(1).reset();
        }
        ready_at_last(&mut framed, &task).await;
        assert_eq!(net.peer(2).text(), "first\n");
    }
}

#[tokio::test(start_paused = true)]
async fn poll_ready_that_waits_for_room_is_woken_by_a_loss_that_only_the_reader_meets() {
    let net = Net::new();
    let mut framed = build(&net)
        .max_queued(4)
        .policy(policy().idle_timeout(SECOND))
        .connect()
        .await
        .unwrap();
    net.peer(1).set_room(0);
    framed.feed("first").await.unwrap();
    let task = Task::new();
    wait(&mut framed, &task);
    // The timer wakes the reader alone.
    assert_eq!(describe(framed.next().await), "lost 1");
    ready_at_last(&mut framed, &task).await;
    assert_eq!(net.peer(2).text(), "first\n");
}

#[tokio::test(start_paused = true)]
async fn poll_ready_that_waits_for_room_is_woken_by_every_command() {
    for command in 0..5 {
        let net = Net::new();
        let mut framed = full(&net).await;
        let handle = framed.handle();
        let task = Task::new();
        wait(&mut framed, &task);
        match command {
            0 => handle.reconnect(),
            1 => handle.mark_lost(io::Error::other("bad")),
            2 => framed.reconnect(),
            3 => framed.mark_lost(io::Error::other("bad")),
            _ => handle.close(),
        }
        if command == 4 {
            assert!(task.is_woken());
            let closed = task.poll(|cx| poll_ready(&mut framed, cx));
            let Poll::Ready(Err(error)) = closed else {
                panic!("{closed:?}");
            };
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        } else {
            ready_at_last(&mut framed, &task).await;
            assert_eq!(net.peer(2).text(), "first\n", "{command}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn poll_ready_that_waits_for_a_confirmation_is_woken_by_it() {
    for by_answer in [true, false] {
        let net = Net::new();
        let window = Resend::Unconfirmed { max_bytes: 4 };
        let mut framed = build(&net).resend(window).connect().await.unwrap();
        framed.send("first").await.unwrap();
        let confirmations = framed.confirm_handle();
        let task = Task::new();
        wait(&mut framed, &task);
        if by_answer {
            confirmations.confirm_replies(1);
        } else {
            confirmations.confirm(1);
        }
        assert!(task.is_woken());
        let ready = task.poll(|cx| poll_ready(&mut framed, cx));
        assert!(matches!(ready, Poll::Ready(Ok(()))));
    }
}

#[tokio::test(start_paused = true)]
async fn poll_ready_that_waits_for_room_is_woken_when_the_outage_is_given_up() {
    let net = Net::new();
    net.script([Outcome::Accepts])
        .otherwise(Outcome::Refuses(ErrorKind::ConnectionRefused));
    let policy = policy().max_attempts(1);
    let builder = build(&net).max_queued(4).policy(policy);
    let mut framed = builder.connect().await.unwrap();
    net.peer(1).set_room(0);
    framed.feed("first").await.unwrap();
    let task = Task::new();
    wait(&mut framed, &task);
    net.peer(1).reset();
    // The reader drives the outage to its end.
    assert_eq!(describe(framed.next().await), "lost 1");
    assert_eq!(describe(framed.next().await), "gave up");
    assert!(task.is_woken());
    let Poll::Ready(Err(error)) = task.poll(|cx| poll_ready(&mut framed, cx)) else {
        panic!("there is no room after giving up");
    };
    assert_eq!(describe_error(&error), "gave up");
}

#[tokio::test(start_paused = true)]
async fn a_queue_is_bounded_in_bytes_with_a_connection_and_without() {
    for is_offline in [true, false] {
        let net = Net::new();
        let mut framed = build(&net).max_queued(10).connect().await.unwrap();
        net.peer(1).set_room(0);
        if is_offline {
            framed.mark_lost(io::Error::other("bad"));
        }
        let mut accepted = 0;
        while let Some(fed) = framed.feed("1234").now_or_never() {
            fed.unwrap();
            accepted += 1;
        }
        // Two have 10 bytes, and the sink is full from there on.
        assert_eq!(accepted, 2);
    }
}
