//! What a session runs over: any transport, boxed, once its handshake is done.

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::protocol::{BEHIND, Behind, Handshake, ProtocolError, Transmit};

/// A transport of any type.
pub(super) trait Transport: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Transport for T {}

pub(super) type BoxTransport = Pin<Box<dyn Transport>>;

/// Boxes a transport. Turns Nagle's algorithm off on a [`TcpStream`](tokio::net::TcpStream): the
/// session collects what is written itself, so the algorithm would only delay it.
pub(super) fn boxed<T: Transport + 'static>(io: T) -> BoxTransport {
    #[cfg(feature = "net")]
    if let Some(socket) = (&io as &dyn std::any::Any).downcast_ref::<tokio::net::TcpStream>() {
        let _ = socket.set_nodelay(true);
    }
    Box::pin(io)
}

/// A connection whose handshake is done, in the epoch that the handshake gave it.
pub(super) struct Connection {
    pub(super) io: BoxTransport,
    pub(super) epoch: u64,
    /// What arrived behind the handshake.
    pub(super) early: Vec<u8>,
    /// Something was written since the last flush.
    pub(super) is_unflushed: bool,
    pub(super) is_shut_down: bool,
    /// What the next read is to take.
    pub(super) next: NextRead,
}

/// What the next read of a connection is to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextRead {
    /// As many frames as there are.
    Frames,
    /// The first bytes of a frame. The last one was long, and the next may be: its payload is better
    /// read where it is kept.
    FrameStart,
    /// The rest of a long payload, into the receive buffer.
    Payload,
}

