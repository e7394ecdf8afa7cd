//! Schedules of other crates, through a real stream.

use std::future::ready;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use backon::{BackoffBuilder, ConstantBuilder, ExponentialBuilder, FibonacciBuilder};
use reconnecting_stream::{Backoff, Event, GaveUp, Policy, ReconnectingStream, connect_fn};
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// A server that accepts or refuses, and when each attempt came.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    refuses: bool,
    attempts: Vec<(Instant, u32)>,
    connection: Option<DuplexStream>,
}

impl Server {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Makes an attempt; `number` is its number within the outage.
    fn connect(&self, number: u32) -> io::Result<DuplexStream> {
        let mut state = self.state();
        state.attempts.push((Instant::now(), number));
        if state.refuses {
            return Err(ErrorKind::ConnectionRefused.into());
        }
        let (near, far) = duplex(64);
        state.connection = Some(far);
        Ok(near)
    }
}

/// Goes through two outages of a stream, both of which have to follow the delays until the end,
/// and give up there.
async fn assert_follows(backoff: Backoff, delays: &[Duration]) {
    let server = Server::default();
    let dialed = server.clone();
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = Arc::clone(&told);
    let mut stream = ReconnectingStream::builder(connect_fn(move |attempt| {
        ready(dialed.connect(attempt.number))
    }))
    .policy(Policy::default().backoff(backoff).max_attempts(None))
    .on_event(move |event: &Event| {
        if let Event::Retrying { delay, .. } = event {
            telling.lock().unwrap().push(*delay);
        }
    })
    .connect()
    .await
    .unwrap();

    for _ in 0..2 {
        sleep(60 * SECOND).await;
        server.state().refuses = true;
        server.state().attempts.clear();
        let lost_at = Instant::now();
        server.state().connection = None;
        let error = stream.write_all(b"x").await.unwrap_err();

        assert_eq!(
            GaveUp::find(&error).unwrap().attempts as usize,
            delays.len()
        );
        assert_eq!(std::mem::take(&mut *told.lock().unwrap()), delays);
        let mut due = Duration::ZERO;
        for ((at, number), delay) in server.state().attempts.iter().zip(delays) {
            due += *delay;
            let late = (*at - lost_at).checked_sub(due).unwrap();
            // A timer may be late by the millisecond that it counts in, each time.
            assert!(late < 2 * MS * *number, "{late:?}");
        }
        server.state().refuses = false;
        stream.handle().reconnect();
        stream.connected().await.unwrap();
        told.lock().unwrap().clear();
    }
}

/// From a builder of `backon`.
async fn assert_follows_backon<B>(builder: B, times: usize) -> Vec<Duration>
where
    B: BackoffBuilder<Backoff: Send> + Copy + Send + Sync + 'static,
{
    let delays: Vec<_> = builder.build().collect();
    assert_eq!(delays.len(), times);
    assert_follows(Backoff::from_factory(move || builder.build()), &delays).await;
    delays
}

#[tokio::test(start_paused = true)]
async fn an_exponential_schedule_of_backon_is_followed() {
    let delays = assert_follows_backon(ExponentialBuilder::default(), 3).await;
    assert_eq!(delays, [1, 2, 4].map(|n| n * SECOND));
}

#[tokio::test(start_paused = true)]
async fn an_exponential_schedule_of_backon_with_jitter_is_followed() {
    let builder = ExponentialBuilder::default()
        .with_factor(3.0)
        .with_min_delay(100 * MS)
        .with_max_delay(2 * SECOND)
        .with_max_times(6)
        .with_jitter()
        .with_jitter_seed(7);
    let delays = assert_follows_backon(builder, 6).await;
    assert!(delays[0] > 100 * MS && delays[0] < 200 * MS, "{delays:?}");
    // Its jitter comes on top of its longest delay; ours never does.
    assert!(delays[5] > 2 * SECOND, "{delays:?}");
    let capped: Vec<_> = delays.iter().map(|delay| *delay.min(&SECOND)).collect();
    let backoff = Backoff::from_factory(move || builder.build()).max(SECOND);
    assert_follows(backoff, &capped).await;
}

#[tokio::test(start_paused = true)]
async fn a_fibonacci_schedule_of_backon_is_followed() {
    let builder = FibonacciBuilder::default().with_max_times(6);
    let delays = assert_follows_backon(builder, 6).await;
    assert_eq!(delays, [1, 1, 2, 3, 5, 8].map(|n| n * SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_constant_schedule_of_backon_is_followed() {
    let builder = ConstantBuilder::default()
        .with_delay(250 * MS)
        .with_max_times(4);
    let delays = assert_follows_backon(builder, 4).await;
    assert_eq!(delays, [250 * MS; 4]);
}

#[tokio::test(start_paused = true)]
async fn an_empty_schedule_gives_up_immediately() {
    assert_follows_backon(ConstantBuilder::default().with_max_times(0), 0).await;
}

mod backoff_crate {
    use backoff::ExponentialBackoff;

    use super::*;

    /// A schedule of that crate that ends, and has to be reset for the next outage.
    #[derive(Clone)]
    struct Ending {
        schedule: ExponentialBackoff,
        left: usize,
    }

    impl backoff::backoff::Backoff for Ending {
        fn reset(&mut self) {
            self.schedule.reset();
            self.left = 4;
        }

        fn next_backoff(&mut self) -> Option<Duration> {
            self.left = self.left.checked_sub(1)?;
            self.schedule.next_backoff()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_exponential_schedule_of_backoff_ends_and_begins_again_at_the_next_outage() {
        let schedule = ExponentialBackoff {
            initial_interval: 100 * MS,
            multiplier: 2.0,
            max_interval: 400 * MS,
            randomization_factor: 0.0,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        let ended = Ending { schedule, left: 0 };
        let delays = [100, 200, 400, 400].map(|n| n * MS);
        assert_follows(Backoff::from_backoff_crate(ended), &delays).await;
    }
}
