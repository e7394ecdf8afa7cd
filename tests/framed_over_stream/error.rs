//! With `Seam::Error`: one error for each half, and the recipe.

use super::*;

/// The recipe, as in the docs: sends one message whole, and tells on which connection.
async fn send<C>(framed: &mut Messages<C>, message: &Bytes) -> io::Result<u64>
where
    C: Connect<Io = Wire>,
{
    while let Err(error) = framed.send(message.clone()).await {
        if lost(&error).is_none() {
            return Err(error);
        }
        framed.write_buffer_mut().clear();
    }
    Ok(framed.get_ref().generation())
}

async fn ask<C>(mut framed: Messages<C>, request: &Bytes) -> io::Result<(Messages<C>, BytesMut)>
where
    C: Connect<Io = Wire>,
{
    let mut sent_on = send(&mut framed, request).await?;
    while let Some(reply) = framed.next().await {
        match reply {
            Ok(reply) => return Ok((framed, reply)),
            Err(error) => {
                let Some(lost) = lost(&error) else {
                    return Err(error);
                };
                framed = fresh(framed);
                if lost.generation >= sent_on {
                    sent_on = send(&mut framed, request).await?;
                }
            }
        }
    }
    Err(ErrorKind::UnexpectedEof.into())
}

#[tokio::test(start_paused = true)]
async fn seam_error_comes_once_then_none_once_and_half_the_old_frame_is_still_in_the_buffer() {
    let network = Network::new();
    let mut framed = messages(&network, Seam::Error).await;
    deliver_and_die(&network, &mut framed, HALF).await;
    let error = framed.next().await.unwrap().unwrap_err();
    assert_eq!(generation_lost(&error), 1);
    assert_eq!(&framed.read_buffer()[..], b"HALF-");
    assert!(framed.next().await.is_none());
    assert_eq!(
        network.connections(),
        1,
        "this `None` is no end of anything"
    );
    assert_eq!(framed.next().await.unwrap().unwrap(), TORN);
}

#[tokio::test(start_paused = true)]
async fn seam_error_leaves_the_tail_of_a_cut_frame_in_the_write_buffer_for_the_next_flush() {
    let network = Network::new();
    let mut framed = messages(&network, Seam::Error).await;
    network.peer(1).reset_after_writing(7);
    let request = Bytes::from_static(b"request");
    let error = framed.send(request).await.unwrap_err();
    assert_eq!(generation_lost(&error), 1);
    assert_eq!(&framed.write_buffer()[..], b"uest");
    SinkExt::<Bytes>::flush(&mut framed).await.unwrap();
    assert_eq!(network.peer(2).received(), b"uest");
}

#[tokio::test(start_paused = true)]
async fn seam_error_that_the_reader_got_comes_to_the_writer_of_a_new_framed_too() {
    let network = Network::new();
    let mut framed = messages(&network, Seam::Error).await;
    deliver_and_die(&network, &mut framed, HALF).await;
    framed.next().await.unwrap().unwrap_err();
    let mut framed = fresh(framed);
    let request = Bytes::from_static(b"request");
    let error = framed.send(request.clone()).await.unwrap_err();
    assert_eq!(generation_lost(&error), 1);
    assert_eq!(&framed.write_buffer()[..], b"\0\0\0\x07request");

    // Another `send` now, without clearing the buffer, sends it twice.
    framed.send(request).await.unwrap();
    let twice = b"\0\0\0\x07request\0\0\0\x07request";
    assert_eq!(network.peer(2).received(), twice);
}

#[tokio::test(start_paused = true)]
async fn seam_error_that_the_writer_got_takes_no_whole_frame_from_the_reader() {
    let network = Network::new();
    let mut framed = messages(&network, Seam::Error).await;
    network.peer(1).send(b"\0\0\0\x01a\0\0\0\x01b\0\0");
    assert_eq!(framed.next().await.unwrap().unwrap(), &b"a"[..]);
    network.peer(1).reset();
    let request = Bytes::from_static(b"request");
    assert_eq!(send(&mut framed, &request).await.unwrap(), 2);
    assert_eq!(framed.next().await.unwrap().unwrap(), &b"b"[..]);
    let error = framed.next().await.unwrap().unwrap_err();
    assert_eq!(generation_lost(&error), 1);
    assert_eq!(network.peer(2).received(), b"\0\0\0\x07request");
}

#[tokio::test(start_paused = true)]
async fn the_recipe_gives_whole_frames_when_a_reply_is_cut() {
    let network = Network::new();
    let framed = messages(&network, Seam::Error).await;
    network.peer(1).send(HALF);
    network.peer(1).reset_after_reading(HALF.len());
    network.greet(|_, peer| peer.send(b"\0\0\0\x03new"));
    let request = Bytes::from_static(b"request");
    let (_, reply) = ask(framed, &request).await.unwrap();
    assert_eq!(reply, &b"new"[..]);
    // The peer got it twice: the recipe can't know that it had arrived.
    assert_eq!(network.peer(1).received(), b"\0\0\0\x07request");
    assert_eq!(network.peer(2).received(), b"\0\0\0\x07request");
}

#[tokio::test(start_paused = true)]
async fn the_recipe_sends_a_request_that_was_cut_once_and_whole() {
    let network = Network::new();
    let framed = messages(&network, Seam::Error).await;
    network.peer(1).reset_after_writing(7);
    network.greet(|_, peer| peer.send(b"\0\0\0\x03new"));
    let request = Bytes::from_static(b"request");
    let (_, reply) = ask(framed, &request).await.unwrap();
    assert_eq!(reply, &b"new"[..]);
    assert_eq!(network.peer(1).received(), b"\0\0\0\x07req");
    assert_eq!(network.peer(2).received(), b"\0\0\0\x07request");
    assert_eq!(network.connections(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_recipe_gives_whole_frames_wherever_two_connections_in_a_row_are_cut() {
    const REPLY: &[u8] = b"\0\0\0\x03new";
    const REQUEST: &[u8] = b"\0\0\0\x07request";
    for leaves in 0..=REQUEST.len() {
        for arrives in 0..REPLY.len() {
            let network = Network::new();
            network.greet(move |generation, peer| {
                peer.send(REPLY);
                if generation < 3 {
                    peer.reset_after_reading(arrives);
                }
                if generation < 3 && leaves < REQUEST.len() {
                    peer.reset_after_writing(leaves);
                }
            });
            let framed = messages(&network, Seam::Error).await;
            let request = Bytes::from_static(b"request");
            let (_, reply) = ask(framed, &request).await.unwrap();
            assert_eq!(reply, &b"new"[..]);
            assert_eq!(network.connections(), 3);
            assert_eq!(network.peer(1).received(), REQUEST[..leaves]);
            assert_eq!(network.peer(2).received(), REQUEST[..leaves]);
            assert_eq!(network.peer(3).received(), REQUEST);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_framed_that_is_replaced_at_a_seam_loses_the_frames_that_it_had_queued() {
    let network = Network::new();
    let mut framed = messages(&network, Seam::Error).await;
    framed.feed(Bytes::from_static(b"queued")).await.unwrap();
    network.peer(1).reset();
    framed.next().await.unwrap().unwrap_err();
    let mut framed = fresh(framed);
    let request = Bytes::from_static(b"request");
    send(&mut framed, &request).await.unwrap();
    assert_eq!(network.peer(1).received(), b"");
    assert_eq!(network.peer(2).received(), b"\0\0\0\x07request");
}
