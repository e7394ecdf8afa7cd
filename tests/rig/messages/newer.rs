//! Settings and calls that came with the one pump: losses that the application marks, transient
//! messages, messages that are accepted during an outage, and bounds of what is unread.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::Sink;
use reconnecting_stream::{Builder, FramedOptions, OfflineQueue};

use super::super::codec::{Codec, Message};
use super::super::connector::Connector;
use super::super::harness::Rig;
use super::super::random::Random;
use super::super::run::trace;
use super::super::settings::{Offline, Settings};
use super::super::socket::Socket;
use super::client::{Client, Op, PollOutcome};
use super::halves::Halves;
use super::plan::Framed;

type FramedBuilder = Builder<Connector, FramedOptions<Socket, Codec>>;

pub fn vary(settings: &mut Settings, random: &mut Random) {
    settings.offline = random.pick(&[
        Offline::Keep,
        Offline::Keep,
        Offline::Refuse,
        Offline::DropOldest,
    ]);
    settings.keeps_unsent = !random.one_in(4);
    if random.one_in(4) {
        settings.max_unread = (random.pick(&[10, 60, 1 << 20]), random.pick(&[1, 2, 8]));
    }
}

pub fn may_drop(settings: &Settings) -> bool {
    settings.offline == Offline::DropOldest || !settings.keeps_unsent
}

pub fn set(builder: FramedBuilder, settings: &Settings) -> FramedBuilder {
    let (bytes, connections) = settings.max_unread;
    builder
        .offline_queue(match settings.offline {
            Offline::Keep => OfflineQueue::Keep,
            Offline::Refuse => OfflineQueue::Refuse,
            Offline::DropOldest => OfflineQueue::DropOldest,
        })
        .keep_unsent(settings.keeps_unsent)
        .max_unread(bytes)
        .max_unread_connections(usize::try_from(connections).unwrap())
}

/// Loses the connection by a call on the whole.
pub fn lose(rig: &Rig, framed: &mut Framed, marks: bool) {
    trace(|| format!("framed: {}", if marks { "mark_lost" } else { "reconnect" }));
    // The observer may panic.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        if marks {
            rig.harness().note_loss();
            framed.mark_lost(io::Error::other("marked"));
        } else {
            rig.harness().note_command();
            framed.reconnect();
        }
    }));
    rig.harness().panics_due = 0;
}

/// Takes note of how many messages the client says to have dropped.
pub fn note_dropped(rig: &Rig, framed: &Framed) {
    let dropped = usize::try_from(framed.dropped_messages()).unwrap();
    let mut harness = rig.harness();
    harness.sending.said_dropped = dropped;
    if dropped > 0 && !harness.sending.may_drop {
        harness.fail("drop-count: messages were dropped, and no setting says so");
    }
}

/// "Confirming is immediate (`unconfirmed()` counts it)", also by the handle.
pub fn check_unconfirmed(rig: &Rig, framed: &Framed) {
    note_dropped(rig, framed);
    let mut harness = rig.harness();
    let said = framed.unconfirmed();
    let sending = &harness.sending;
    let gone = sending.said_dropped + sending.not_dropped(0..sending.backlog_start());
    let expected = sending.accepted.len().checked_sub(gone);
    if expected != Some(said) {
        harness.fail(format!("unconfirmed: {said} instead of {expected:?}"));
    }
}

impl Client {
    pub fn next_transient(&mut self) -> Option<Op> {
        let is_whole = matches!(self.halves, Halves::Whole(_));
        if !is_whole || !self.random.one_in(5) {
            return None;
        }
        let id = u32::try_from(self.rig.harness().sending.transients.len()).unwrap();
        let len = self.random.pick(&[0, 5, 20]);
        Some(Op::FeedTransient(Message::Transient { id, len }))
    }
}

impl Halves {
    pub fn poll_transient(
        &mut self,
        message: Message,
        rig: &Rig,
        cx: &mut Context<'_>,
    ) -> Poll<PollOutcome> {
        let Self::Whole(framed) = self else {
            unreachable!("only the whole has transient messages");
        };
        let mut framed = Pin::new(framed.as_mut());
        if let Err(error) = ready!(Sink::<Message>::poll_ready(framed.as_mut(), cx)) {
            return Poll::Ready(PollOutcome::Fed(Err(error)));
        }
        let mut harness = rig.harness();
        let generation = harness.live().map(|connection| connection.generation);
        let next = harness.sending.accepted.len();
        harness.sending.transients.push((generation, next));
        drop(harness);
        let fed = framed.start_send_transient(message);
        if fed.is_err() {
            rig.harness().sending.transients.pop();
        }
        Poll::Ready(PollOutcome::Fed(fed))
    }
}
