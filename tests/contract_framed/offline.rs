//! What is stale may be dropped: messages of an outage, and those from before the loss.

use std::io::ErrorKind;

use futures::SinkExt;
use reconnecting_stream::{Connect, OfflineQueue};

use super::contract::Net;
use super::support::{Outcome, Task};
use super::*;

async fn offline(
    net: &Net,
    offline: OfflineQueue,
    max_queued: usize,
) -> Framed<impl Connect<Io = Socket, Future: Send> + Send + Sync> {
    let builder = build(net).offline_queue(offline).max_queued(max_queued);
    builder.connect().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn by_default_messages_of_an_outage_are_kept_and_a_full_queue_waits() {
    let net = Net::new();
    let mut framed = build(&net).max_queued(4).connect().await.unwrap();
    framed.mark_lost(io::Error::other("bad"));
    framed.feed("a").await.unwrap();
    framed.feed("b").await.unwrap();
    assert!(framed.feed("c").now_or_never().is_none());
    framed.send("c").await.unwrap();
    assert_eq!(net.peer(2).text(), "a\nb\nc\n");
    assert_eq!(framed.dropped_messages(), 0);
}

#[tokio::test(start_paused = true)]
async fn refuse_answers_not_connected_to_poll_ready_and_start_send_during_an_outage() {
    let net = Net::new();
    let mut framed = offline(&net, OfflineQueue::Refuse, 1000).await;
    let task = Task::new();
    // There was room; the connection is gone when the message comes.
    let ready = task.poll(|cx| poll_ready(&mut framed, cx));
    assert!(matches!(ready, Poll::Ready(Ok(()))));
    framed.mark_lost(io::Error::other("bad"));
    let error = start_send(&mut framed, "a").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotConnected);
    let ready = task.poll(|cx| poll_ready(&mut framed, cx));
    let Poll::Ready(Err(error)) = ready else {
        panic!("{ready:?}");
    };
    assert_eq!(error.kind(), ErrorKind::NotConnected);
    assert_eq!(framed.unconfirmed(), 0);
    assert_eq!(framed.dropped_messages(), 0, "nothing was accepted");
    framed.connected().await.unwrap();
    framed.send("b").await.unwrap();
    assert_eq!(net.peer(2).text(), "b\n");
}

