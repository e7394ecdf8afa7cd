//! Long payloads, which are read where they are kept, from connections that read in their own way.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use reconnecting_stream::ResumableStream;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};

use crate::support::{Server, options, pattern, quick};

#[derive(Clone, Copy, Debug)]
enum Reading {
    /// One byte, and of a long payload up to so many, one more with each read.
    Pieces,
    /// A long read fails.
    Fails,
    /// A long read panics.
    Panics,
    /// A long read ends with bytes in memory of its own, which the caller does not have.
    Elsewhere,
    /// A long read waits once, and wakes the caller.
    Waits,
}

/// A connection each tenth of whose long reads is a fault, or all of whose reads are short.
struct Reader {
    io: DuplexStream,
    reading: Reading,
    reads: usize,
    faults: Arc<AtomicUsize>,
}

impl Reader {
    fn poll_fault(&mut self, cx: &Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.faults.fetch_add(1, Ordering::SeqCst);
        match self.reading {
            Reading::Pieces => unreachable!("has no fault"),
            Reading::Fails => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            Reading::Panics => panic!("of a connection, as the test wants it"),
            Reading::Elsewhere => {
                *buf = ReadBuf::new(vec![0; 1 << 20].leak());
                buf.advance(1 << 20);
                Poll::Ready(Ok(()))
            }
            Reading::Waits => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // What is read of a frame before its payload is 4 KiB, or 64 KiB.
        let is_payload = !matches!(buf.remaining(), 4_096 | 65_536);
        self.reads += usize::from(is_payload);
        let most = match self.reading {
            Reading::Pieces if is_payload => self.reads % 5_000 + 1,
            Reading::Pieces => 1,
            _ if is_payload && self.reads % 10 == 0 => return self.poll_fault(cx, buf),
            _ => buf.remaining(),
        };
        let mut part = vec![0; most.min(buf.remaining())];
        let mut read = ReadBuf::new(&mut part);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut read))?;
        buf.put_slice(read.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Reader {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Reads 2 MB, and returns how many faults and how many connections there were.
async fn read_all(reading: Reading) -> (usize, usize) {
    let (server, mut streams) = Server::new(options());
    let faults = Arc::new(AtomicUsize::new(0));
    let connections = Arc::new(AtomicUsize::new(0));
    let (counted, dialed) = (Arc::clone(&faults), Arc::clone(&connections));
    let connector = move || {
        dialed.fetch_add(1, Ordering::SeqCst);
        let (connecting, faults) = (server.connect(), Arc::clone(&counted));
        async move {
            let io = connecting.await?;
            io::Result::Ok(Reader {
                io,
                reading,
                reads: 0,
                faults,
            })
        }
    };
    let builder = ResumableStream::builder(connector).policy(quick());
    let mut client = builder.connect().await.unwrap();
    let bytes = pattern(0..2_000_000);
    let sending = async {
        let mut stream = streams.recv().await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        stream.shutdown().await.unwrap();
    };
    let receiving = async {
        let mut received = Vec::new();
        client.read_to_end(&mut received).await.unwrap();
        client.shutdown().await.unwrap();
        received
    };
    let ((), received) = tokio::join!(sending, receiving);
    assert!(received == bytes, "{reading:?}");
    let count = |counted: &AtomicUsize| counted.load(Ordering::SeqCst);
    (count(&faults), count(&connections))
}

#[tokio::test(start_paused = true)]
async fn a_long_payload_arrives_whole_in_pieces_of_any_length() {
    assert_eq!(read_all(Reading::Pieces).await, (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_fault_in_the_middle_of_a_long_payload_loses_nothing() {
    let faults = [
        Reading::Fails,
        Reading::Panics,
        Reading::Elsewhere,
        Reading::Waits,
    ];
    for reading in faults {
        let (faults, connections) = read_all(reading).await;
        assert!(faults > 2, "{reading:?}: {faults} faults");
        let ended = match reading {
            Reading::Pieces | Reading::Waits => 0,
            Reading::Fails | Reading::Panics | Reading::Elsewhere => faults,
        };
        assert_eq!(connections, 1 + ended, "{reading:?}");
    }
}
