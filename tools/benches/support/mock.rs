//! A connection that costs next to nothing.

use std::hint::black_box;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What the codec puts before each message.
pub const HEADER: usize = 4;

/// At least so many bytes are there for one read.
const CHUNK: usize = 64 * 1024;

/// Takes everything immediately, and brings the same bytes over and over, or never any. No optimizer
/// sees through it, and it allocates nothing after it was made.
#[derive(Debug)]
pub struct Mock {
    brings: Vec<u8>,
    at: usize,
}

impl Mock {
    pub fn silent() -> Self {
        Self::bringing(&[])
    }

    /// Brings this over and over.
    pub fn bringing(bytes: &[u8]) -> Self {
        let many = CHUNK.div_ceil(bytes.len().max(1));
        Self {
            brings: bytes.repeat(many),
            at: 0,
        }
    }
}

/// A message as the codec writes it.
pub fn encoded(size: usize) -> Vec<u8> {
    let length = u32::try_from(size).expect("a message is shorter than 4 GiB");
    let mut message = length.to_be_bytes().to_vec();
    message.resize(HEADER + size, 7);
    message
}

impl AsyncRead for Mock {
    #[inline(never)]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = black_box((self, cx)).0.get_mut();
        if this.brings.is_empty() {
            return black_box(Poll::Pending);
        }
        let rest = &this.brings[this.at..];
        let n = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..n]);
        this.at = (this.at + n) % this.brings.len();
        black_box(Poll::Ready(Ok(())))
    }
}

impl AsyncWrite for Mock {
    #[inline(never)]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        black_box((self, cx));
        black_box(Poll::Ready(Ok(buf.len())))
    }

    #[inline(never)]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        black_box((self, cx));
        black_box(Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum())))
    }

    #[inline(never)]
    fn is_write_vectored(&self) -> bool {
        black_box(true)
    }

    #[inline(never)]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        black_box((self, cx));
        black_box(Poll::Ready(Ok(())))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