#[tokio::test(start_paused = true)]
async fn refuse_keeps_what_was_accepted_before_the_loss() {
    let net = Net::new();
    let mut framed = offline(&net, OfflineQueue::Refuse, 1000).await;
    framed.feed("a").await.unwrap();
    framed.mark_lost(io::Error::other("bad"));
    assert!(framed.feed("b").await.is_err());
    framed.flush().await.unwrap();
    assert_eq!(net.peer(2).text(), "a\n");
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_is_refused_drives_the_stream_to_its_next_connection() {
    let net = Net::new();
    let mut framed = offline(&net, OfflineQueue::Refuse, 1000).await;
    framed.mark_lost(io::Error::other("bad"));
    let mut refusals = 0;
    while let Err(error) = framed.send("a").await {
        assert_eq!(error.kind(), ErrorKind::NotConnected);
        refusals += 1;
        assert!(refusals < 100);
        tokio::time::sleep(SECOND / 4).await;
    }
    assert!(refusals > 1);
    assert_eq!(net.peer(2).text(), "a\n");
}

#[tokio::test(start_paused = true)]
async fn a_sender_is_not_refused_because_its_queue_is_full() {
    let net = Net::new();
    let mut framed = offline(&net, OfflineQueue::Refuse, 1).await;
    net.peer(1).set_room(0);
    framed.feed("a").await.unwrap();
    assert!(framed.feed("b").now_or_never().is_none(), "it waits");
}

#[tokio::test(start_paused = true)]
async fn drop_oldest_never_waits_during_an_outage_and_counts_what_it_drops() {
    let net = Net::new();
    let mut framed = offline(&net, OfflineQueue::DropOldest, 4).await;
    framed.feed("queued").await.unwrap();
    framed.mark_lost(io::Error::other("bad"));
    for message in 0..10_u64 {
        let fed = framed.feed(message).now_or_never();
        fed.expect("it waits").unwrap();
    }
    assert_eq!(framed.dropped_messages(), 9);
    framed.flush().await.unwrap();
    assert_eq!(net.peer(2).text(), "8\n9\n");
}

#[tokio::test(start_paused = true)]
async fn drop_oldest_drops_a_message_that_was_cut_and_tears_nothing() {
    let net = Net::new();
    let mut framed = offline(&net, OfflineQueue::DropOldest, 4).await;
    net.peer(1).set_room(2);
    framed.feed("cut").await.unwrap();
    assert!(framed.flush().now_or_never().is_none());
    net.peer(1).reset();
    assert_eq!(describe(framed.next().await), "lost 1");
    framed.feed("new").now_or_never().unwrap().unwrap();
    framed.flush().await.unwrap();
    assert_eq!(net.peer(1).text(), "cu");
    assert_eq!(net.peer(2).text(), "new\n");
    assert_eq!(framed.dropped_messages(), 1);
}

#[tokio::test(start_paused = true)]
async fn drop_oldest_drops_no_message_that_a_connection_had_taken_whole() {
    let net = Net::new();
    let mut framed = build(&net)
        .offline_queue(OfflineQueue::DropOldest)
        .max_queued(4)
        .resend(UNCONFIRMED)
        .connect()
        .await
        .unwrap();
    framed.send("a").await.unwrap();
    framed.send("b").await.unwrap();
    framed.mark_lost(io::Error::other("bad"));
    for message in ["c", "d", "e", "f"] {
        framed.feed(message).now_or_never().unwrap().unwrap();
    }
    assert_eq!(framed.dropped_messages(), 2);
    framed.flush().await.unwrap();
    assert_eq!(net.peer(2).text(), "a\nb\ne\nf\n");
    framed.confirm(2);
    assert_eq!(framed.unconfirmed(), 2);
}

#[tokio::test(start_paused = true)]
async fn drop_oldest_never_waits_though_the_queue_is_full_of_messages_that_may_not_be_dropped() {
    let net = Net::new();
    net.script([Outcome::Accepts]).otherwise(Outcome::Hangs);
    let mut framed = build(&net)
        .offline_queue(OfflineQueue::DropOldest)
        .max_queued(4)
        .resend(UNCONFIRMED)
        .connect()
        .await
        .unwrap();
    framed.send("a").await.unwrap();
    framed.send("b").await.unwrap();
    framed.mark_lost(io::Error::other("bad"));
    for message in ["c", "d"] {
        let fed = framed.feed(message).now_or_never();
        fed.expect("it waits").unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn drop_oldest_waits_for_a_connection_that_is_there() {
    let net = Net::new();
    let mut framed = offline(&net, OfflineQueue::DropOldest, 1).await;
    net.peer(1).set_room(0);
    framed.feed("a").await.unwrap();
    assert!(framed.feed("b").now_or_never().is_none());
    assert_eq!(framed.dropped_messages(), 0);
}

#[tokio::test(start_paused = true)]
async fn without_keep_unsent_what_was_not_taken_whole_is_dropped_at_the_loss_and_counted() {
    for resend in [Resend::Torn, UNCONFIRMED] {
        let net = Net::new();
        let builder = build(&net).keep_unsent(false).resend(resend);
        let mut framed = builder.connect().await.unwrap();
        framed.send("whole").await.unwrap();
        net.peer(1).set_room(3);
        framed.feed("cut").await.unwrap();
        framed.feed("queued").await.unwrap();
        assert!(framed.flush().now_or_never().is_none());
        net.peer(1).reset();
        assert_eq!(describe(framed.next().await), "lost 1");
        assert_eq!(framed.dropped_messages(), 2, "{resend:?}");
        // What is accepted during the outage is not from before the loss.
        framed.feed("new").await.unwrap();
        framed.flush().await.unwrap();
        let again = if resend == Resend::Torn {
            ""
        } else {
            "whole\n"
        };
        assert_eq!(net.peer(2).text(), format!("{again}new\n"));
        assert_eq!(framed.dropped_messages(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_flush_succeeds_although_keep_unsent_has_dropped_what_it_waited_for() {
    let net = Net::new();
    let builder = build(&net).keep_unsent(false);
    let mut framed = builder.connect().await.unwrap();
    net.peer(1).set_room(0);
    let mut send = Box::pin(framed.send("dropped"));
    assert!(send.as_mut().now_or_never().is_none());
    net.peer(1).reset();
    send.now_or_never().expect("nothing is left").unwrap();
    assert_eq!(framed.dropped_messages(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_keep_unsent_messages_of_an_outage_are_dropped_with_the_connection_that_got_them() {
    let net = Net::new();
    net.greet(|generation, peer| {
        if generation == 2 {
            peer.set_room(0);
        }
    });
    let builder = build(&net).keep_unsent(false);
    let mut framed = builder.connect().await.unwrap();
    framed.mark_lost(io::Error::other("bad"));
    framed.feed("offline").await.unwrap();
    framed.connected().await.unwrap();
    assert!(framed.flush().now_or_never().is_none());
    net.peer(2).reset();
    assert_eq!(describe(framed.next().await), "lost 1");
    assert_eq!(describe(framed.next().await), "lost 2");
    framed.send("last").await.unwrap();
    assert_eq!(net.peer(3).text(), "last\n");
    assert_eq!(framed.dropped_messages(), 1);
}

#[tokio::test(start_paused = true)]
async fn by_default_what_was_not_taken_whole_goes_to_the_next_connection() {
    let net = Net::new();
    let mut framed = connect(&net).await;
    framed.feed("queued").await.unwrap();
    net.peer(1).reset();
    framed.flush().await.unwrap();
    assert_eq!(net.peer(2).text(), "queued\n");
    assert_eq!(framed.dropped_messages(), 0);
}
