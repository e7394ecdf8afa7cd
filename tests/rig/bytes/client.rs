//! The client of bytes: two tasks that are polled by hand.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use reconnecting_stream::{Backoff, Eof, Policy, ReconnectingStream, Resend, Seam};
use tokio::io::{ReadHalf, WriteHalf, split};
use tokio::time::Instant;

use super::super::actor::Actor;
use super::super::connection::Habits;
use super::super::connector::Connector;
use super::super::harness::{IDLE, Rig};
use super::super::observer::observer;
use super::super::random::Random;
use super::super::run::{Failure, trace};
use super::super::settings::{MAX_UNREAD, Offline, Settings, Stats};
use super::super::task::WakerWasDropped;

pub type Bytes = ReconnectingStream<Connector>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Read(usize),
    Write(usize),
    Flush,
    Shutdown,
    /// Waits for a connection.
    Connected,
    /// Waits for a connection, and takes the losses before it from both halves.
    Resync,
}

#[derive(Debug)]
pub enum PollOutcome {
    Read(io::Result<Vec<u8>>),
    Wrote(io::Result<usize>),
    Flushed(io::Result<()>),
    ShutDown(io::Result<()>),
    Generation(io::Result<u64>),
    Panicked,
}

pub enum Halves {
    Whole(Box<Bytes>),
    Split(Option<ReadHalf<Bytes>>, Option<WriteHalf<Bytes>>),
}

/// What a half was told.
#[derive(Debug, Default)]
pub struct Told {
    /// The connection of its last loss.
    pub lost: u64,
    /// With `Seam::Eof`: ends that the reader got instead.
    pub ends: u64,
}

impl Told {
    /// The losses up to this connection will not be told any more.
    pub fn cross(&mut self, generation: u64) {
        self.lost = self.lost.max(generation);
        self.ends = self.ends.max(generation);
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub settings: Settings,
    pub is_split: bool,
    pub begins_connected: bool,
    pub has_idle_timeout: bool,
    pub has_hooks: bool,
    pub may_shut_down: bool,
    pub may_be_killed: bool,
    pub reads_on: bool,
    pub observer_panics: bool,
}

pub struct Client {
    pub rig: Arc<Rig>,
    pub plan: Plan,
    pub random: Random,
    pub halves: Halves,
    pub reader: Actor<Op>,
    pub writer: Actor<Op>,
    pub reader_told: Told,
    pub writer_told: Told,
    /// A read has waited since then.
    pub waits_since: Option<Instant>,
    /// The answer of the first shutdown, and whether it was an error.
    pub shut: Option<bool>,
    pub reader_told_after_shutdown: bool,
    pub steps: u64,
}

impl Plan {
    fn of(random: &mut Random) -> Self {
        let seam = random.pick(&[Seam::Hidden, Seam::Error, Seam::Eof]);
        let passes = seam != Seam::Eof && random.one_in(8);
        let settings = Settings {
            seam,
            eof: if passes { Eof::Pass } else { Eof::Reconnect },
            resend: Resend::Torn,
            max_queued: 0,
            max_attempts: random.one_in(6).then(|| random.pick(&[1, 2, 3])),
            offline: Offline::Keep,
            keeps_unsent: true,
            max_unread: MAX_UNREAD,
            habits: Habits {
                chunk: random.pick(&[1, 3, 17, usize::MAX]),
                room: random.pick(&[0, 10, 100, usize::MAX]),
                buffer: random.pick(&[0, 0, 50]),
                keeps_arrived: random.one_in(2),
            },
            trailers: 0,
            has_handshake: false,
            banner: random.pick(&[0, 1, 3]),
            faulty_attempts: random.one_in(2),
            has_classifier: false,
        };
        let is_split = random.one_in(2);
        Self {
            settings,
            is_split,
            begins_connected: random.one_in(3),
            has_idle_timeout: random.one_in(4),
            has_hooks: random.one_in(2),
            may_shut_down: random.one_in(2),
            may_be_killed: random.one_in(15),
            reads_on: random.one_in(2),
            // A panic poisons the lock of `tokio::io::split`.
            observer_panics: !is_split && random.one_in(8),
        }
    }

