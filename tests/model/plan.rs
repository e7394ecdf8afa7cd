//! What a case is made of: settings, a network, and a history.

use std::io::ErrorKind;
use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use reconnecting_stream::{Backoff, Eof, Jitter, Policy, Seam};

use super::support::{Fault, Outcome};

/// Milliseconds of virtual time: everything here happens on whole ones.
pub type Ms = u64;

pub const fn time(ms: Ms) -> Duration {
    Duration::from_millis(ms)
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub rules: Rules,
    pub seam: Seam,
    pub begin: Begin,
    /// What the first attempts meet.
    pub script: Vec<Outcome>,
    pub steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    Connected,
    Lazy,
}

/// A policy, in the model's words.
#[derive(Clone, Debug)]
pub struct Rules {
    pub delays: Delays,
    pub max_attempts: Option<u32>,
    pub max_outage: Option<Ms>,
    pub stable_after: Ms,
    pub attempt_timeout: Ms,
    pub idle_timeout: Option<Ms>,
    pub eof: Eof,
}

#[derive(Clone, Debug)]
pub enum Delays {
    Exponential { initial: Ms, factor: u32, max: Ms },
    Constant(Ms),
    Listed(Vec<Ms>),
}

/// Who polls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Reader,
    Writer,
    Watcher,
}

pub const ROLES: [Role; 3] = [Role::Reader, Role::Writer, Role::Watcher];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Into a buffer with so much room.
    Read(usize),
    /// Of so many bytes.
    Write(usize),
    Flush,
    Shutdown,
    Connected,
}

