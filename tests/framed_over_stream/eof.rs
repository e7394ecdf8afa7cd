//! With `Seam::Eof`: an end for the reader.

use super::*;

#[tokio::test(start_paused = true)]
async fn seam_eof_makes_half_a_frame_an_error_then_none_and_a_new_framed_continues() {
    let network = Network::new();
    let mut framed = messages(&network, Seam::Eof).await;
    deliver_and_die(&network, &mut framed, HALF).await;
    let error = framed.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Other);
    assert_eq!(error.to_string(), "bytes remaining on stream");
    assert!(framed.next().await.is_none());
    let mut framed = fresh(framed);
    assert_eq!(framed.next().await.unwrap().unwrap(), &b"new"[..]);
}

#[tokio::test(start_paused = true)]
async fn seam_eof_leaves_half_a_frame_to_a_framed_that_is_not_replaced() {
    let network = Network::new();
    let mut framed = messages(&network, Seam::Eof).await;
    deliver_and_die(&network, &mut framed, HALF).await;
    framed.next().await.unwrap().unwrap_err();
    assert!(framed.next().await.is_none());
    assert_eq!(framed.next().await.unwrap().unwrap(), TORN);
}

#[tokio::test(start_paused = true)]
async fn seam_eof_after_the_head_of_a_frame_is_a_clean_end_and_the_next_frame_is_torn() {
    let network = Network::new();
    let mut framed = messages(&network, Seam::Eof).await;
    deliver_and_die(&network, &mut framed, b"\0\0\0\x05").await;
    assert!(framed.next().await.is_none(), "no error");
    assert!(framed.read_buffer().is_empty(), "the codec has the head");
    assert_eq!(framed.next().await.unwrap().unwrap(), &b"\0\0\0\x03n"[..]);
}

#[tokio::test(start_paused = true)]
async fn seam_eof_makes_half_a_line_a_whole_one() {
    let network = Network::new();
    let mut lines = Framed::new(stream(&network, Seam::Eof).await, LinesCodec::new());
    network.peer(1).send(b"delete all but o");
    assert!(lines.next().now_or_never().is_none());
    network.peer(1).reset();
    network.greet(|_, peer| peer.send(b"new\n"));
    assert_eq!(lines.next().await.unwrap().unwrap(), "delete all but o");
    assert!(lines.next().await.is_none());
    let mut lines = Framed::new(lines.into_inner(), LinesCodec::new());
    assert_eq!(lines.next().await.unwrap().unwrap(), "new");
}

#[tokio::test(start_paused = true)]
async fn seam_eof_is_an_error_for_the_writer_of_a_new_framed() {
    let network = Network::new();
    let mut framed = messages(&network, Seam::Eof).await;
    network.peer(1).reset();
    assert!(framed.next().await.is_none());
    let request = Bytes::from_static(b"request");
    let error = fresh(framed).send(request).await.unwrap_err();
    assert_eq!(generation_lost(&error), 1);
}
