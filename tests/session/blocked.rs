//! A connection that takes no more bytes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use reconnecting_stream::ResumableStream;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::task::yield_now;

use crate::support::{Server, options, pattern, quick};

/// A connection that takes so many bytes, and counts the writes after them.
struct Blocked {
    io: DuplexStream,
    room: usize,
    writes: Arc<AtomicUsize>,
}

impl AsyncRead for Blocked {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Blocked {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.room == 0 {
            this.writes.fetch_add(1, Ordering::SeqCst);
            return Poll::Pending;
        }
        let most = buf.len().min(this.room);
        let written = Pin::new(&mut this.io).poll_write(cx, &buf[..most]);
        if let Poll::Ready(Ok(n)) = written {
            this.room -= n;
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn a_driver_waits_for_a_connection_that_takes_no_more() {
    let (server, _streams) = Server::new(options());
    let writes = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&writes);
    let connector = move || {
        let (connecting, writes) = (server.connect(), Arc::clone(&counted));
        async move {
            let (io, room) = (connecting.await?, 1000);
            io::Result::Ok(Blocked { io, room, writes })
        }
    };
    let client = ResumableStream::builder(connector).policy(quick());
    let mut client = client.connect().await.unwrap();
    client.write_all(&pattern(0..10_000)).await.unwrap();
    let mut spend = async |yields: usize| {
        for _ in 0..yields {
            yield_now().await;
        }
        client.write_all(b"x").await.unwrap();
        writes.load(Ordering::SeqCst)
    };
    let before = spend(100).await;
    assert!(before > 0, "it has taken what it takes");
    // Neither time nor the application wakes the driver.
    assert_eq!(spend(100).await, before);
}
