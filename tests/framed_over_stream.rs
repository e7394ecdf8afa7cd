//! Plain `Framed` over a `ReconnectingStream`: what each seam does to frames, and the recipes.
#![cfg(feature = "codec")]

mod support;

#[path = "framed_over_stream/eof.rs"]
mod eof;
#[path = "framed_over_stream/error.rs"]
mod error;
#[path = "framed_over_stream/hidden.rs"]
mod hidden;

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