impl Connection {
    pub(super) fn new(io: BoxTransport, epoch: u64, early: Vec<u8>) -> Self {
        Self {
            io,
            epoch,
            early,
            is_unflushed: false,
            is_shut_down: false,
            next: NextRead::Frames,
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

/// The most that one read of a connection takes, in bytes: a DATA frame and a little more.
pub(super) const SCRATCH: usize = 64 * 1024;

thread_local! {
    /// One buffer for all sessions of a thread, so that a session that waits has none.
    static READ: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
    static WRITE: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// Reads up to `most` bytes into the buffer of this thread, and passes them to `f`.
pub(super) fn poll_read<T>(
    io: &mut BoxTransport,
    cx: &mut Context<'_>,
    most: usize,
    f: impl FnOnce(&[u8]) -> T,
) -> Poll<io::Result<T>> {
    // `None` also if a transport polls another session from within.
    let mut scratch = READ.take().unwrap_or_else(|| vec![0; SCRATCH].into());
    let mut buf = ReadBuf::new(&mut scratch[..most]);
    let read = io.as_mut().poll_read(cx, &mut buf);
    let result = read.map_ok(|()| f(buf.filled()));
    READ.set(Some(scratch));
    result
}

/// Reads into `space`. Returns how many bytes.
pub(super) fn poll_read_into(
    io: &mut BoxTransport,
    cx: &mut Context<'_>,
    space: &mut [u8],
) -> Poll<io::Result<usize>> {
    let memory = space.as_ptr();
    let mut buf = ReadBuf::new(space);
    ready!(io.as_mut().poll_read(cx, &mut buf))?;
    if buf.filled().as_ptr() != memory {
        let message = "the transport has read into another buffer";
        return Poll::Ready(Err(io::Error::other(message)));
    }
    Poll::Ready(Ok(buf.filled().len()))
}

/// Up to so many bytes are copied into one slice: that takes less time than a vectored write.
const SMALL: usize = 1024;

/// Writes with one call: vectored, or through the buffer of this thread if the transport can't or if
/// the slices are small, and then without the frames behind the first one.
pub(super) fn poll_write(
    io: &mut BoxTransport,
    cx: &mut Context<'_>,
    Transmit { slices, behind }: Transmit<'_>,
) -> Poll<io::Result<usize>> {
    let len: usize = slices.iter().map(|slice| slice.len()).sum();
    let written = if len == slices[0].len() {
        io.as_mut().poll_write(cx, slices[0])
    } else if len > SMALL && io.is_write_vectored() {
        let slices = slices.map(IoSlice::new);
        if !behind.is_empty() {
            return poll_write_frames(io, cx, slices, behind);
        }
        io.as_mut().poll_write_vectored(cx, &slices)
    } else {
        let mut scratch = WRITE.take().unwrap_or_else(|| vec![0; SCRATCH].into());
        let mut filled = 0;
        for slice in slices {
            let part = slice.len().min(scratch.len() - filled);
            scratch[filled..][..part].copy_from_slice(&slice[..part]);
            filled += part;
        }
        let written = io.as_mut().poll_write(cx, &scratch[..filled]);
        WRITE.set(Some(scratch));
        written
    };
    Poll::Ready(check_written(ready!(written)?, len))
}

fn poll_write_frames(
    io: &mut BoxTransport,
    cx: &mut Context<'_>,
    first: [IoSlice<'_>; 3],
    behind: Behind<'_>,
) -> Poll<io::Result<usize>> {
    let frames = behind.frames();
    let mut slices = [IoSlice::new(&[]); 3 + 3 * BEHIND];
    slices[..3].copy_from_slice(&first);
    for (slices, (head, payload)) in slices[3..].chunks_exact_mut(3).zip(&frames) {
        let frame = [head.as_slice(), payload[0], payload[1]];
        slices.copy_from_slice(&frame.map(IoSlice::new));
    }
    let len = slices.iter().map(|slice| slice.len()).sum();
    let written = ready!(io.as_mut().poll_write_vectored(cx, &slices))?;
    Poll::Ready(check_written(written, len))
}

/// Checks what a transport says that it has written of so many bytes.
fn check_written(written: usize, len: usize) -> io::Result<usize> {
    match written {
        0 => Err(io::ErrorKind::WriteZero.into()),
        n if n > len => Err(io::Error::other(
            "the transport has written more than it was given",
        )),
        n => Ok(n),
    }
}

/// The most that is read of a connection before its handshake is done, in bytes: more than the
/// longest message.
pub(super) const FIRST_READ: usize = 2 * 1024;

/// Reads the first message of a connection. Returns it with what arrived behind it.
pub(super) async fn read_handshake(io: &mut BoxTransport) -> io::Result<(Handshake, Vec<u8>)> {
    let mut bytes = vec![0; FIRST_READ];
    let mut filled = 0;
    loop {
        let n = poll_fn(|cx| {
            let mut buf = ReadBuf::new(&mut bytes[filled..]);
            ready!(io.as_mut().poll_read(cx, &mut buf))?;
            Poll::Ready(io::Result::Ok(buf.filled().len()))
        })
        .await?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        filled += n;
        if let Some((message, len)) = Handshake::decode(&bytes[..filled]).map_err(broken)? {
            bytes.truncate(filled);
            bytes.drain(..len);
            bytes.shrink_to_fit();
            return Ok((message, bytes));
        }
    }
}

/// Writes a message of the handshake.
pub(super) async fn write_handshake(io: &mut BoxTransport, mut message: &[u8]) -> io::Result<()> {
    while !message.is_empty() {
        match poll_fn(|cx| io.as_mut().poll_write(cx, message)).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            n => message = &message[n..],
        }
    }
    poll_fn(|cx| io.as_mut().poll_flush(cx)).await
}

/// Returns the error of a connection whose peer has broken the protocol. Its kind is `Other`, so that
/// a policy tries again.
pub(super) fn broken(error: ProtocolError) -> io::Error {
    io::Error::other(error)
}

/// The cause of the loss of a connection whose peer is silent.
pub(super) fn silent() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the peer is silent")
}

/// The cause of the loss of a connection that may not have brought the end of the session.
pub(super) fn unclosed() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the peer has not closed it")
}
