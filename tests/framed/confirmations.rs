//! Confirmations decide what is sent again, and make room in the window.

use super::*;

const KEPT: Resend = Resend::Unconfirmed { max_bytes: 20 };

#[tokio::test(start_paused = true)]
async fn confirmations_decide_what_is_sent_again() {
    for confirmed in 0..=4 {
        let network = Network::new();
        let mut framed = lines_with(&network, KEPT, policy()).await;
        for line in ["1", "2", "3"] {
            framed.send(line).await.unwrap();
        }
        framed.confirm(confirmed);
        network.peer(1).reset();
        framed.send("4").await.unwrap();
        let again: String = ["1\n", "2\n", "3\n"][confirmed.min(3)..].concat();
        assert_eq!(text(&network, 2), format!("{again}4\n"));
    }
}

#[tokio::test(start_paused = true)]
async fn confirmations_make_room_and_wake_the_sink() {
    let network = Network::new();
    let (mut sink, stream) = {
        let framed = lines_with(&network, KEPT, policy()).await;
        let confirmations = framed.confirm_handle();
        let (sink, stream) = framed.split();
        (sink, (stream, confirmations))
    };
    for line in ["0123456789", "0123456789"] {
        sink.send(line).await.unwrap();
    }
    // A half of a split has room for one more by itself.
    sink.feed("next").await.unwrap();
    let task = Task::new();
    let mut ready = || task.poll(|cx| Sink::<&str>::poll_ready(Pin::new(&mut sink), cx));
    assert!(ready().is_pending());
    assert!(ready().is_pending(), "and it does not spin");
    task.take_wakes();
    stream.1.confirm(1);
    assert!(task.is_woken());
    assert!(matches!(ready(), Poll::Ready(Ok(()))));
    drop(stream);
}

#[tokio::test(start_paused = true)]
async fn a_sender_whose_window_is_full_detects_the_loss_and_sends_again() {
    let network = Network::new();
    let mut framed = lines_with(&network, KEPT, policy()).await;
    framed.send("01234567890123456789").await.unwrap();
    let confirmations = framed.confirm_handle();
    let mut blocked = pin!(framed.send("next"));
    let task = Task::new();
    assert!(task.poll_future(blocked.as_mut()).is_pending());
    network.peer(1).close();
    assert!(task.is_woken(), "by the read ahead: no task reads");
    assert!(timeout(2 * SECOND, blocked.as_mut()).await.is_err());
    assert_eq!(text(&network, 2), "01234567890123456789\n");
    confirmations.confirm(1);
    blocked.await.unwrap();
    assert_eq!(text(&network, 2), "01234567890123456789\nnext\n");
}

#[tokio::test(start_paused = true)]
async fn a_reader_sends_again_what_is_never_confirmed() {
    let network = Network::new();
    network.greet(|generation, peer| peer.set_room(if generation == 2 { 3 } else { 99 }));
    let (mut sink, mut stream) = lines_with(&network, KEPT, policy()).await.split();
    sink.send("question").await.unwrap();
    network.peer(1).reset();
    assert!(stream.next().await.unwrap().is_err(), "the seam");
    // The writer has nothing to do any more, and does not come.
    let reading = async {
        let _ = timeout(3 * SECOND, stream.next()).await;
    };
    let slowly = async {
        sleep(2 * SECOND).await;
        assert_eq!(text(&network, 2), "que");
        network.peer(2).set_room(99);
    };
    tokio::join!(reading, slowly);
    assert_eq!(text(&network, 2), "question\n");
}

#[tokio::test(start_paused = true)]
async fn a_confirmation_of_a_message_that_is_being_sent_again_tears_nothing() {
    let network = Network::new();
    network.greet(|generation, peer| {
        if generation == 2 {
            peer.set_room(3);
        }
    });
    let mut framed = lines_with(&network, Resend::Unconfirmed { max_bytes: 1000 }, policy()).await;
    framed.send("first").await.unwrap();
    network.peer(1).reset();
    let _ = timeout(2 * SECOND, framed.send("second")).await;
    assert_eq!(text(&network, 2), "fir");
    // An answer that came before the reset, and is read only now.
    framed.confirm(1);
    network.peer(2).set_room(1000);
    SinkExt::<&str>::flush(&mut framed).await.unwrap();
    assert_eq!(text(&network, 2), "first\nsecond\n");
    assert_eq!(framed.unconfirmed(), 1);
}

#[tokio::test(start_paused = true)]
async fn confirming_more_than_was_sent_loses_nothing() {
    let network = Network::new();
    let mut framed = lines_with(&network, Resend::Unconfirmed { max_bytes: 1000 }, policy()).await;
    framed.send("sent").await.unwrap();
    framed.feed("queued").await.unwrap();
    framed.confirm(usize::MAX);
    framed.confirm(usize::MAX);
    network.peer(1).reset();
    SinkExt::<&str>::flush(&mut framed).await.unwrap();
    assert_eq!(text(&network, 2), "queued\n");
}

#[tokio::test(start_paused = true)]
async fn confirmations_are_applied_immediately() {
    for answers in [false, true] {
        let network = Network::new();
        let mut framed = lines_with(&network, KEPT, policy()).await;
        framed.send("sent").await.unwrap();
        assert_eq!(framed.unconfirmed(), 1);
        if answers {
            framed.confirm_replies(1);
        } else {
            framed.confirm(1);
        }
        assert_eq!(framed.unconfirmed(), 0);
    }
}
