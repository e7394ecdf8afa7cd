//! The operations of the whole, and of its halves.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::client::{Bytes, Halves, Op, PollOutcome};

impl Halves {
    pub fn poll(&mut self, op: Op, cx: &mut Context<'_>) -> Poll<PollOutcome> {
        match op {
            Op::Read(room) => {
                let mut bytes = vec![0; room];
                let mut buf = ReadBuf::new(&mut bytes);
                let polled = match self {
                    Self::Whole(stream) => Pin::new(stream).poll_read(cx, &mut buf),
                    Self::Split(half, _) => {
                        Pin::new(half.as_mut().unwrap()).poll_read(cx, &mut buf)
                    }
                };
                polled.map(|read| PollOutcome::Read(read.map(|()| buf.filled().to_vec())))
            }
            Op::Write(len) => {
                let bytes: Vec<u8> = (0..len).map(|n| n.to_le_bytes()[0]).collect();
                let polled = self.writer(|half| half.poll_write(cx, &bytes));
                polled.map(PollOutcome::Wrote)
            }
            Op::Connected => self
                .whole(|stream| pin!(stream.connected()).poll(cx))
                .map(PollOutcome::Generation),
            Op::Resync => self
                .whole(|stream| pin!(stream.resync()).poll(cx))
                .map(PollOutcome::Generation),
            Op::Flush => self
                .writer(|half| half.poll_flush(cx))
                .map(PollOutcome::Flushed),
            Op::Shutdown => self
                .writer(|half| half.poll_shutdown(cx))
                .map(PollOutcome::ShutDown),
        }
    }

    fn whole<T>(&mut self, f: impl FnOnce(&mut Bytes) -> T) -> T {
        match self {
            Self::Whole(stream) => f(stream),
            Self::Split(..) => unreachable!("only the whole can be waited for"),
        }
    }

    fn writer<T>(&mut self, f: impl FnOnce(Pin<&mut (dyn AsyncWrite + Unpin)>) -> T) -> T {
        match self {
            Self::Whole(stream) => f(Pin::new(stream.as_mut())),
            Self::Split(_, half) => f(Pin::new(half.as_mut().unwrap())),
        }
    }
}
