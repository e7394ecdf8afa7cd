//! Messages: `ReconnectingFramed` beside the `Framed` of `tokio_util`, by the same codec.
//!
//! Over a connection that does nothing, what is left is the work of the two alone. Over loopback
//! TCP it comes with what a message costs anyway before the kernel begins: Tokio, its reactor,
//! the system calls. What the kernel does is not counted, so the true share is smaller still.

use std::future::{Ready, ready};
use std::hint::black_box;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use futures::{Sink, SinkExt, Stream, StreamExt};
use reconnecting_stream::ReconnectingFramed;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

use crate::named;
use crate::support::{HEADER, Mock, Table, count, encoded};

pub(crate) const KIND: &str = "message";

const FEW: u32 = 500;
const MORE: u32 = 10_500;
const MORE_OVER_TCP: u32 = 3_500;

/// Where `Framed` writes by default; told to both, so that both collect as much.
const BOUNDARY: usize = 8 * 1024;

const SIZES: [usize; 2] = [64, 32 * 1024];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Each message is flushed.
    Send,
    /// A batch is written when the sink is full.
    Feed,
    Receive,
    /// A message is sent and flushed, and its answer awaited. Over a socket only.
    Ask,
}

const WAYS: [(&str, Way); 4] = [
    ("send", Way::Send),
    ("feed", Way::Feed),
    ("receive", Way::Receive),
    ("ask", Way::Ask),
];

/// What a message may cost over nothing, as a multiple of `Framed`'s: a tenth more, and room for
/// the copying of another processor, which the C library chooses. Over a socket no bound is
/// checked, since there the count depends on what the reactor reports together.
const MOST: f64 = 1.12;

/// Returns what costs too much.
pub(crate) fn compare() -> Result<Vec<String>, String> {
    let mut costly = Vec::new();
    for (over, more, is_socket) in [("nothing", MORE, false), ("tcp", MORE_OVER_TCP, true)] {
        let mut table = Table::new([
            &format!("instructions a message over {over}"),
            "`Framed`",
            "extra, this crate",
            "ratio",
        ]);
        for size in SIZES {
            for (name, way) in WAYS {
                if way == Way::Ask && !is_socket {
                    continue;
                }
                let what = format!("{name} {size}");
                let bare = count(&[KIND, &what, &format!("bare over {over}")], FEW, more)?;
                let ours = count(&[KIND, &what, &format!("ours over {over}")], FEW, more)?;
                let ratio = ours / bare;
                table.push([
                    format!("{name} {size} B"),
                    format!("{bare:.0}"),
                    format!("{:+.0}", ours - bare),
                    format!("{ratio:.3}"),
                ]);
                if ratio > MOST && !is_socket {
                    costly.push(format!(
                        "{what} B: expected at most {MOST} times, got {ratio:.3}"
                    ));
                }
            }
        }
        println!("{table}");
    }
    Ok(costly)
}

pub(crate) fn be_counted(what: &str, on: &str, messages: u32) -> Result<(), String> {
    let (way, size) = what.split_once(' ').ok_or("expected a way and a size")?;
    let (way, size) = (named(WAYS, way)?, size.parse().map_err(|_| "no size")?);
    let case = Case {
        way,
        size,
        messages,
    };
    let outcome = match on {
        "bare over nothing" => case.over_nothing(bare),
        "ours over nothing" => case.over_nothing(ours),
        "bare over tcp" => case.over_tcp(bare),
        "ours over tcp" => case.over_tcp(ours),
        _ => return Err(format!("expected a side and a connection, got {on}")),
    };
    outcome.map_err(|error| error.to_string())
}

fn bare<Io: AsyncRead + AsyncWrite>(io: Io) -> Framed<Io, LengthDelimitedCodec> {
    let mut framed = Framed::new(io, LengthDelimitedCodec::new());
    framed.set_backpressure_boundary(BOUNDARY);
    framed
}

type Ours<Io> = ReconnectingFramed<fn() -> Ready<io::Result<Io>>, LengthDelimitedCodec>;

fn ours<Io: AsyncRead + AsyncWrite + Unpin>(io: Io) -> Ours<Io> {
    let connector: fn() -> _ = || ready(Err(ErrorKind::ConnectionRefused.into()));
    ReconnectingFramed::builder(connector, LengthDelimitedCodec::new())
        .max_queued(BOUNDARY)
        .wrap(io)
}

