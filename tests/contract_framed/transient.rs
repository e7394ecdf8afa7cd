//! Messages that belong to one connection alone.

use futures::SinkExt;
use reconnecting_stream::OfflineQueue;

use super::contract::Net;
use super::support::Task;
use super::*;

#[tokio::test(start_paused = true)]
async fn a_transient_message_keeps_its_place_among_the_others() {
    let net = Net::new();
    let mut framed = connect_unconfirmed(&net).await;
    framed.feed("a").await.unwrap();
    framed.feed_transient("ping").await.unwrap();
    framed.feed("b").await.unwrap();
    framed.feed_transient(1_u64).await.unwrap();
    framed.flush().await.unwrap();
    assert_eq!(net.peer(1).text(), "a\nping\nb\n1\n");
}

#[tokio::test(start_paused = true)]
async fn a_transient_message_is_never_sent_again() {
    for resend in [Resend::Torn, UNCONFIRMED] {
        let net = Net::new();
        let mut framed = build(&net).resend(resend).connect().await.unwrap();
        framed.send("a").await.unwrap();
        framed.send_transient("ping").await.unwrap();
        framed.send("b").await.unwrap();
        framed.reconnect();
        framed.send("c").await.unwrap();
        let again = if resend == Resend::Torn { "" } else { "a\nb\n" };
        assert_eq!(net.peer(2).text(), format!("{again}c\n"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_transient_message_that_is_queued_or_cut_is_dropped_at_the_seam() {
    for resend in [Resend::Torn, UNCONFIRMED] {
        for room in 0..=7 {
            let net = Net::new();
            let mut framed = build(&net).resend(resend).connect().await.unwrap();
            net.peer(1).set_room(room);
            framed.feed("a").await.unwrap();
            framed.feed_transient("ping").await.unwrap();
            framed.feed("b").await.unwrap();
            assert!(framed.flush().now_or_never().is_none());
            net.peer(1).reset();
            framed.send("c").await.unwrap();
            let is_gone = resend == Resend::Torn && room >= 2;
            let expected = if is_gone { "b\nc\n" } else { "a\nb\nc\n" };
            assert_eq!(net.peer(2).text(), expected, "{resend:?}, room {room}");
            assert_eq!(framed.dropped_messages(), 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_transient_message_is_dropped_with_ok_while_there_is_no_connection() {
    for offline in [
        OfflineQueue::Keep,
        OfflineQueue::Refuse,
        OfflineQueue::DropOldest,
    ] {
        let net = Net::new();
        let builder = build(&net).offline_queue(offline).max_queued(1);
        let mut framed = builder.connect().await.unwrap();
        framed.mark_lost(io::Error::other("bad"));
        for _ in 0..3 {
            let sent = framed.send_transient("ping").now_or_never();
            sent.expect("it waits").unwrap();
            Pin::new(&mut framed).start_send_transient("pong").unwrap();
        }
        assert_eq!(framed.unconfirmed(), 0);
        assert_eq!(framed.dropped_messages(), 0);
        framed.connected().await.unwrap();
        framed.send("a").await.unwrap();
        assert_eq!(net.peer(2).text(), "a\n", "{offline:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_transient_message_for_a_connection_whose_end_was_not_seen_is_not_sent_on_the_next_one() {
    let net = Net::new();
    let mut framed = connect(&net).await;
    net.peer(1).finish();
    framed.feed_transient("ping").await.unwrap();
    framed.send("a").await.unwrap();
    assert_eq!(net.peer(1).text(), "");
    assert_eq!(net.peer(2).text(), "a\n");
}

#[tokio::test(start_paused = true)]
async fn a_transient_message_needs_no_confirmation_and_is_not_counted() {
    let net = Net::new();
    let mut framed = connect_unconfirmed(&net).await;
    framed.send("a").await.unwrap();
    framed.send_transient("ping").await.unwrap();
    framed.send("b").await.unwrap();
    framed.send_transient("ping").await.unwrap();
    assert_eq!(framed.unconfirmed(), 2);
    framed.confirm(1);
    assert_eq!(framed.unconfirmed(), 1);
    framed.reconnect();
    framed.feed_transient("dropped").await.unwrap();
    framed.flush().await.unwrap();
    assert_eq!(
        net.peer(2).text(),
        "b\n",
        "only the second one was not confirmed"
    );
    net.peer(2).send("done\n");
    assert_eq!(describe(framed.next().await), "lost 1");
    assert_eq!(describe(framed.next().await), "done");
    framed.confirm_replies(1);
    assert_eq!(framed.unconfirmed(), 0);
}

#[tokio::test(start_paused = true)]
async fn transient_messages_take_no_room_in_the_window() {
    let net = Net::new();
    let window = Resend::Unconfirmed { max_bytes: 6 };
    let mut framed = build(&net).resend(window).connect().await.unwrap();
    framed.send("a").await.unwrap();
    for _ in 0..1000 {
        framed.send_transient("acknowledged").await.unwrap();
    }
    framed.send("b").await.unwrap();
    framed.send("c").await.unwrap();
    assert!(framed.send("full").now_or_never().is_none());
    // A window that is full has room for them all the same.
    let sent = framed.send_transient("acknowledged").now_or_never();
    sent.expect("it waits for the window").unwrap();
    assert!(net.peer(1).text().ends_with("c\nacknowledged\n"));
}

#[tokio::test(start_paused = true)]
async fn a_transient_message_waits_for_room_only_while_it_is_not_written() {
    let net = Net::new();
    let mut framed = build(&net).max_queued(4).connect().await.unwrap();
    net.peer(1).set_room(0);
    framed.feed_transient("first").await.unwrap();
    assert!(framed.feed_transient("second").now_or_never().is_none());
    let task = Task::new();
    assert!(task.poll(|cx| poll_ready(&mut framed, cx)).is_pending());
    task.take_wakes();
    net.peer(1).set_room(usize::MAX);
    assert!(task.is_woken());
    framed.send_transient("second").await.unwrap();
    assert_eq!(net.peer(1).text(), "first\nsecond\n");
}

#[tokio::test(start_paused = true)]
async fn a_transient_message_that_waits_for_room_is_dropped_if_its_connection_ends() {
    let net = Net::new();
    let mut framed = build(&net).max_queued(4).connect().await.unwrap();
    net.peer(1).set_room(0);
    framed.feed_transient("first").await.unwrap();
    {
        let mut second = std::pin::pin!(framed.feed_transient("second"));
        assert!(second.as_mut().now_or_never().is_none());
        net.peer(1).reset();
        // The room that it waited for is on another connection.
        second.await.unwrap();
    }
    framed.send("a").await.unwrap();
    assert_eq!(net.peer(2).text(), "a\n");
}

#[tokio::test(start_paused = true)]
async fn a_queue_full_of_transient_messages_has_room_after_the_loss() {
    let net = Net::new();
    let mut framed = build(&net).max_queued(4).connect().await.unwrap();
    net.peer(1).set_room(0);
    framed.feed_transient("first").await.unwrap();
    assert!(framed.feed("a").now_or_never().is_none());
    framed.mark_lost(io::Error::other("bad"));
    assert!(framed.feed("a").now_or_never().unwrap().is_ok());
    framed.flush().await.unwrap();
    assert_eq!(net.peer(2).text(), "a\n");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_publishes_and_acknowledges_never_fills_its_window_with_acknowledgments() {
    let net = Net::new();
    let window = Resend::Unconfirmed { max_bytes: 64 };
    let mut framed = build(&net).resend(window).connect().await.unwrap();
    for round in 0..1000 {
        let sending = async {
            framed.send("publish").await?;
            framed.confirm(1);
            framed.send_transient("acknowledge").await
        };
        sending.now_or_never().expect("it stalls").unwrap();
        assert_eq!(framed.unconfirmed(), 0, "round {round}");
    }
}

#[tokio::test(start_paused = true)]
async fn transient_messages_that_wait_to_be_written_take_no_room_in_the_window() {
    let net = Net::new();
    let window = Resend::Unconfirmed { max_bytes: 6 };
    let mut framed = build(&net).resend(window).connect().await.unwrap();
    net.peer(1).set_room(0);
    for _ in 0..10 {
        framed.feed_transient("acknowledged").await.unwrap();
    }
    for message in ["a", "b", "c"] {
        let fed = framed.feed(message).now_or_never();
        fed.expect("it waits for the window").unwrap();
    }
    assert!(framed.feed("full").now_or_never().is_none());
}
