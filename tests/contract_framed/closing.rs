//! Closing: the backlog is sent, or the close returns an error.

use std::io::ErrorKind;

use futures::SinkExt;
use reconnecting_stream::State;
use tokio::time::{advance, timeout};

use super::contract::{Net, Op, When};
use super::support::{Outcome, Task};
use super::*;

#[tokio::test(start_paused = true)]
async fn a_close_sends_the_backlog_and_shuts_the_connection_down() {
    for resend in [Resend::Torn, UNCONFIRMED] {
        let net = Net::new();
        let mut framed = build(&net).resend(resend).connect().await.unwrap();
        net.peer(1).buffer();
        framed.feed("a").await.unwrap();
        framed.close().await.unwrap();
        assert_eq!(net.peer(1).text(), "a\n");
        assert!(net.peer(1).is_shut_down());
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_whose_write_meets_the_loss_sends_the_backlog_on_the_next_connection() {
    for op in [Op::Read, Op::Write, Op::Flush] {
        for resend in [Resend::Torn, UNCONFIRMED] {
            let net = Net::new();
            let mut framed = build(&net).resend(resend).connect().await.unwrap();
            framed.feed("a").await.unwrap();
            net.peer(1).at(op, When::Before, |peer| {
                peer.reset();
            });
            let closed = describe_result(framed.close().await);
            // A flush that fails had handed the message over: with `Torn` it is not sent again.
            if op == Op::Flush && resend == Resend::Torn {
                assert_eq!(closed, "lost 1");
            } else {
                assert_eq!(closed, "ok", "{op:?}, {resend:?}");
                assert_eq!(net.peer(2).text(), "a\n");
                assert!(net.peer(2).is_shut_down());
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_whose_shutdown_meets_the_loss_says_so_each_time_if_nothing_is_sent_again() {
    for seam in SEAMS {
        let net = Net::new();
        let mut framed = build(&net).seam(seam).connect().await.unwrap();
        framed.send("a").await.unwrap();
        net.peer(1).fail_once(Op::Shutdown, ErrorKind::BrokenPipe);
        for _ in 0..3 {
            assert_eq!(describe_result(framed.close().await), "lost 1", "{seam:?}");
        }
        assert_eq!(net.attempts().len(), 1);
        assert_eq!(describe(framed.next().await), "lost 1", "{seam:?}");
        assert_eq!(describe(framed.next().await), "none");
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_whose_shutdown_meets_the_loss_sends_again_what_was_not_confirmed() {
    let net = Net::new();
    let mut framed = connect_unconfirmed(&net).await;
    framed.send("a").await.unwrap();
    framed.send("b").await.unwrap();
    framed.confirm(1);
    net.peer(1).fail_once(Op::Shutdown, ErrorKind::BrokenPipe);
    framed.close().await.unwrap();
    assert_eq!(net.peer(2).text(), "b\n");
    assert!(net.peer(2).is_shut_down());
}

#[tokio::test(start_paused = true)]
async fn a_close_that_waits_is_woken_by_the_loss_that_the_reader_sees_first_and_says_so() {
    for seam in SEAMS {
        let net = Net::new();
        let mut framed = build(&net).seam(seam).connect().await.unwrap();
        framed.send("a").await.unwrap();
        net.peer(1).stall(Op::Shutdown);
        let task = Task::new();
        assert!(task.poll(|cx| poll_close(&mut framed, cx)).is_pending());
        task.take_wakes();
        net.peer(1).reset();
        let reader = Task::new();
        let _ = reader.poll(|cx| poll_next(&mut framed, cx));
        assert!(task.is_woken());
        let Poll::Ready(closed) = task.poll(|cx| poll_close(&mut framed, cx)) else {
            panic!("{seam:?}: it waits");
        };
        assert_eq!(describe_result(closed), "lost 1", "{seam:?}");
        assert_eq!(describe_result(framed.close().await), "lost 1");
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_that_waits_and_whose_loss_the_reader_sees_first_sends_again_what_was_not_confirmed()
 {
    let net = Net::new();
    let mut framed = connect_unconfirmed(&net).await;
    framed.send("a").await.unwrap();
    net.peer(1).stall(Op::Shutdown);
    let task = Task::new();
    assert!(task.poll(|cx| poll_close(&mut framed, cx)).is_pending());
    net.peer(1).reset();
    assert_eq!(describe(framed.next().await), "lost 1");
    framed.close().await.unwrap();
    assert_eq!(net.peer(2).text(), "a\n");
    assert!(net.peer(2).is_shut_down());
}

#[tokio::test(start_paused = true)]
async fn a_close_whose_connection_a_command_drops_says_so() {
    for marks in [true, false] {
        let net = Net::new();
        let mut framed = connect(&net).await;
        let handle = framed.handle();
        framed.send("a").await.unwrap();
        net.peer(1).stall(Op::Shutdown);
        assert!(timeout(SECOND, framed.close()).await.is_err());
        if marks {
            handle.mark_lost(io::Error::other("bad"));
        } else {
            handle.reconnect();
        }
        assert_eq!(describe_result(framed.close().await), "lost 1");
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_during_an_outage_with_nothing_to_send_ends_immediately() {
    for seam in SEAMS {
        for outcome in [
            Outcome::Hangs,
            Outcome::Refuses(ErrorKind::ConnectionRefused),
        ] {
            let net = Net::new();
            net.script([Outcome::Accepts]).otherwise(outcome);
            let mut framed = build(&net).seam(seam).connect().await.unwrap();
            framed.mark_lost(io::Error::other("bad"));
            let closed = framed.close().now_or_never();
            closed.expect("it waits").unwrap();
            assert_eq!(framed.state(), State::Closed);
            framed.close().await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_of_a_stream_that_never_had_a_connection_ends_immediately() {
    let net = Net::new();
    let mut framed = build(&net).lazy();
    framed.close().now_or_never().expect("it waits").unwrap();
    assert_eq!(describe(framed.next().await), "none");
    assert_eq!(net.attempts().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_close_during_an_outage_with_unsent_messages_waits_for_a_connection_and_sends_them() {
    for resend in [Resend::Torn, UNCONFIRMED] {
        let net = Net::new();
        let mut framed = build(&net).resend(resend).connect().await.unwrap();
        framed.feed("a").await.unwrap();
        framed.mark_lost(io::Error::other("bad"));
        framed.feed("b").await.unwrap();
        let task = Task::new();
        assert!(task.poll(|cx| poll_close(&mut framed, cx)).is_pending());
        task.take_wakes();
        advance(2 * SECOND).await;
        tokio::task::yield_now().await;
        assert!(task.is_woken());
        framed.close().await.unwrap();
        assert_eq!(net.peer(2).text(), "a\nb\n");
        assert!(net.peer(2).is_shut_down());
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_never_answers_ok_for_what_a_handle_dropped() {
    for resend in [Resend::Torn, UNCONFIRMED] {
        let net = Net::new();
        let mut framed = build(&net).resend(resend).connect().await.unwrap();
        framed.feed("a").await.unwrap();
        framed.handle().close();
        for _ in 0..2 {
            let error = framed.close().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BrokenPipe, "{resend:?}");
        }
        assert_eq!(net.peer(1).text(), "");
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_never_answers_ok_for_what_was_dropped_because_it_is_not_kept() {
    // While the close polls, or when the reader has seen the loss before it.
    for by_reader in [true, false] {
        let net = Net::new();
        net.script([Outcome::Accepts]).otherwise(Outcome::Hangs);
        let builder = build(&net).keep_unsent(false);
        let mut framed = builder.connect().await.unwrap();
        net.peer(1).stall(Op::Write);
        framed.feed("a").await.unwrap();
        let task = Task::new();
        assert!(task.poll(|cx| poll_close(&mut framed, cx)).is_pending());
        net.peer(1).reset();
        if by_reader {
            assert_eq!(describe(framed.next().await), "lost 1");
        }
        let closed = timeout(10 * SECOND, framed.close()).await;
        assert_eq!(describe_result(closed.expect("it hangs")), "lost 1");
        assert_eq!(framed.dropped_messages(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_that_is_dropped_is_continued_by_the_next_one() {
    let net = Net::new();
    let mut framed = connect(&net).await;
    net.peer(1).set_room(1);
    framed.feed("abc").await.unwrap();
    assert!(timeout(SECOND, framed.close()).await.is_err());
    net.peer(1).set_room(usize::MAX);
    net.peer(1).stall(Op::Shutdown);
    assert!(timeout(SECOND, framed.close()).await.is_err());
    net.peer(1).resume(Op::Shutdown);
    framed.close().await.unwrap();
    assert_eq!(net.peer(1).text(), "abc\n");
    assert!(net.peer(1).is_shut_down());
    assert_eq!(net.attempts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_flush_with_nothing_to_do_is_ok_also_after_a_close_and_during_an_outage() {
    let net = Net::new();
    net.script([Outcome::Accepts]).otherwise(Outcome::Hangs);
    let mut framed = connect(&net).await;
    framed.flush().await.unwrap();
    framed.close().await.unwrap();
    framed.flush().await.unwrap();

    let mut framed = build(&net).lazy();
    assert!(framed.flush().now_or_never().unwrap().is_ok());
    framed.handle().close();
    framed.flush().await.unwrap();
    assert_eq!(describe(framed.next().await), "none");
    framed.flush().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_loss_after_a_close_is_told_to_the_reader_whatever_the_seam() {
    for seam in SEAMS {
        let net = Net::new();
        let mut framed = build(&net).seam(seam).connect().await.unwrap();
        framed.send("request").await.unwrap();
        framed.close().await.unwrap();
        net.peer(1).send("reply 1 of 2\n").reset();
        assert_eq!(describe(framed.next().await), "reply 1 of 2");
        assert_eq!(describe(framed.next().await), "lost 1", "{seam:?}");
        assert_eq!(describe(framed.next().await), "none");
        framed.close().await.unwrap();
        assert_eq!(net.attempts().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_loss_during_an_outage_that_a_close_ends_is_told_to_the_reader_whatever_the_seam() {
    for seam in SEAMS {
        let net = Net::new();
        net.script([Outcome::Accepts]).otherwise(Outcome::Hangs);
        let mut framed = build(&net).seam(seam).connect().await.unwrap();
        net.peer(1).send("reply 1 of 2\n").reset();
        framed.mark_lost(io::Error::other("bad"));
        framed.close().await.unwrap();
        assert_eq!(describe(framed.next().await), "reply 1 of 2");
        assert_eq!(describe(framed.next().await), "lost 1", "{seam:?}");
        assert_eq!(describe(framed.next().await), "none");
    }
}

#[tokio::test(start_paused = true)]
async fn flush_and_close_need_no_type_though_the_codec_takes_several() {
    let net = Net::new();
    let mut framed = connect(&net).await;
    framed.feed("text").await.unwrap();
    framed.feed(7_u64).await.unwrap();
    framed.flush().await.unwrap();
    framed.close().await.unwrap();
    assert_eq!(net.peer(1).text(), "text\n7\n");
}
