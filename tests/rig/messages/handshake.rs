//! A handshake that greets, reads a part of the banner, and leaves bytes on both sides.

use std::io;
use std::sync::Arc;

use futures::{SinkExt, StreamExt};
use tokio_util::codec::Framed;

use super::super::codec::{Codec, FIRST_TRAILER, Message};
use super::super::harness::Rig;
use super::super::random::Random;
use super::super::socket::Socket;

type Io = Framed<Socket, Codec>;

pub async fn shake(rig: Arc<Rig>, mut framed: Io) -> io::Result<Io> {
    let connection = framed.get_ref().connection();
    let (mut random, is_healthy) = {
        let mut harness = rig.harness();
        (Random::new(harness.random.next()), harness.is_healthy)
    };
    let hellos = random.pick(&[0, 1, 2]);
    for id in 0..hellos {
        let message = Message::Hello { id };
        framed.feed(message).await.map_err(io::Error::other)?;
        rig.harness().connections[connection].frames.hellos_due += 1;
    }
    if random.one_in(2) {
        framed.flush().await.map_err(io::Error::other)?;
    }
    if !is_healthy {
        read(&rig, &mut framed, random.pick(&[0, 0, 1, 2])).await?;
        if random.one_in(10) {
            return Err(io::Error::other("the handshake fails"));
        }
    }
    Ok(framed)
}

async fn read(rig: &Rig, framed: &mut Io, items: usize) -> io::Result<()> {
    let connection = framed.get_ref().connection();
    for _ in 0..items {
        let item = framed.next().await.ok_or(io::ErrorKind::UnexpectedEof)?;
        let item = item.map_err(io::Error::other)?;
        if item.index >= FIRST_TRAILER {
            break;
        }
        rig.harness().connections[connection].taken_by_handshake += 1;
    }
    Ok(())
}
