//! The behaviour of a stream, row by row of the table in its documentation.

mod support;

#[path = "behavior/accessors.rs"]
mod accessors;
#[path = "behavior/attempts.rs"]
mod attempts;
#[path = "behavior/cap.rs"]
mod cap;
#[path = "behavior/close.rs"]
mod close;
#[path = "behavior/construction.rs"]
mod construction;
#[path = "behavior/drops.rs"]
mod drops;
#[path = "behavior/empty.rs"]
mod empty;
#[path = "behavior/eof.rs"]
mod eof;
#[path = "behavior/errors.rs"]
mod errors;
#[path = "behavior/halves.rs"]
mod halves;
#[path = "behavior/idle.rs"]
mod idle;
#[path = "behavior/shutdown.rs"]
mod shutdown;

use std::io::{self, ErrorKind, IoSlice};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use reconnecting_stream::{
    Backoff, Builder, Connect, Eof, Jitter, Permanent, Phase, Policy, ReconnectingStream, Seam,
    State, Verdict, connect_fn,
};
use support::{Fault, Network, Outcome, TakesNothing, Task, Wire, gave_up, lost};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, advance, sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);

/// A delay of one second before every attempt.
fn policy() -> Policy {
    Policy::default().backoff(Backoff::constant(SECOND))
}

fn build<C: Connect<Io = Wire>>(connector: C) -> Builder<C> {
    ReconnectingStream::builder(connector).policy(policy())
}

async fn read(stream: &mut ReconnectingStream<impl Connect<Io = Wire>>) -> io::Result<Vec<u8>> {
    let mut buf = [0; 16];
    let n = stream.read(&mut buf).await?;
    Ok(buf[..n].to_vec())
}

#[tokio::test(start_paused = true)]
async fn a_read_that_fills_and_fails_has_read_nothing() {
    /// Breaks the contract of `AsyncRead`, once.
    struct Liar(u64);
    impl tokio::io::AsyncRead for Liar {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if self.0 > 1 {
                buf.put_slice(b"truth");
                return Poll::Ready(Ok(()));
            }
            buf.put_slice(b"junk");
            Poll::Ready(Err(ErrorKind::ConnectionReset.into()))
        }
    }
    let connector = connect_fn(|attempt| {
        let generation = attempt.generation;
        async move { Ok(Liar(generation)) }
    });
    let mut stream = ReconnectingStream::connect(connector).await.unwrap();
    let mut buf = Vec::with_capacity(64);
    stream.read_buf(&mut buf).await.unwrap();
    assert_eq!(buf, b"truth");
}

#[tokio::test(start_paused = true)]
async fn no_delay_and_no_limit_still_let_the_task_yield() {
    let network = Network::new();
    network.otherwise(Outcome::AcceptsThen(Fault::Reset));
    let mut stream = build(network.connector())
        .policy(
            Policy::default()
                .backoff(Backoff::none())
                .stable_after(Duration::ZERO)
                .max_attempts(None),
        )
        .lazy();
    let mut buf = [0; 4];
    let mut read = pin!(stream.read(&mut buf));
    let task = Task::new();
    for polls in 1..100 {
        assert!(task.poll_future(read.as_mut()).is_pending());
        assert!(task.is_woken());
        assert!(network.attempts().len() <= polls, "one attempt a poll");
    }
    advance(SECOND).await;
}
