//! A peer that answers every message once, and does not say which.

use super::*;

const KEPT: Resend = Resend::Unconfirmed { max_bytes: 1000 };

async fn two_of_three_are_answered(
    network: &Network,
) -> Framed<impl Connect<Io = Wire, Future: Send> + Send> {
    let mut framed = lines_with(network, KEPT, policy()).await;
    for line in ["1", "2", "3"] {
        framed.send(line).await.unwrap();
    }
    network.peer(1).send(b"yes\nyes\n");
    network.peer(1).close();
    framed
}

/// Asserts that the reader's next item is a reply.
async fn read_reply<S>(framed: &mut S)
where
    S: Stream<Item = Result<String, LinesCodecError>> + Unpin,
{
    assert_eq!(framed.next().await.unwrap().unwrap(), "yes");
}

#[tokio::test(start_paused = true)]
async fn replies_that_are_read_before_the_loss_is_seen_decide_what_is_sent_again() {
    let network = Network::new();
    let mut framed = two_of_three_are_answered(&network).await;
    for unconfirmed in [2, 1] {
        read_reply(&mut framed).await;
        framed.confirm_replies(1);
        assert_eq!(framed.unconfirmed(), unconfirmed);
    }
    assert!(framed.next().await.unwrap().is_err(), "the seam");
    framed.send("4").await.unwrap();
    assert_eq!(text(&network, 2), "3\n4\n");
    network.peer(2).send(b"yes\n");
    read_reply(&mut framed).await;
    framed.confirm_replies(1);
    network.peer(2).reset();
    assert!(framed.next().await.unwrap().is_err(), "the seam");
    framed.send("5").await.unwrap();
    assert_eq!(text(&network, 3), "4\n5\n");
}

#[tokio::test(start_paused = true)]
async fn replies_to_what_is_being_sent_again_confirm_nothing_twice() {
    let network = Network::new();
    let mut framed = two_of_three_are_answered(&network).await;
    // The sink finds the end of the connection, and with it the answers.
    framed.send("4").await.unwrap();
    assert_eq!(text(&network, 2), "1\n2\n3\n4\n");
    for _ in 0..2 {
        read_reply(&mut framed).await;
        framed.confirm_replies(1);
    }
    assert_eq!(framed.unconfirmed(), 2);
    assert!(framed.next().await.unwrap().is_err(), "the seam");
    // The second connection answers three: two of them for the second time.
    network.peer(2).send(b"yes\nyes\nyes\n");
    for unconfirmed in [2, 2, 1] {
        read_reply(&mut framed).await;
        framed.confirm_replies(1);
        assert_eq!(framed.unconfirmed(), unconfirmed);
    }
    network.peer(2).reset();
    framed.send("5").await.unwrap();
    assert_eq!(text(&network, 3), "4\n5\n", "4 was never answered");
}

#[tokio::test(start_paused = true)]
async fn replies_are_counted_for_the_connection_that_they_were_read_from() {
    let network = Network::new();
    let mut framed = two_of_three_are_answered(&network).await;
    for _ in 0..2 {
        read_reply(&mut framed).await;
    }
    // Before the reader has come to count what it has read.
    framed.send("4").await.unwrap();
    assert_eq!(text(&network, 2), "1\n2\n3\n4\n");
    framed.confirm_replies(2);
    assert_eq!(framed.unconfirmed(), 2);
    network.peer(2).send(b"yes\n");
    assert!(framed.next().await.unwrap().is_err(), "the seam");
    read_reply(&mut framed).await;
    framed.confirm_replies(1);
    assert_eq!(framed.unconfirmed(), 2);
}

#[tokio::test(start_paused = true)]
async fn replies_over_several_seams_are_counted_for_their_connections() {
    let network = Network::new();
    let mut framed = two_of_three_are_answered(&network).await;
    // No task reads, and three connections die.
    for (generation, line) in [(2, "4"), (3, "5"), (4, "6")] {
        framed.send(line).await.unwrap();
        if generation < 4 {
            network.peer(generation).reset();
        }
    }
    assert_eq!(text(&network, 4), "1\n2\n3\n4\n5\n6\n");
    for unconfirmed in [5, 4] {
        read_reply(&mut framed).await;
        framed.confirm_replies(1);
        assert_eq!(framed.unconfirmed(), unconfirmed);
    }
    network.peer(4).send(b"yes\nyes\nyes\nyes\nyes\nyes\n");
    for _ in 1..4 {
        assert!(framed.next().await.unwrap().is_err(), "a seam");
    }
    for unconfirmed in [4, 4, 3, 2, 1, 0] {
        read_reply(&mut framed).await;
        framed.confirm_replies(1);
        assert_eq!(framed.unconfirmed(), unconfirmed);
    }
}

#[tokio::test(start_paused = true)]
async fn replies_to_what_was_never_sent_confirm_nothing() {
    let network = Network::new();
    let mut framed = lines_with(&network, KEPT, policy()).await;
    framed.send("1").await.unwrap();
    framed.confirm_replies(usize::MAX);
    framed.confirm_replies(usize::MAX);
    framed.send("2").await.unwrap();
    assert_eq!(framed.unconfirmed(), 1);
    framed.confirm_replies(1);
    assert_eq!(framed.unconfirmed(), 0);
}
