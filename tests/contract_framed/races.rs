//! What happens on another thread while a stream is polled, after it has polled its connection.

use futures::SinkExt;

use super::contract::{Net, Op, When};
use super::support::Task;
use super::*;

#[tokio::test(start_paused = true)]
async fn a_reader_that_has_just_found_nothing_sees_what_comes_before_it_waits() {
    for when in [When::Before, When::After] {
        for resets in [true, false] {
            let net = Net::new();
            let mut framed = connect(&net).await;
            net.peer(1).at(Op::Read, when, move |peer| {
                peer.send("item\n");
                if resets {
                    peer.reset();
                }
            });
            // A task that has not waited yet: no waker of it is registered anywhere.
            let task = Task::new();
            let mut polled = task.poll(|cx| poll_next(&mut framed, cx));
            if polled.is_pending() {
                assert!(task.is_woken(), "{when:?}");
                polled = task.poll(|cx| poll_next(&mut framed, cx));
            }
            assert_eq!(polled, Poll::Ready("item".to_owned()), "{when:?}");
        }
    }
}

/// A message that was sent and perhaps confirmed, and one that was fed. The pending confirmation
/// keeps the flush from its fast path.
async fn connect_with_two(
    net: &Net,
    confirms: bool,
) -> Framed<impl Connect<Io = Socket, Future: Send> + Send + Sync> {
    let mut framed = connect_unconfirmed(net).await;
    framed.send("a").await.unwrap();
    framed.feed("b").await.unwrap();
    if confirms {
        framed.confirm_handle().confirm(1);
    }
    framed
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_has_just_found_no_room_sees_what_comes_before_it_waits() {
    for (op, when) in [
        (Op::Read, When::After),
        (Op::Write, When::Before),
        (Op::Write, When::After),
    ] {
        for confirms in [true, false] {
            let net = Net::new();
            let mut framed = connect_with_two(&net, confirms).await;
            net.peer(1).stall(Op::Write).at(op, when, |peer| {
                peer.finish();
            });
            let task = Task::new();
            for _ in 0..3 {
                let flushed = task.poll(|cx| poll_flush(&mut framed, cx));
                assert!(flushed.is_pending());
                if net.peer(1).is_dropped() {
                    break;
                }
                assert!(task.is_woken(), "{op:?} {when:?}, confirms: {confirms}");
            }
            assert!(net.peer(1).is_dropped(), "the end was seen");
            framed.flush().await.unwrap();
            let again = if confirms { "b\n" } else { "a\nb\n" };
            assert_eq!(net.peer(2).text(), again);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_has_just_found_no_room_sees_the_room_that_comes_before_it_waits() {
    for confirms in [true, false] {
        let net = Net::new();
        let mut framed = connect_with_two(&net, confirms).await;
        net.peer(1)
            .stall(Op::Write)
            .at(Op::Write, When::After, |peer| {
                peer.resume(Op::Write);
            });
        let task = Task::new();
        let mut flushed = task.poll(|cx| poll_flush(&mut framed, cx));
        if flushed.is_pending() {
            assert!(task.is_woken(), "confirms: {confirms}");
            flushed = task.poll(|cx| poll_flush(&mut framed, cx));
        }
        assert!(matches!(flushed, Poll::Ready(Ok(()))));
        assert_eq!(net.peer(1).text(), "a\nb\n");
    }
}

#[tokio::test(start_paused = true)]
async fn a_confirmation_that_comes_while_a_sender_polls_for_room_is_seen_before_it_waits() {
    for op in [Op::Write, Op::Flush] {
        let net = Net::new();
        let window = Resend::Unconfirmed { max_bytes: 4 };
        let mut framed = build(&net).resend(window).connect().await.unwrap();
        framed.send("a").await.unwrap();
        framed.feed("b").await.unwrap();
        let confirmations = framed.confirm_handle();
        net.peer(1)
            .at(op, When::After, move |_| confirmations.confirm(1));
        let task = Task::new();
        let mut ready = task.poll(|cx| poll_ready(&mut framed, cx));
        if ready.is_pending() {
            assert!(task.is_woken(), "{op:?}");
            ready = task.poll(|cx| poll_ready(&mut framed, cx));
        }
        assert!(matches!(ready, Poll::Ready(Ok(()))), "{op:?}");
    }
}