#[derive(Clone, Copy)]
struct Case {
    way: Way,
    size: usize,
    messages: u32,
}

impl Case {
    fn over_nothing<F>(self, framed: impl FnOnce(Mock) -> F) -> io::Result<()>
    where
        F: Sink<Bytes, Error = io::Error> + Stream<Item = io::Result<BytesMut>> + Unpin,
    {
        let mut framed = framed(match self.way {
            Way::Send | Way::Feed | Way::Ask => Mock::silent(),
            Way::Receive => Mock::bringing(&encoded(self.size)),
        });
        let mut cx = Context::from_waker(Waker::noop());
        let message = Bytes::from(vec![7; self.size]);
        for _ in 0..self.messages {
            let mut framed = Pin::new(black_box(&mut framed));
            if self.way == Way::Receive {
                let message = framed.poll_next(&mut cx);
                assert!(matches!(message, Poll::Ready(Some(Ok(_)))));
                continue;
            }
            assert!(framed.as_mut().poll_ready(&mut cx)?.is_ready());
            framed.as_mut().start_send(message.clone())?;
            if self.way == Way::Send {
                assert!(framed.poll_flush(&mut cx)?.is_ready());
            }
        }
        Ok(())
    }

    /// Both ends in one runtime of one thread, so that the count is the same in each run. What
    /// the other end costs is the same for both sides, and counted with them: it reads rarely,
    /// and much in one call.
    fn over_tcp<F>(self, framed: impl FnOnce(TcpStream) -> F) -> io::Result<()>
    where
        F: Sink<Bytes, Error = io::Error> + Stream<Item = io::Result<BytesMut>> + Unpin,
    {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let near = TcpStream::connect(listener.local_addr()?).await?;
            let (far, _) = listener.accept().await?;
            let framed = framed(near);
            match self.way {
                Way::Send | Way::Feed => self.send(framed, far).await,
                Way::Receive => self.receive(framed, far).await,
                Way::Ask => self.ask(framed, far).await,
            }
        })
    }

    async fn send<F>(self, mut framed: F, mut far: TcpStream) -> io::Result<()>
    where
        F: Sink<Bytes, Error = io::Error> + Unpin,
    {
        let message = Bytes::from(vec![7; self.size]);
        let mut arriving = vec![0; self.batch() * (HEADER + self.size)];
        for number in 1..=self.messages {
            match self.way {
                Way::Send => framed.send(message.clone()).await?,
                Way::Feed | Way::Receive | Way::Ask => framed.feed(message.clone()).await?,
            }
            if number % self.in_a_batch() == 0 {
                framed.flush().await?;
                far.read_exact(&mut arriving).await?;
            }
        }
        framed.flush().await
    }

    async fn receive<F>(self, mut framed: F, far: TcpStream) -> io::Result<()>
    where
        F: Stream<Item = io::Result<BytesMut>> + Unpin,
    {
        let batch = encoded(self.size).repeat(self.batch());
        for number in 0..self.messages {
            if number % self.in_a_batch() == 0 {
                assert_eq!(far.try_write(&batch)?, batch.len());
            }
            let message = framed.next().await.ok_or(ErrorKind::UnexpectedEof)??;
            assert_eq!(message.len(), self.size);
        }
        Ok(())
    }

    async fn ask<F>(self, mut framed: F, mut far: TcpStream) -> io::Result<()>
    where
        F: Sink<Bytes, Error = io::Error> + Stream<Item = io::Result<BytesMut>> + Unpin,
    {
        let message = Bytes::from(vec![7; self.size]);
        let mut arriving = vec![0; HEADER + self.size];
        for _ in 0..self.messages {
            framed.send(message.clone()).await?;
            far.read_exact(&mut arriving).await?;
            far.write_all(&arriving).await?;
            let answer = framed.next().await.ok_or(ErrorKind::UnexpectedEof)??;
            assert_eq!(answer.len(), self.size);
        }
        Ok(())
    }

    /// Messages that the buffers of the kernel have room for.
    fn in_a_batch(self) -> u32 {
        if self.size > 1024 { 1 } else { 500 }
    }

    fn batch(self) -> usize {
        self.in_a_batch() as usize
    }
}
