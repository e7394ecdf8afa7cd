//! A sender that never reads learns of every connection's end before it writes the next frame.

use futures::SinkExt;

use super::contract::{Net, Op, When};
use super::support::Task;
use super::*;

#[tokio::test(start_paused = true)]
async fn a_sender_that_never_reads_learns_of_each_end_after_a_banner() {
    let net = Net::new();
    let mut framed = connect(&net).await;
    for generation in 1..=5 {
        net.peer(generation).send("220 welcome\n421 bye\n").finish();
        framed.send("x").await.unwrap();
        assert_eq!(
            net.peer(generation).text(),
            if generation == 1 { "" } else { "x\n" }
        );
        assert_eq!(net.peer(generation + 1).text(), "x\n");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_never_reads_learns_of_an_end_that_comes_with_a_banner_of_16_kibibytes() {
    let net = Net::new();
    let mut framed = connect(&net).await;
    framed.send("a").await.unwrap();
    let banner = "x".repeat(1023) + "\n";
    net.peer(1).send(banner.repeat(16)).finish();
    framed.send("b").await.unwrap();
    assert_eq!(net.peer(1).text(), "a\n");
    assert_eq!(net.peer(2).text(), "b\n");
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_never_reads_learns_of_an_end_while_it_is_full() {
    for resets in [true, false] {
        let net = Net::new();
        let mut framed = build(&net).max_queued(2).connect().await.unwrap();
        net.peer(1).set_room(3);
        framed.feed("first").await.unwrap();
        let task = Task::new();
        assert!(task.poll(|cx| poll_ready(&mut framed, cx)).is_pending());
        task.take_wakes();
        net.peer(1).send("banner\n");
        if resets {
            net.peer(1).reset();
        } else {
            net.peer(1).finish();
        }
        assert!(task.is_woken());
        framed.send("second").await.unwrap();
        assert_eq!(net.peer(1).text(), "fir");
        assert_eq!(net.peer(2).text(), "first\nsecond\n");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_never_reads_learns_of_an_end_on_another_thread_at_any_moment() {
    for op in [Op::Read, Op::Write, Op::Flush] {
        for when in [When::Before, When::After] {
            for banner in ["", "banner\n"] {
                let net = Net::new();
                let mut framed = connect(&net).await;
                net.peer(1).at(op, when, move |peer| {
                    peer.send(banner).finish();
                });
                framed.send("a").await.unwrap();
                framed.send("b").await.unwrap();
                let first = net.peer(1).text();
                let case = format!("{op:?} {when:?} {banner:?}");
                assert!(!first.contains('b'), "{case}: {first}");
                assert!(net.peer(2).text().ends_with("b\n"), "{case}");
                if (op, when) == (Op::Read, When::Before) {
                    assert_eq!(first, "", "{case}: it had arrived before the read ahead");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_never_reads_and_waits_in_a_flush_learns_of_an_end_on_another_thread() {
    for (op, when) in [
        (Op::Write, When::Before),
        (Op::Write, When::After),
        (Op::Flush, When::After),
    ] {
        let net = Net::new();
        // What the flush has not completed is sent again if it is not confirmed.
        let mut framed = connect_unconfirmed(&net).await;
        // The connection takes nothing more, so only the end can wake the sender.
        let stalled = if op == Op::Flush {
            Op::Flush
        } else {
            Op::Write
        };
        net.peer(1).stall(stalled).at(op, when, |peer| {
            peer.finish();
        });
        let sent = tokio::time::timeout(10 * SECOND, framed.send("a")).await;
        sent.expect("it hangs").unwrap();
        assert_eq!(net.peer(2).text(), "a\n", "{op:?} {when:?}");
    }
}
