//! The suite: its cases, and how they are run.

use std::error::Error;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::timeout;

use crate::support::byte;
use crate::{ends, polls, transfer};

/// Nothing waits for it unless it hangs.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

pub(crate) type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// Two connected streams.
pub(crate) struct Pair {
    pub(crate) near: Box<dyn Io>,
    pub(crate) far: Box<dyn Io>,
    /// Cuts the connection below them. A case calls it in its middle.
    pub(crate) cut: Box<dyn Fn() + Send + Sync>,
}

impl Pair {
    pub(crate) fn of(near: impl Io + 'static, far: impl Io + 'static) -> Self {
        Self {
            near: Box::new(near),
            far: Box::new(far),
            cut: Box::new(|| ()),
        }
    }

    /// Returns the pair the other way round.
    fn turned(self) -> Self {
        Self {
            near: self.far,
            far: self.near,
            cut: self.cut,
        }
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    run: fn(Pair) -> BoxFuture<'static, Outcome>,
}

macro_rules! cases {
    ($($module:ident :: $name:ident),* $(,)?) => {
        [$(Case { name: stringify!($name), run: |pair| Box::pin($module::$name(pair)) }),*]
    };
}

pub(crate) fn cases() -> impl Iterator<Item = Case> {
    cases![
        transfer::writes_and_reads_of_all_sizes,
        transfer::vectored_writes,
        transfer::both_directions_in_halves_in_two_tasks,
        transfer::copy_bidirectional_passes_half_closes_on,
        ends::one_direction_ends_and_the_other_continues,
        ends::both_directions_end_at_the_same_time,
        ends::an_end_is_read_again_and_again,
        ends::a_write_after_a_shutdown_is_an_error,
        ends::a_shutdown_again_and_a_flush_after_it,
        ends::a_flush_with_nothing_to_flush,
        ends::empty_reads_and_writes,
        polls::dropped_reads,
        polls::dropped_writes_and_flushes,
        polls::dropped_shutdowns,
        polls::a_deadline_around_a_read,
        polls::a_deadline_around_a_write,
        polls::a_reader_that_comes_with_another_waker,
        polls::a_writer_that_comes_with_another_waker,
        polls::a_reader_and_a_writer_in_two_tasks,
    ]
    .into_iter()
}

impl Case {
    /// Runs the case. A hang and a panic are failures.
    pub(crate) async fn run(self, pair: Pair) -> Outcome {
        let mut running = tokio::spawn((self.run)(pair));
        match timeout(LIMIT, &mut running).await {
            Ok(ended) => ended?,
            Err(_) => {
                running.abort();
                Err("it hangs".into())
            }
        }
    }
}

/// Runs all cases with both ends in turn as the near one.
pub(crate) async fn conforms(make: impl AsyncFn() -> Pair) {
    for case in cases() {
        for is_turned in [false, true] {
            let pair = make().await;
            let pair = if is_turned { pair.turned() } else { pair };
            if let Err(failure) = case.run(pair).await {
                panic!("{} (turned: {is_turned}): {failure}", case.name);
            }
        }
    }
}

pub(crate) fn ensure(is_right: bool, what: &str) -> Outcome {
    if is_right { Ok(()) } else { Err(what.into()) }
}

/// Returns the bytes of a direction from an offset on.
pub(crate) fn bytes(seed: u64, from: usize, len: usize) -> Vec<u8> {
    (from..from + len).map(|at| byte(seed, at)).collect()
}

/// Reads so many bytes and checks each.
pub(crate) async fn expect(
    reader: &mut (impl AsyncRead + Unpin),
    seed: u64,
    from: usize,
    len: usize,
) -> Outcome {
    let mut read = vec![0; len];
    reader.read_exact(&mut read).await?;
    ensure(read == bytes(seed, from, len), "wrong bytes")
}

/// Reads the end.
pub(crate) async fn expect_end(reader: &mut (impl AsyncRead + Unpin)) -> Outcome {
    ensure(reader.read(&mut [0; 64]).await? == 0, "bytes after the end")
}
