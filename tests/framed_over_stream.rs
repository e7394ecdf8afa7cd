//! Plain `Framed` over a `ReconnectingStream`: what each seam does to frames, and the recipes.
#![cfg(feature = "codec")]

mod support;

use std::io::{self, ErrorKind};

use bytes::{Bytes, BytesMut};
use futures::{FutureExt, SinkExt, StreamExt};
use reconnecting_stream::{Connect, ReconnectingStream, Seam};
use support::{Network, Wire, lost};
use tokio_util::codec::{Framed, LengthDelimitedCodec, LinesCodec};

type Messages<C> = Framed<ReconnectingStream<C>, LengthDelimitedCodec>;

async fn stream(network: &Network, seam: Seam) -> ReconnectingStream<impl Connect<Io = Wire>> {
    ReconnectingStream::builder(network.connector())
        .seam(seam)
        .connect()
        .await
        .unwrap()
}

async fn messages(network: &Network, seam: Seam) -> Messages<impl Connect<Io = Wire>> {
    Framed::new(stream(network, seam).await, LengthDelimitedCodec::new())
}

fn fresh<C: Connect>(framed: Messages<C>) -> Messages<C> {
    Framed::new(framed.into_inner(), LengthDelimitedCodec::new())
}

/// The first connection delivers these bytes, and dies.
async fn deliver_and_die<C>(network: &Network, framed: &mut Messages<C>, bytes: &[u8])
where
    C: Connect<Io = Wire>,
{
    network.peer(1).send(bytes);
    assert!(framed.next().now_or_never().is_none(), "half a frame");
    network.peer(1).reset();
    network.greet(|_, peer| peer.send(b"\0\0\0\x03new"));
}

/// What makes of half a frame and of a whole one a frame of the right length.
const HALF: &[u8] = b"\0\0\0\x0aHALF-";
const TORN: &[u8] = b"HALF-\0\0\0\x03n";

#[track_caller]
fn generation_lost(error: &io::Error) -> u64 {
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    lost(error).unwrap().generation
}

mod hidden {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn makes_one_wrong_frame_of_half_an_old_one_and_the_beginning_of_the_next() {
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
    async fn continues_a_frame_that_was_cut_with_its_tail_on_the_next_connection() {
        let network = Network::new();
        let mut framed = messages(&network, Seam::Hidden).await;
        network.peer(1).reset_after_writing(7);
        framed.send(Bytes::from_static(b"request")).await.unwrap();
        assert_eq!(network.peer(1).received(), b"\0\0\0\x07req");
        assert_eq!(network.peer(2).received(), b"uest");
    }
}

mod error {
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
    async fn comes_once_then_none_once_and_half_the_old_frame_is_still_in_the_buffer() {
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
    async fn leaves_the_tail_of_a_cut_frame_in_the_write_buffer_for_the_next_flush() {
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
    async fn that_the_reader_got_comes_to_the_writer_of_a_fresh_framed_too() {
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
    async fn that_the_writer_got_takes_no_whole_frame_from_the_reader() {
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
    async fn with_the_recipe_gives_whole_frames_when_a_reply_is_cut() {
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
    async fn with_the_recipe_sends_a_request_that_was_cut_once_and_whole() {
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
    async fn with_the_recipe_gives_whole_frames_wherever_two_connections_in_a_row_are_cut() {
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
    async fn loses_the_frames_that_a_framed_had_queued_when_it_is_replaced() {
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
}

mod eof {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn makes_half_a_frame_an_error_then_none_and_a_fresh_framed_goes_on() {
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
    async fn leaves_half_a_frame_to_a_framed_that_is_not_replaced() {
        let network = Network::new();
        let mut framed = messages(&network, Seam::Eof).await;
        deliver_and_die(&network, &mut framed, HALF).await;
        framed.next().await.unwrap().unwrap_err();
        assert!(framed.next().await.is_none());
        assert_eq!(framed.next().await.unwrap().unwrap(), TORN);
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_head_of_a_frame_looks_clean_and_the_next_frame_is_torn() {
        let network = Network::new();
        let mut framed = messages(&network, Seam::Eof).await;
        deliver_and_die(&network, &mut framed, b"\0\0\0\x05").await;
        assert!(framed.next().await.is_none(), "no error");
        assert!(framed.read_buffer().is_empty(), "the codec has the head");
        assert_eq!(framed.next().await.unwrap().unwrap(), &b"\0\0\0\x03n"[..]);
    }

    #[tokio::test(start_paused = true)]
    async fn makes_half_a_line_a_whole_one() {
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
    async fn is_an_error_for_the_writer_of_a_fresh_framed() {
        let network = Network::new();
        let mut framed = messages(&network, Seam::Eof).await;
        network.peer(1).reset();
        assert!(framed.next().await.is_none());
        let request = Bytes::from_static(b"request");
        let error = fresh(framed).send(request).await.unwrap_err();
        assert_eq!(generation_lost(&error), 1);
    }
}
