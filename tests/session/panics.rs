//! Foreign code that panics.

use std::future::pending;
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use reconnecting_stream::{Event, ResumableStream, SessionLostReason};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::support::{Server, options, pattern, quick, reason};
use crate::task::Task;

/// A connection whose n-th read or write does something else.
struct Faulty {
    io: DuplexStream,
    calls: usize,
    fault: fn(),
}

impl Faulty {
    fn count(&mut self) {
        self.calls = self.calls.wrapping_sub(1);
        if self.calls == 0 {
            (self.fault)();
        }
    }
}

impl AsyncRead for Faulty {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.count();
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Faulty {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.count();
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_panics_is_a_loss() {
    let (server, mut streams) = Server::new(options());
    let connecting = server.clone();
    let mut number = 5;
    let connector = move || {
        number += 3;
        let (connecting, calls) = (connecting.connect(), number);
        async move {
            let fault = || panic!("of a connection, as the test wants it");
            let io = connecting.await?;
            io::Result::Ok(Faulty { io, calls, fault })
        }
    };
    let mut client = ResumableStream::builder(connector).policy(quick()).lazy();
    let bytes = pattern(0..500_000);
    let writing = async {
        client.write_all(&bytes).await.unwrap();
        client.shutdown().await.unwrap();
    };
    let reading = async {
        let mut received = Vec::new();
        let mut stream = streams.recv().await.unwrap();
        stream.read_to_end(&mut received).await.unwrap();
        stream.shutdown().await.unwrap();
        received
    };
    let ((), received) = tokio::join!(writing, reading);
    assert!(received == bytes);
}

#[tokio::test(start_paused = true)]
async fn a_connector_and_an_observer_that_panic_delay_the_session_and_do_not_end_it() {
    let (server, mut streams) = Server::new(options());
    let connecting = server.clone();
    let mut attempts = 0;
    let connector = move || {
        attempts += 1;
        assert!(attempts % 2 == 1, "of a connector, as the test wants it");
        connecting.connect()
    };
    let mut client = ResumableStream::builder(connector)
        .policy(quick())
        .on_event(|event: &Event| {
            let is_lost = matches!(event, Event::Lost { .. });
            assert!(!is_lost, "of an observer, as the test wants it");
        })
        .connect()
        .await
        .unwrap();
    let mut accepted = streams.recv().await.unwrap();
    for _ in 0..4 {
        server.cut();
        client.write_all(b"x").await.unwrap();
        assert_eq!(accepted.read_u8().await.unwrap(), b'x');
    }
}

/// A task whose executor panics.
struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("of a waker, as the test wants it");
    }
}

#[tokio::test(start_paused = true)]
async fn a_waker_that_panics_leaves_no_other_task_of_a_session_waiting() {
    let panics = Waker::from(Arc::new(Panics));
    let bytes = pattern(0..1 << 20);
    for reader_panics in [true, false] {
        let (server, mut streams) = Server::new(options());
        let (client, accepted) = server.begin(&mut streams).await;
        let (mut reader, mut writer) = accepted.into_split();
        let (waiting, other) = (Task::new(), Task::new());
        let mut read =
            |cx: &mut Context<'_>| Pin::new(&mut reader).poll_read(cx, &mut ReadBuf::new(&mut [0]));
        let mut write = |cx: &mut Context<'_>| Pin::new(&mut writer).poll_write(cx, &bytes);
        let cx = &mut Context::from_waker(&panics);
        if reader_panics {
            assert!(read(cx).is_pending());
            while waiting.poll(&mut write).is_ready() {
                sleep(Duration::from_secs(1)).await;
            }
        } else {
            assert!(waiting.poll(&mut read).is_pending());
            while write(cx).is_ready() {
                sleep(Duration::from_secs(1)).await;
            }
        }
        let mut acknowledged = pin!(writer.acknowledged());
        assert!(other.poll_future(acknowledged.as_mut()).is_pending());
        drop(client);
        server.drained().await;
        assert!(waiting.is_woken() && other.is_woken());
        assert!(acknowledged.await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn a_waker_that_panics_while_a_connection_is_attached_leaves_the_session_detached() {
    let (server, mut streams) = Server::new(options().time_to_live(Duration::from_secs(5)));
    let (dials, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let (connecting, counted, opened) = (server.clone(), Arc::clone(&dials), Arc::clone(&gate));
    let connector = move || {
        let dial = counted.fetch_add(1, Ordering::SeqCst);
        let (connecting, opened) = (connecting.connect(), Arc::clone(&opened));
        async move {
            match dial {
                0 => {}
                1 => opened.notified().await,
                // The server can't be reached any more.
                _ => pending().await,
            }
            connecting.await
        }
    };
    let client = ResumableStream::builder(connector).policy(quick());
    let mut client = client.connect().await.unwrap();
    let _accepted = streams.recv().await.unwrap();
    client.handle().reconnect();
    while dials.load(Ordering::SeqCst) < 2 {
        sleep(Duration::from_millis(1)).await;
    }
    client.write_all(b"x").await.unwrap();
    {
        let panics = Waker::from(Arc::new(Panics));
        let mut acknowledged = pin!(client.acknowledged());
        let polled = acknowledged
            .as_mut()
            .poll(&mut Context::from_waker(&panics));
        assert!(polled.is_pending());
        gate.notify_one();
        while dials.load(Ordering::SeqCst) < 3 {
            sleep(Duration::from_millis(1)).await;
        }
    }
    let limit = Duration::from_secs(60);
    let flushed = timeout(limit, client.flush()).await;
    flushed.expect("a flush waits for no connection").unwrap();
    let read = timeout(limit, client.read_u8()).await;
    let error = read.expect("the session expires").unwrap_err();
    assert_eq!(reason(&error), SessionLostReason::Expired);
}

#[test]
fn a_lazy_stream_on_a_runtime_without_time_panics_in_its_caller() {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.build().unwrap();
    runtime.block_on(async {
        let refuse =
            || std::future::ready(io::Result::<DuplexStream>::Err(ErrorKind::Other.into()));
        let builder = ResumableStream::builder(refuse);
        let made = catch_unwind(AssertUnwindSafe(|| builder.lazy()));
        assert!(made.is_err());
    });
}
