//! Confirmations: immediate, in the order of each connection, and a wake-up.

use futures::SinkExt;
use tokio::time::timeout;

use super::contract::{Net, Op, When};
use super::support::{Outcome, Task};
use super::*;

#[tokio::test(start_paused = true)]
async fn a_confirmation_wakes_a_flush_or_a_close_during_an_outage_which_then_ends() {
    for closes in [true, false] {
        for by_answer in [true, false] {
            let net = Net::new();
            net.script([Outcome::Accepts]).otherwise(Outcome::Hangs);
            let mut framed = connect_unconfirmed(&net).await;
            framed.send("a").await.unwrap();
            framed.send("b").await.unwrap();
            let confirmations = framed.confirm_handle();
            framed.mark_lost(io::Error::other("bad"));
            let task = Task::new();
            let poll = if closes { poll_close } else { poll_flush };
            assert!(task.poll(|cx| poll(&mut framed, cx)).is_pending());
            task.take_wakes();
            let confirm = |n| {
                if by_answer {
                    confirmations.confirm_replies(n);
                } else {
                    confirmations.confirm(n);
                }
            };
            confirm(1);
            assert!(task.poll(|cx| poll(&mut framed, cx)).is_pending());
            task.take_wakes();
            confirm(1);
            assert!(task.is_woken());
            let done = task.poll(|cx| poll(&mut framed, cx));
            assert!(matches!(done, Poll::Ready(Ok(()))), "{closes}: {done:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_confirmation_is_counted_before_anything_is_polled() {
    let net = Net::new();
    let mut framed = connect_unconfirmed(&net).await;
    for message in ["a", "b", "c"] {
        framed.send(message).await.unwrap();
    }
    assert_eq!(framed.unconfirmed(), 3);
    framed.confirm_handle().confirm(1);
    assert_eq!(framed.unconfirmed(), 2);
    framed.confirm_handle().confirm_replies(2);
    assert_eq!(
        framed.unconfirmed(),
        1,
        "the replies say that it has the first two"
    );
    framed.confirm(5);
    assert_eq!(framed.unconfirmed(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_confirmation_that_races_with_the_sending_again_tears_and_repeats_nothing() {
    for (op, when) in [
        (Op::Read, When::Before),
        (Op::Write, When::Before),
        (Op::Write, When::After),
        (Op::Flush, When::Before),
        (Op::Flush, When::After),
    ] {
        let net = Net::new();
        let mut framed = connect_unconfirmed(&net).await;
        for message in ["a", "b", "c"] {
            framed.send(message).await.unwrap();
        }
        let confirmations = framed.confirm_handle();
        framed.reconnect();
        framed.connected().await.unwrap();
        net.peer(2).at(op, when, move |_| confirmations.confirm(2));
        framed.flush().await.unwrap();
        assert_eq!(framed.unconfirmed(), 1, "{op:?} {when:?}");
        let text = net.peer(2).text();
        assert!(text.ends_with("c\n") && "a\nb\nc\n".ends_with(&text));
        framed.reconnect();
        framed.send("d").await.unwrap();
        assert_eq!(net.peer(3).text(), "c\nd\n", "{op:?} {when:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_confirmation_of_the_first_connection_that_comes_after_a_reconnect_is_for_its_messages() {
    let net = Net::new();
    let mut framed = connect_unconfirmed(&net).await;
    for message in ["a", "b", "c"] {
        framed.send(message).await.unwrap();
    }
    net.peer(1).send("done\ndone\n").reset();
    framed.send("d").await.unwrap();
    assert_eq!(net.peer(2).text(), "a\nb\nc\nd\n");
    for _ in 0..2 {
        assert_eq!(describe(framed.next().await), "done");
        framed.confirm_replies(1);
    }
    assert_eq!(framed.unconfirmed(), 2);
    // The second connection answers what it was given, from the beginning.
    net.peer(2).send("done\n");
    assert_eq!(describe(framed.next().await), "lost 1");
    assert_eq!(describe(framed.next().await), "done");
    framed.confirm_replies(1);
    assert_eq!(
        framed.unconfirmed(),
        2,
        "it was for a message that is confirmed"
    );
    framed.reconnect();
    framed.flush().await.unwrap();
    assert_eq!(net.peer(3).text(), "c\nd\n");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_confirmed_is_sent_again_oldest_first_without_a_gap() {
    let net = Net::new();
    let mut framed = connect_unconfirmed(&net).await;
    for message in ["a", "b", "c"] {
        framed.send(message).await.unwrap();
    }
    framed.confirm(1);
    framed.feed("d").await.unwrap();
    framed.reconnect();
    framed.feed("e").await.unwrap();
    framed.flush().await.unwrap();
    assert_eq!(net.peer(2).text(), "b\nc\nd\ne\n");
    net.peer(2).reset();
    framed.send("f").await.unwrap();
    assert_eq!(net.peer(3).text(), "b\nc\nd\ne\nf\n");
}

#[tokio::test(start_paused = true)]
async fn a_flush_that_waits_in_an_outage_for_what_is_confirmed_does_not_wait_for_a_connection() {
    let net = Net::new();
    net.script([Outcome::Accepts]).otherwise(Outcome::Hangs);
    let mut framed = connect_unconfirmed(&net).await;
    framed.send("a").await.unwrap();
    framed.mark_lost(io::Error::other("bad"));
    assert!(timeout(3 * SECOND, framed.flush()).await.is_err());
    framed.confirm(1);
    assert!(framed.flush().now_or_never().unwrap().is_ok());
    assert_eq!(framed.unconfirmed(), 0);
}

#[tokio::test(start_paused = true)]
async fn replies_of_a_connection_that_went_unread_are_for_what_that_connection_was_given() {
    let net = Net::new();
    let mut framed = connect_unconfirmed(&net).await;
    for message in ["a", "b", "c", "d"] {
        framed.send(message).await.unwrap();
    }
    framed.reconnect();
    framed.flush().await.unwrap();
    assert_eq!(net.peer(2).text(), "a\nb\nc\nd\n");
    // The second connection replies to "a", which is confirmed already when that is read.
    net.peer(2).send("done\n");
    framed.confirm(2);
    framed.reconnect();
    framed.flush().await.unwrap();
    assert_eq!(net.peer(3).text(), "c\nd\n");
    for expected in ["lost 1", "done"] {
        assert_eq!(describe(framed.next().await), expected);
    }
    framed.confirm_replies(1);
    assert_eq!(framed.unconfirmed(), 2);
    net.peer(3).send("done\n");
    for expected in ["lost 2", "done"] {
        assert_eq!(describe(framed.next().await), expected);
    }
    framed.confirm_replies(1);
    assert_eq!(framed.unconfirmed(), 1);
}
