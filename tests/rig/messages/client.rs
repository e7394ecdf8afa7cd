//! The client: two tasks that are polled by hand.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;

use futures::stream::StreamExt;
use tokio::time::Instant;

use super::super::actor::Actor;
use super::super::codec::{CodecError, Item, Message};
use super::super::harness::Rig;
use super::super::random::Random;
use super::super::run::{Failure, trace};
use super::super::settings::Stats;
use super::super::task::WakerWasDropped;
use super::halves::Halves;
use super::newer;
use super::plan::Plan;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Reader,
    Writer,
}

/// What a task is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Next,
    Connected,
    /// Waits for room, accepts the message, and flushes it if it is to be sent.
    Feed {
        message: Message,
        flushes: bool,
    },
    /// Waits for room, and accepts a message that belongs to this connection alone.
    FeedTransient(Message),
    Flush,
    Close,
}

pub struct Client {
    pub rig: Arc<Rig>,
    pub plan: Plan,
    pub random: Random,
    pub halves: Halves,
    pub reader: Actor<Op>,
    pub writer: Actor<Op>,
    pub steps: u64,
    /// The number of the next message.
    pub next_id: u32,
    /// The message that a `SplitSink` holds back.
    pub slot: Option<Message>,
    pub close_returned: bool,
    /// A close has given up, and may be called again.
    pub close_gave_up: bool,
    /// Answers were counted through the handle, and the sink was not polled since.
    pub has_pending_answers: bool,
    /// A read waits since then.
    pub waits_since: Option<Instant>,
}

/// What a poll has answered.
#[derive(Debug)]
pub enum PollOutcome {
    Item(Option<Result<Item, CodecError>>),
    Generation(std::io::Result<u64>),
    Fed(Result<(), CodecError>),
    Panicked,
    Flushed(Result<(), CodecError>),
    Closed(Result<(), CodecError>),
}

impl Client {
    pub fn new(plan: Plan, mut random: Random) -> Self {
        let rig = Rig::new(plan.settings, Random::new(random.next()));
        let framed = plan.build(&rig);
        let _ = rig.handle.set(framed.handle());
        let _ = rig.confirmations.set(framed.confirm_handle());
        let halves = if plan.is_split {
            let (sink, stream) = framed.split();
            Halves::Split(Some(sink), Some(stream))
        } else {
            Halves::Whole(Box::new(framed))
        };
        Self {
            rig,
            plan,
            random,
            halves,
            reader: Actor::new(),
            writer: Actor::new(),
            steps: 0,
            next_id: 0,
            slot: None,
            close_returned: false,
            close_gave_up: false,
            has_pending_answers: false,
            waits_since: None,
        }
    }

    pub fn actor(&mut self, role: Role) -> &mut Actor<Op> {
        match role {
            Role::Reader => &mut self.reader,
            Role::Writer => &mut self.writer,
        }
    }

    /// Polls one task once.
    pub fn poll(&mut self, role: Role) {
        self.rig.harness().epoch += 1;
        let (halves, rig) = (&mut self.halves, &self.rig);
        let actor = match role {
            Role::Reader => &mut self.reader,
            Role::Writer => &mut self.writer,
        };
        actor.is_runnable = false;
        let Some(op) = actor.op else { return };
        trace(|| format!("{role:?} polls {op:?}"));
        let (task, is_inherent) = (&mut actor.task, self.plan.is_inherent);
        let polled = catch_unwind(AssertUnwindSafe(|| {
            task.poll(|cx| halves.poll(op, is_inherent, rig, cx))
        }));
        let polled = polled.unwrap_or(Ok(Poll::Ready(PollOutcome::Panicked)));
        trace(|| format!("{role:?} {op:?}: {polled:?}"));
        if let Halves::Whole(framed) = &self.halves {
            newer::note_dropped(&self.rig, framed);
        }
        let is_pending = polled.as_ref().is_ok_and(Poll::is_pending);
        if role == Role::Writer {
            // A `SplitSink` that holds nothing back does not poll the sink to get ready.
            self.has_pending_answers &= !(is_pending || matches!(op, Op::Flush | Op::Close));
        } else {
            // A read that is polled too late waits from then on.
            self.waits_since = is_pending.then(Instant::now);
        }
        match polled {
            Ok(Poll::Pending) => {}
            Ok(Poll::Ready(answer)) => {
                actor.op = None;
                self.take(op, answer);
                self.rig.harness().check_surfaced();
            }
            Err(WakerWasDropped) => {
                let why = format!("waker: {op:?} is Pending, and its waker was dropped");
                self.rig.harness().fail(why);
            }
        }
    }

    /// Polls the tasks that were woken until none is.
    pub fn run(&mut self) {
        let mut polls = 0;
        let before = self.rig.harness().reading.delivered;
        loop {
            let role = match (self.reader.is_due(), self.writer.is_due()) {
                (false, false) => return,
                (true, false) => Role::Reader,
                (false, true) => Role::Writer,
                (true, true) => self.random.pick(&[Role::Reader, Role::Writer]),
            };
            self.poll(role);
            polls += 1;
            let delivered = self.rig.harness().reading.delivered - before;
            if polls > 300 + 2 * delivered || self.rig.harness().violation().is_some() {
                self.rig
                    .harness()
                    .fail(format!("busy: {polls} polls without an event"));
                return;
            }
        }
    }

    pub fn stats(&self) -> Stats {
        let harness = self.rig.harness();
        Stats {
            histories: 1,
            steps: self.steps,
            items: harness.reading.delivered,
            messages: harness.sending.accepted.len() as u64,
            dropped: harness.sending.said_dropped as u64,
            dropped_bytes: harness.reading.unread.said(),
            closed_again: u64::from(self.close_gave_up && self.close_returned),
            ..harness.stats
        }
    }

    pub fn check(&mut self) -> Result<(), Failure> {
        if self.rig.harness().violation().is_none() && self.all_wait() {
            self.check_waiting();
        }
        if let Halves::Whole(framed) = &self.halves {
            newer::check_unconfirmed(&self.rig, framed);
        }
        self.rig.harness().check_read_ahead();
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

    pub fn all_wait(&self) -> bool {
        !self.reader.is_due() && !self.writer.is_due()
    }
}
