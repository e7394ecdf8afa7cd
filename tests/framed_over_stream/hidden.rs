//! With `Seam::Hidden`: frames of two connections are joined.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_hidden_seam_makes_one_wrong_frame_of_half_an_old_one_and_the_beginning_of_the_next() {
    let network = Network::new();
    let mut framed = messages(&network, Seam::Hidden).await;
    deliver_and_die(&network, &mut framed, HALF).await;
    assert_eq!(framed.next().await.unwrap().unwrap(), TORN);

    // And the decoder is out of step from there on.
    network.peer(2).send(b"\0\0\0\x04next");
    let error = framed.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
}

#[tokio::test(start_paused = true)]
async fn a_hidden_seam_continues_a_frame_that_was_cut_with_its_tail_on_the_next_connection() {
    let network = Network::new();
    let mut framed = messages(&network, Seam::Hidden).await;
    network.peer(1).reset_after_writing(7);
    framed.send(Bytes::from_static(b"request")).await.unwrap();
    assert_eq!(network.peer(1).received(), b"\0\0\0\x07req");
    assert_eq!(network.peer(2).received(), b"uest");
}
