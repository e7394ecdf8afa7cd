//! The bytes of `docs/protocol.md`, for peers that are no session.
#![allow(dead_code, missing_docs, unreachable_pub)]

use std::pin::Pin;
use std::task::{Context, Poll};

use hmac::{Hmac, KeyInit, Mac};
use reconnecting_stream::{Accepted, ResumableStream, Sessions};
use sha2::Sha256;
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex,
};

use crate::support::{accepting, soon};

pub const ACK: [u8; 19] = [
    0x11, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0,
];
pub const RESET: [u8; 4] = [0x15, 0, 1, 3];
pub const PONG: [u8; 11] = [0x14, 0, 8, 0, 0, 0, 0, 0, 0, 0, 7];

/// A HELLO without metadata.
pub fn hello() -> Vec<u8> {
    let mut bytes = b"\x01\x00\x0fRSS1\x01".to_vec();
    bytes.extend_from_slice(&4096_u64.to_be_bytes());
    bytes.extend_from_slice(&[0, 0]);
    bytes
}

/// A frame, or a message of the handshake.
pub fn frame(kind: u8, fields: &[&[u8]]) -> Vec<u8> {
    let body = fields.concat();
    let [high, low] = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&[kind, high, low], &body[..]].concat()
}

pub fn data(offset: u64, payload: &[u8]) -> Vec<u8> {
    frame(0x10, &[&offset.to_be_bytes(), payload])
}

pub fn ack(received: u64, limit: u64) -> Vec<u8> {
    frame(0x11, &[&received.to_be_bytes(), &limit.to_be_bytes()])
}

pub fn fin(offset: u64) -> Vec<u8> {
    frame(0x12, &[&offset.to_be_bytes()])
}

/// Reads a frame, or a message of the handshake: its type and its body. `None` at the end.
pub async fn next(io: &mut DuplexStream) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 3];
    io.read_exact(&mut head).await.ok()?;
    let mut body = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
    io.read_exact(&mut body).await.ok()?;
    Some((head[0], body))
}

/// The fields of a body of numbers.
pub fn numbers(body: &[u8]) -> Vec<u64> {
    let fields = body.chunks_exact(8);
    fields
        .map(|field| u64::from_be_bytes(field.try_into().unwrap()))
        .collect()
}

/// What a dialer knows of its session.
#[derive(Clone, Copy)]
pub struct Credentials {
    pub id: [u8; 16],
    pub secret: [u8; 32],
}

/// Says HELLO, and reads the WELCOME.
pub async fn welcomed(io: &mut DuplexStream) -> Credentials {
    io.write_all(&hello()).await.unwrap();
    let mut welcome = [0; 64];
    io.read_exact(&mut welcome).await.unwrap();
    assert_eq!(welcome[..4], [2, 0, 61, 1]);
    Credentials {
        id: welcome[4..20].try_into().unwrap(),
        secret: welcome[20..52].try_into().unwrap(),
    }
}

impl Credentials {
    pub fn resume(&self, epoch: u64) -> Vec<u8> {
        self.resume_at(epoch, 0)
    }

    /// A RESUME of a dialer that has received everything before this offset.
    pub fn resume_at(&self, epoch: u64, received: u64) -> Vec<u8> {
        let mut body = b"RSS1\x01".to_vec();
        body.extend_from_slice(&self.id);
        body.extend_from_slice(&epoch.to_be_bytes());
        body.extend_from_slice(&received.to_be_bytes());
        body.extend_from_slice(&4096_u64.to_be_bytes());
        body.extend_from_slice(&[0xa5; 16]);
        let proof = self.proof(b"reconnecting-stream session 1 dialer", &[&body]);
        frame(3, &[&body, &proof])
    }

    /// The WELCOME of a server.
    pub fn welcome(&self, limit: u64, time_to_live: u32) -> Vec<u8> {
        let (limit, time_to_live) = (limit.to_be_bytes(), time_to_live.to_be_bytes());
        frame(2, &[&[1], &self.id, &self.secret, &limit, &time_to_live])
    }

    /// The RESUMED of a server that has received so much, and answers a RESUME with this body.
    pub fn resumed(&self, resume: &[u8], (received, limit): (u64, u64), flags: u8) -> Vec<u8> {
        let (received, limit) = (received.to_be_bytes(), limit.to_be_bytes());
        let epoch = &resume[21..29];
        let body = [&[1], epoch, &received, &limit, &[flags]].concat();
        let question = &resume[..resume.len() - 32];
        let label = b"reconnecting-stream session 1 acceptor";
        let proof = self.proof(label, &[question, &body]);
        frame(4, &[&body, &proof])
    }

    fn proof(&self, label: &[u8], parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).unwrap();
        mac.update(label);
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    }
}

/// The first byte of the answer, and the code if it is a REJECT.
pub async fn answer(io: &mut DuplexStream) -> (u8, Option<u8>) {
    let mut head = [0; 3];
    io.read_exact(&mut head).await.unwrap();
    let mut body = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
    io.read_exact(&mut body).await.unwrap();
    (head[0], (head[0] == 5).then(|| body[1]))
}

/// Begins a session with a client that is not one of this crate.
pub async fn begin(sessions: &Sessions) -> (ResumableStream, DuplexStream, Credentials) {
    let (mut client, accept) = accepting(sessions);
    let credentials = welcomed(&mut client).await;
    client.write_all(&ACK).await.unwrap();
    match soon(accept).await.unwrap().unwrap() {
        Accepted::New(stream) => (stream, client, credentials),
        accepted => panic!("{accepted:?}"),
    }
}

/// Sends a message on a new connection.
pub async fn say(sessions: &Sessions, message: &[u8]) -> DuplexStream {
    let (mut client, server) = duplex(4096);
    let sessions = sessions.clone();
    tokio::spawn(async move { sessions.accept(server).await });
    client.write_all(message).await.unwrap();
    client
}

/// A peer that sends the same bytes again and again, and takes everything.
pub struct Flood {
    pub first: Vec<u8>,
    pub then: &'static [u8],
    /// How many reads there are until its end.
    pub reads: usize,
}

impl AsyncRead for Flood {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let Some(reads) = self.reads.checked_sub(1) else {
            return Poll::Ready(Ok(()));
        };
        self.reads = reads;
        if self.first.is_empty() {
            self.first = self.then.repeat(100);
        }
        let n = self.first.len().min(buf.remaining());
        buf.put_slice(&self.first[..n]);
        self.first.drain(..n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Flood {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
