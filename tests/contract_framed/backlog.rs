//! The backlog of a connection leaves whichever half polls.

use std::io::ErrorKind;

use futures::SinkExt;
use reconnecting_stream::Connect;
use tokio::time::{advance, timeout};

use super::contract::{Net, Op};
use super::support::Task;
use super::*;

/// A stream that has lost its first connection and has a backlog of one message for the
/// second one. From there on bytes leave by a flush only.
async fn with_backlog(
    net: &Net,
    resend: Resend,
) -> Framed<impl Connect<Io = Socket, Future: Send> + Send + Sync> {
    net.greet(|generation, peer| {
        if generation == 2 {
            peer.buffer();
        }
    });
    let mut framed = build(net).resend(resend).connect().await.unwrap();
    if resend == Resend::Torn {
        framed.feed("backlog").await.unwrap();
    } else {
        framed.send("backlog").await.unwrap();
    }
    framed.mark_lost(io::Error::other("bad"));
    framed
}

/// Polls a task that only reads, when it is woken, until nothing more happens.
async fn read_on<C: Connect<Io = Socket>>(framed: &mut Framed<C>, task: &Task) {
    for _ in 0..10 {
        while task.poll(|cx| poll_next(framed, cx)).is_ready() || task.is_woken() {}
        advance(SECOND).await;
        tokio::task::yield_now().await;
        if !task.is_woken() {
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_backlog_is_written_and_flushed_by_a_task_that_only_reads() {
    for resend in [Resend::Torn, UNCONFIRMED] {
        let net = Net::new();
        let mut framed = with_backlog(&net, resend).await;
        read_on(&mut framed, &Task::new()).await;
        assert_eq!(net.peer(2).text(), "backlog\n", "{resend:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_backlog_is_written_and_flushed_by_a_sender_that_only_waits_for_room() {
    for resend in [Resend::Torn, Resend::Unconfirmed { max_bytes: 4 }] {
        let net = Net::new();
        net.greet(|generation, peer| {
            if generation == 2 {
                peer.buffer();
            }
        });
        let builder = build(&net).resend(resend).max_queued(4);
        let mut framed = builder.connect().await.unwrap();
        framed.feed("backlog").await.unwrap();
        framed.mark_lost(io::Error::other("bad"));
        let ready = std::future::poll_fn(|cx| poll_ready(&mut framed, cx));
        let _ = timeout(3 * SECOND, ready).await;
        assert_eq!(net.peer(2).text(), "backlog\n", "{resend:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_backlog_continues_to_leave_when_the_senders_future_is_dropped() {
    for resend in [Resend::Torn, UNCONFIRMED] {
        for stalled in [Op::Write, Op::Flush] {
            let net = Net::new();
            let mut framed = with_backlog(&net, resend).await;
            framed.connected().await.unwrap();
            net.peer(2).stall(stalled);
            let (reader, sender) = (Task::new(), Task::new());
            while reader.poll(|cx| poll_next(&mut framed, cx)).is_ready() {}
            assert!(sender.poll(|cx| poll_flush(&mut framed, cx)).is_pending());
            // The sender is gone; its waker is woken in vain.
            reader.take_wakes();
            net.peer(2).resume(stalled);
            assert!(reader.is_woken(), "{resend:?}, {stalled:?}");
            read_on(&mut framed, &reader).await;
            assert_eq!(net.peer(2).text(), "backlog\n", "{resend:?}, {stalled:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_backlog_continues_to_leave_when_the_sender_has_room() {
    for resend in [Resend::Torn, UNCONFIRMED] {
        let net = Net::new();
        let mut framed = with_backlog(&net, resend).await;
        framed.connected().await.unwrap();
        net.peer(2).stall(Op::Flush);
        let (reader, sender) = (Task::new(), Task::new());
        while reader.poll(|cx| poll_next(&mut framed, cx)).is_ready() {}
        let ready = sender.poll(|cx| poll_ready(&mut framed, cx));
        assert!(matches!(ready, Poll::Ready(Ok(()))));
        reader.take_wakes();
        net.peer(2).resume(Op::Flush);
        assert!(reader.is_woken(), "{resend:?}");
        read_on(&mut framed, &reader).await;
        assert_eq!(net.peer(2).text(), "backlog\n", "{resend:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_backlog_continues_to_leave_when_a_send_was_given_up_at_a_deadline() {
    for resend in [Resend::Torn, UNCONFIRMED] {
        let net = Net::new();
        let mut framed = with_backlog(&net, resend).await;
        assert!(timeout(SECOND / 2, framed.flush()).await.is_err());
        assert_eq!(describe(framed.next().await), "lost 1");
        read_on(&mut framed, &Task::new()).await;
        assert_eq!(net.peer(2).text(), "backlog\n", "{resend:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_was_cut_goes_whole_to_the_next_connection_by_a_task_that_only_reads() {
    let net = Net::new();
    let mut framed = connect(&net).await;
    net.peer(1).set_room(3);
    framed.feed("message").await.unwrap();
    assert!(framed.flush().now_or_never().is_none());
    net.peer(1).reset();
    read_on(&mut framed, &Task::new()).await;
    assert_eq!(net.peer(1).text(), "mes");
    assert_eq!(net.peer(2).text(), "message\n");
}

#[tokio::test(start_paused = true)]
async fn a_task_that_only_reads_flushes_what_a_dropped_sender_had_written_of_the_backlog() {
    let net = Net::new();
    let mut framed = with_backlog(&net, Resend::Torn).await;
    framed.connected().await.unwrap();
    // The sender has written it and waits for the flush.
    net.peer(2).stall(Op::Flush);
    let sender = Task::new();
    assert!(sender.poll(|cx| poll_flush(&mut framed, cx)).is_pending());
    net.peer(2).resume(Op::Flush);
    read_on(&mut framed, &Task::new()).await;
    assert_eq!(net.peer(2).text(), "backlog\n");
}

#[tokio::test(start_paused = true)]
async fn a_reader_gets_its_items_though_the_backlog_finds_no_room() {
    let net = Net::new();
    net.greet(|generation, peer| {
        if generation == 2 {
            peer.set_room(0).send("item\n");
        }
    });
    let mut framed = connect(&net).await;
    framed.feed("backlog").await.unwrap();
    framed.mark_lost(io::Error::other("bad"));
    framed.connected().await.unwrap();
    let task = Task::new();
    for expected in ["lost 1", "item"] {
        let mut polled = task.poll(|cx| poll_next(&mut framed, cx));
        while polled.is_pending() && task.is_woken() {
            polled = task.poll(|cx| poll_next(&mut framed, cx));
        }
        assert_eq!(polled, Poll::Ready(expected.to_owned()), "it sleeps");
    }
}

#[tokio::test(start_paused = true)]
async fn the_backlog_continues_to_leave_after_the_sender_took_an_error_of_a_write() {
    let net = Net::new();
    let mut framed = with_backlog(&net, Resend::Torn).await;
    framed.connected().await.unwrap();
    net.peer(2).fail_once(Op::Write, ErrorKind::InvalidData);
    let reader = Task::new();
    while reader.poll(|cx| poll_next(&mut framed, cx)).is_ready() {}
    reader.take_wakes();
    let error = framed.flush().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    // The sender is gone.
    assert!(reader.is_woken());
    read_on(&mut framed, &reader).await;
    assert_eq!(net.peer(2).text(), "backlog\n");
}