impl Op {
    pub fn role(self) -> Role {
        match self {
            Self::Read(_) => Role::Reader,
            Self::Write(_) | Self::Flush | Self::Shutdown => Role::Writer,
            Self::Connected => Role::Watcher,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// One poll, woken or not.
    Poll(Op),
    /// Every task that was woken polls, until none is left; the writer first, or the reader.
    Run {
        writer_first: bool,
    },
    /// The task and its future are dropped.
    Drop(Role),
    /// The peer sends so many bytes.
    Send(u8),
    Fault(Fault),
    /// No task is woken: the next operation meets the fault.
    UnnoticedFault(Fault),
    Heal,
    /// The connection takes so many more bytes.
    Room(usize),
    StallShutdown(bool),
    /// The handle's.
    Reconnect,
    /// The stream's own.
    ReconnectNow,
    /// The handle says that the connection is dead.
    MarkLost,
    /// The stream's own.
    MarkLostNow,
    Close,
    Advance(Ms),
    /// To the next moment at which time alone changes something; a millisecond before it, at it,
    /// or after it.
    ToDeadline(i64),
}

pub fn plans(seam: Seam) -> impl Strategy<Value = Plan> {
    let begin = select(vec![Begin::Connected, Begin::Connected, Begin::Lazy]);
    (rules(), begin, vec(outcome(), 0..7), vec(step(), 1..40)).prop_map(
        move |(rules, begin, script, steps)| Plan {
            rules,
            seam,
            begin,
            script,
            steps,
        },
    )
}

fn rules() -> impl Strategy<Value = Rules> {
    (
        delays(),
        select(vec![None, None, Some(0), Some(1), Some(2), Some(4)]),
        option::weighted(0.3, select(vec![0, 500, 1_000, 3_000])),
        select(vec![0, 500, 2_000, 10_000]),
        select(vec![1, 200, 1_000, 3_000]),
        option::weighted(0.3, select(vec![1, 300, 1_000])),
        select(vec![Eof::Reconnect, Eof::Reconnect, Eof::Pass]),
    )
        .prop_map(
            |(
                delays,
                max_attempts,
                max_outage,
                stable_after,
                attempt_timeout,
                idle_timeout,
                eof,
            )| {
                Rules {
                    delays,
                    max_attempts,
                    max_outage,
                    stable_after,
                    attempt_timeout,
                    idle_timeout,
                    eof,
                }
            },
        )
}

fn delays() -> impl Strategy<Value = Delays> {
    prop_oneof![
        4 => (select(vec![10, 100, 500]), 1..4_u32, select(vec![100, 1_000, 4_000]))
            .prop_map(|(initial, factor, max)| Delays::Exponential { initial, factor, max }),
        2 => select(vec![0, 1, 250]).prop_map(Delays::Constant),
        1 => vec(select(vec![0, 50, 700]), 0..5).prop_map(Delays::Listed),
    ]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let refusal = select(vec![
        ErrorKind::ConnectionRefused,
        ErrorKind::ConnectionRefused,
        ErrorKind::TimedOut,
        ErrorKind::NotFound,
        ErrorKind::PermissionDenied,
        ErrorKind::Unsupported,
    ]);
    prop_oneof![
        4 => Just(Outcome::Accepts),
        3 => select(vec![1, 150, 900, 2_500]).prop_map(|ms| Outcome::AcceptsAfter(time(ms))),
        3 => fault().prop_map(Outcome::AcceptsThen),
        6 => refusal.prop_map(Outcome::Refuses),
        1 => Just(Outcome::RefusesForGood),
        3 => Just(Outcome::Hangs),
        1 => Just(Outcome::Panics),
        1 => Just(Outcome::ConnectorPanics),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        4 => Just(Fault::Reset),
        3 => Just(Fault::Eof),
        1 => select(vec![ErrorKind::TimedOut, ErrorKind::BrokenPipe]).prop_map(Fault::Error),
        1 => Just(Fault::Error(ErrorKind::InvalidData)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        30 => op().prop_map(Step::Poll),
        14 => any::<bool>().prop_map(|writer_first| Step::Run { writer_first }),
        4 => select(ROLES.to_vec()).prop_map(Step::Drop),
        4 => (1..6_u8).prop_map(Step::Send),
        5 => fault().prop_map(Step::Fault),
        7 => fault().prop_map(Step::UnnoticedFault),
        1 => Just(Step::Heal),
        4 => select(vec![0, 0, 2, 100]).prop_map(Step::Room),
        1 => any::<bool>().prop_map(Step::StallShutdown),
        3 => Just(Step::Reconnect),
        1 => Just(Step::ReconnectNow),
        1 => Just(Step::MarkLost),
        1 => Just(Step::MarkLostNow),
        1 => Just(Step::Close),
        6 => select(vec![1, 9, 100, 480, 1_000, 9_000]).prop_map(Step::Advance),
        14 => (-1..2_i64).prop_map(Step::ToDeadline),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        10 => select(vec![0, 1, 4, 4]).prop_map(Op::Read),
        9 => select(vec![0, 1, 4, 4]).prop_map(Op::Write),
        3 => Just(Op::Flush),
        1 => Just(Op::Shutdown),
        4 => Just(Op::Connected),
    ]
}

impl Rules {
    pub fn policy(&self) -> Policy {
        Policy::default()
            .backoff(self.delays.backoff())
            .max_attempts(self.max_attempts)
            .max_outage(self.max_outage.map(time))
            .stable_after(time(self.stable_after))
            .attempt_timeout(time(self.attempt_timeout))
            .idle_timeout(self.idle_timeout.map(time))
            .eof(self.eof)
    }
}

impl Delays {
    fn backoff(&self) -> Backoff {
        match self {
            Self::Exponential {
                initial,
                factor,
                max,
            } => Backoff::exponential(time(*initial))
                .factor(f64::from(*factor))
                .max(time(*max))
                .jitter(Jitter::None),
            Self::Constant(delay) => Backoff::constant(time(*delay)),
            Self::Listed(delays) => {
                let delays: Vec<_> = delays.iter().copied().map(time).collect();
                Backoff::from_factory(move || delays.clone())
            }
        }
    }

    /// The delay before the attempt after so many; `None` to give up.
    pub fn nth(&self, n: u32) -> Option<Ms> {
        match self {
            Self::Exponential {
                initial,
                factor,
                max,
            } => Some(
                u64::from(*factor)
                    .saturating_pow(n)
                    .saturating_mul(*initial)
                    .min(*max),
            ),
            Self::Constant(delay) => Some(*delay),
            Self::Listed(delays) => delays.get(n as usize).copied(),
        }
    }
}
