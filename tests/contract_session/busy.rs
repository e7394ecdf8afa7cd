//! Clients of a server that is busy, and asks them to wait.

use std::future::{Ready, ready};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reconnecting_stream::{Event, GaveUp, Policy, ResumableBuilder, ResumableStream, State};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use crate::support::{settle, soon};

const HOUR: u32 = 3_600_000;

/// Counts its connections. Each of them is refused: the client is to try again after so many
/// milliseconds.
fn refused(
    retry_after: u32,
) -> (
    ResumableBuilder<impl FnMut() -> Ready<io::Result<DuplexStream>> + Send + 'static>,
    Arc<AtomicUsize>,
) {
    let dials = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&dials);
    let builder = ResumableStream::builder(move || {
        count.fetch_add(1, Ordering::SeqCst);
        let (client, mut server) = duplex(4096);
        tokio::spawn(async move {
            let mut hello = [0; 18];
            server.read_exact(&mut hello).await.unwrap();
            let mut reject = vec![5, 0, 6, 1, 0x40];
            reject.extend(retry_after.to_be_bytes());
            server.write_all(&reject).await.unwrap();
        });
        ready(io::Result::Ok(client))
    });
    (builder, dials)
}

#[tokio::test(start_paused = true)]
async fn an_outage_ends_at_its_limit_although_the_server_asks_to_wait_for_longer() {
    let policy = Policy::default().max_outage(Duration::from_secs(10));
    let began = Instant::now();
    let mut stream = refused(HOUR).0.policy(policy.clone()).lazy();
    let error = soon(stream.read_u8()).await.unwrap_err();
    assert!(GaveUp::find(&error).is_some(), "{error}");

    let connecting = refused(HOUR).0.policy(policy).retry_initial_connect(true);
    let error = soon(connecting.connect()).await.unwrap_err();
    assert!(GaveUp::find(&error).is_some(), "{error}");
    assert!(
        began.elapsed() <= Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn the_state_and_the_events_tell_how_long_a_client_waits_for_a_busy_server() {
    let (sender, mut delays) = mpsc::unbounded_channel();
    let builder = refused(5000).0.on_event(move |event| {
        if let Event::Retrying { delay, .. } = event {
            let _ = sender.send(*delay);
        }
    });
    let stream = builder.lazy();
    settle().await;
    let asked = Duration::from_secs(5);
    assert_eq!(delays.try_recv().unwrap(), asked);
    let state = stream.state();
    assert!(
        matches!(state, State::Backoff { delay, .. } if delay == asked),
        "{state:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_reconnect_ends_the_wait_for_a_busy_server() {
    let (builder, dials) = refused(HOUR);
    let stream = builder.lazy();
    settle().await;
    assert_eq!(dials.load(Ordering::SeqCst), 1);
    stream.handle().reconnect();
    settle().await;
    assert_eq!(dials.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_client_waits_for_a_busy_server_for_two_minutes_at_most() {
    let (builder, dials) = refused(u32::MAX);
    let _stream = builder.lazy();
    sleep(Duration::from_secs(605)).await;
    assert_eq!(dials.load(Ordering::SeqCst), 6);
}