    fn build(&self, rig: &Arc<Rig>) -> Bytes {
        let policy = Policy::default()
            .backoff(Backoff::constant(Duration::from_millis(10)))
            .attempt_timeout(Duration::from_millis(50))
            .eof(self.settings.eof)
            .idle_timeout(self.has_idle_timeout.then_some(IDLE))
            .max_attempts(self.settings.max_attempts);
        let builder = ReconnectingStream::builder(Connector(Arc::clone(rig)))
            .policy(policy)
            .seam(self.settings.seam)
            .on_event(observer(rig));
        let stream = if self.begins_connected {
            builder.wrap(rig.accept(1))
        } else {
            builder.lazy()
        };
        rig.harness().observer_panics = self.observer_panics;
        stream
    }
}

impl Client {
    pub fn new(mut random: Random) -> Self {
        let plan = Plan::of(&mut random);
        let rig = Rig::new(plan.settings, Random::new(random.next()));
        rig.harness().is_of_bytes = true;
        let stream = plan.build(&rig);
        let _ = rig.handle.set(stream.handle());
        let halves = if plan.is_split {
            let (reader, writer) = split(stream);
            Halves::Split(Some(reader), Some(writer))
        } else {
            Halves::Whole(Box::new(stream))
        };
        Self {
            rig,
            plan,
            random,
            halves,
            reader: Actor::new(),
            writer: Actor::new(),
            reader_told: Told::default(),
            writer_told: Told::default(),
            waits_since: None,
            shut: None,
            reader_told_after_shutdown: false,
            steps: 0,
        }
    }

    /// Polls the reader, or the writer, once.
    pub fn poll(&mut self, reads: bool) {
        let mut harness = self.rig.harness();
        harness.epoch += 1;
        (harness.last_read.2, harness.last_write.2) = (0, 0);
        drop(harness);
        let actor = if reads {
            &mut self.reader
        } else {
            &mut self.writer
        };
        actor.is_runnable = false;
        let Some(op) = actor.op else { return };
        trace(|| format!("polls {op:?}"));
        let (halves, task) = (&mut self.halves, &mut actor.task);
        let polled = catch_unwind(AssertUnwindSafe(|| task.poll(|cx| halves.poll(op, cx))));
        let polled = polled.unwrap_or(Ok(Poll::Ready(PollOutcome::Panicked)));
        trace(|| format!("{op:?}: {polled:?}"));
        match polled {
            Ok(Poll::Pending) if reads => {
                // A read that comes too late after a whole idle timeout waits from then on.
                self.waits_since = Some(Instant::now());
            }
            Ok(Poll::Pending) => {}
            Ok(Poll::Ready(answer)) => {
                actor.op = None;
                if reads {
                    self.waits_since = None;
                }
                self.take(op, answer);
            }
            Err(WakerWasDropped) => {
                let why = format!("waker: {op:?} is Pending, and its waker was dropped");
                self.rig.harness().fail(why);
            }
        }
    }

    pub fn run(&mut self) {
        for _ in 0..400 {
            let (reads, writes) = (self.reader.is_due(), self.writer.is_due());
            if !reads && !writes || self.rig.harness().violation().is_some() {
                return;
            }
            let first = self.random.one_in(2);
            self.poll(if reads && writes { first } else { reads });
        }
        self.rig.harness().fail("busy: 400 polls without an event");
    }

    pub fn check(&mut self) -> Result<(), Failure> {
        if !self.reader.is_due() && !self.writer.is_due() {
            self.check_waiting();
        }
        let harness = self.rig.harness();
        match harness.violation() {
            Some(why) => Err(Failure {
                size: harness.stats.operations,
                why: why.to_owned(),
                context: format!("{:#?}", self.plan),
            }),
            None => Ok(()),
        }
    }

    pub fn stats(&self) -> Stats {
        Stats {
            histories: 1,
            steps: self.steps,
            ..self.rig.harness().stats
        }
    }
}
