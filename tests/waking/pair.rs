//! Two halves of a stream, each on a task of its own.

use std::io;
use std::pin::Pin;
use std::task::Poll;

use reconnecting_stream::{Connect, ReconnectingStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::advance;

use super::SECOND;
use super::support::{Task, Wire};
use Half::{Reader, Writer};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Half {
    Reader,
    Writer,
}

/// How the stream is split.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Split {
    Tokio,
    Owned,
}

impl Split {
    pub(crate) const ALL: [Self; 2] = [Self::Tokio, Self::Owned];
}

/// One half on its own task, with one operation to complete.
pub(crate) struct Side<H> {
    pub(crate) half: Option<H>,
    pub(crate) task: Task,
    pub(crate) result: Option<io::Result<()>>,
}

impl<H> Side<H> {
    pub(crate) fn new(half: H) -> Self {
        Self {
            half: Some(half),
            task: Task::new(),
            result: None,
        }
    }

    pub(crate) fn poll(
        &mut self,
        operation: impl FnOnce(Pin<&mut H>, &Task) -> Poll<io::Result<()>>,
    ) where
        H: Unpin,
    {
        if let (Some(half), None) = (&mut self.half, &self.result) {
            if let Poll::Ready(result) = operation(Pin::new(half), &self.task) {
                self.result = Some(result);
            }
        }
    }

    pub(crate) fn is_woken(&self) -> bool {
        !self.is_done() && self.task.is_woken()
    }

    pub(crate) fn is_done(&self) -> bool {
        self.half.is_none() || self.result.is_some()
    }
}

/// What is asked of the two halves: to read a byte, to write a byte.
pub(crate) struct Pair {
    pub(crate) reader: Side<Box<dyn AsyncRead + Unpin>>,
    pub(crate) writer: Side<Box<dyn AsyncWrite + Unpin>>,
}

impl Pair {
    pub(crate) fn split<C>(stream: ReconnectingStream<C>, split: Split) -> Self
    where
        C: Connect<Io = Wire> + 'static,
    {
        match split {
            Split::Tokio => Self::new(tokio::io::split(stream)),
            Split::Owned => Self::new(stream.into_split()),
        }
    }

    fn new(
        (reader, writer): (
            impl AsyncRead + Unpin + 'static,
            impl AsyncWrite + Unpin + 'static,
        ),
    ) -> Self {
        Self {
            reader: Side::new(Box::new(reader)),
            writer: Side::new(Box::new(writer)),
        }
    }

    pub(crate) fn poll(&mut self, half: Half) {
        match half {
            Reader => self.reader.poll(|reader, task| {
                let mut byte = [0];
                task.poll(|cx| reader.poll_read(cx, &mut ReadBuf::new(&mut byte)))
            }),
            Writer => self
                .writer
                .poll(|writer, task| task.poll(|cx| writer.poll_write(cx, b"x").map_ok(|_| ()))),
        }
    }

    pub(crate) fn abandon(&mut self, half: Half, how: Gone) {
        match (how, half) {
            (Gone::Not, _) => {}
            // Never polled again, as after a `select!`.
            (Gone::Canceled, Reader) => self.reader.result = Some(Ok(())),
            (Gone::Canceled, Writer) => self.writer.result = Some(Ok(())),
            (Gone::Dropped, Reader) => self.reader.half = None,
            (Gone::Dropped, Writer) => self.writer.half = None,
        }
    }

    /// An executor with a clock: polls the tasks that were woken, for a quarter of a minute.
    pub(crate) async fn run(&mut self) {
        for _ in 0..60 {
            for _ in 0..20 {
                if self.reader.is_woken() {
                    self.poll(Reader);
                }
                if self.writer.is_woken() {
                    self.poll(Writer);
                }
            }
            if self.reader.is_done() && self.writer.is_done() {
                return;
            }
            advance(SECOND / 4).await;
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    Not,
    Canceled,
    Dropped,
}
