//! Random histories of a `SendBuffer` beside its model, and what each connection was sent.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;

use super::config;
use super::messages::{Arrived, message, parse, unconfirmed};
use super::messages_model::Model;
use crate::framed::send_buffer::{Durability, Resend, SendBuffer};

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Accepts a message, if there is room.
    Push(Durability, usize),
    /// Accepts one without asking for room, as a sink whose link has changed after `poll_ready`.
    PushUnasked(usize),
    PushFailing(usize),
    PushPanicking(usize),
    /// The connection takes this much of what is unwritten, in parts of 256.
    Take(u8),
    /// The connection takes everything, and is flushed.
    Flush,
    Begin,
    End {
        keeps_unsent: bool,
    },
    /// Confirms this many more than are confirmed.
    Confirm(u64),
    DropOldest,
    Block(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let len = || prop_oneof![1 => Just(0_usize), 8 => 3..20_usize];
    let keeps = prop::bool::weighted(0.7);
    let step = prop_oneof![
        8 => len().prop_map(|len| Step::Push(Durability::Durable, len)),
        4 => len().prop_map(|len| Step::Push(Durability::Transient, len)),
        1 => len().prop_map(Step::PushUnasked),
        1 => len().prop_map(Step::PushFailing),
        1 => len().prop_map(Step::PushPanicking),
        8 => any::<u8>().prop_map(Step::Take),
        3 => Just(Step::Flush),
        4 => Just(Step::Begin),
        2 => keeps.prop_map(|keeps_unsent| Step::End { keeps_unsent }),
        3 => (0..4_u64).prop_map(Step::Confirm),
        2 => Just(Step::DropOldest),
        1 => any::<bool>().prop_map(Step::Block),
    ];
    vec(step, 1..80)
}

fn resend() -> impl Strategy<Value = Resend> {
    prop_oneof![
        Just(Resend::Torn),
        (0..80_usize).prop_map(unconfirmed),
        Just(unconfirmed(1 << 20)),
    ]
}

/// A buffer, its model, and what every connection was sent.
struct History {
    resend: Resend,
    buffer: SendBuffer,
    model: Model,
    is_blocked: bool,
    /// The numbers of the messages that were accepted and have bytes.
    durable: Vec<u16>,
    transient: Vec<u16>,
    accepted: u16,
    /// What the current connection was sent.
    wire: Vec<u8>,
    /// The oldest message that was not confirmed when this connection took its first byte.
    first: Option<u16>,
    connections: Vec<Arrived>,
}

impl History {
    fn new(resend: Resend, max_queued: usize) -> Self {
        Self {
            resend,
            buffer: SendBuffer::new(resend, max_queued),
            model: Model::new(resend, max_queued),
            is_blocked: true,
            durable: Vec::new(),
            transient: Vec::new(),
            accepted: 0,
            wire: Vec::new(),
            first: None,
            connections: Vec::new(),
        }
    }

    fn run(&mut self, step: Step) {
        let is_connected = self.model.is_connected;
        match step {
            // Without a connection it is dropped before it comes here.
            Step::Push(Durability::Transient, _) if !is_connected => {}
            Step::Push(durability, len) if self.model.has_room(durability) => {
                self.push(durability, len);
            }
            Step::Push(..) => {}
            Step::PushUnasked(len) => self.push(Durability::Durable, len),
            Step::PushFailing(len) => self.push_failing(len),
            Step::PushPanicking(len) => self.push_panicking(len),
            Step::Take(part) if is_connected => {
                let unwritten = self.buffer.unwritten().len();
                self.take((unwritten * usize::from(part)).div_ceil(256));
            }
            Step::Flush if is_connected => self.flush(),
            Step::Begin if !is_connected => {
                self.buffer.begin_connection();
                self.model.begin_connection();
            }
            Step::End { keeps_unsent } if is_connected => self.end(keeps_unsent),
            Step::DropOldest if !is_connected => {
                self.buffer.drop_oldest_above_limit();
                self.model.drop_oldest_above_limit();
            }
            Step::Confirm(more) => {
                let seq = self.buffer.confirmed_seq() + more;
                self.buffer.confirm_up_to(seq);
                self.model.confirm_up_to(seq);
            }
            Step::Block(is_blocked) => {
                self.buffer.set_blocked(is_blocked);
                self.is_blocked = is_blocked;
            }
            Step::Take(_) | Step::Flush | Step::Begin | Step::End { .. } | Step::DropOldest => {}
        }
        self.check();
    }

    fn push(&mut self, durability: Durability, len: usize) {
        let number = self.accepted;
        self.accepted += 1;
        let encode = |bytes: &mut BytesMut| {
            bytes.extend_from_slice(&message(number, len));
            Ok::<(), ()>(())
        };
        self.buffer.push(durability, encode).unwrap();
        self.model.push(durability, number, len);
        if len > 0 {
            match durability {
                Durability::Durable => self.durable.push(number),
                Durability::Transient => self.transient.push(number),
            }
        }
    }

    fn push_failing(&mut self, len: usize) {
        let encode = |bytes: &mut BytesMut| {
            bytes.extend_from_slice(&message(u16::MAX, len));
            Err(len)
        };
        assert_eq!(self.buffer.push(Durability::Durable, encode), Err(len));
    }

    fn push_panicking(&mut self, len: usize) {
        let pushed = catch_unwind(AssertUnwindSafe(|| {
            self.buffer.push::<()>(Durability::Durable, |bytes| {
                bytes.extend_from_slice(&message(u16::MAX, len));
                resume_unwind(Box::new("a panic of the encoder"))
            })
        }));
        assert!(pushed.is_err());
    }

    fn take(&mut self, n: usize) {
        if n == 0 {
            return;
        }
        if self.wire.is_empty() {
            self.first = self.model.oldest_unconfirmed();
        }
        self.wire.extend_from_slice(&self.buffer.unwritten()[..n]);
        self.buffer.advance(n);
        self.model.advance(n);
    }

    fn flush(&mut self) {
        self.take(self.buffer.unwritten().len());
        self.buffer.on_flushed();
        self.model.on_flushed();
        self.check();
        assert!(self.buffer.is_flushed() && !self.buffer.has_backlog());
    }

    fn end(&mut self, keeps_unsent: bool) {
        self.buffer.end_connection(keeps_unsent);
        self.model.end_connection(keeps_unsent);
        let arrived = parse(&std::mem::take(&mut self.wire));
        self.check_arrived(&arrived);
        self.connections.push(arrived);
    }

    /// Compares everything that the buffer says with the model.
    fn check(&self) {
        let (buffer, model) = (&self.buffer, &self.model);
        assert_eq!(buffer.unwritten(), model.unwritten());
        for durability in [Durability::Durable, Durability::Transient] {
            assert_eq!(
                buffer.has_room(durability),
                model.has_room(durability),
                "{durability:?}"
            );
        }
        let may_push = !self.is_blocked && model.has_room(Durability::Durable);
        assert_eq!(buffer.may_push(), may_push);
        let unconfirmed = buffer.unconfirmed(buffer.confirmed_seq());
        assert_eq!(unconfirmed, model.unconfirmed());
        assert_eq!(buffer.sent_seq(), model.sent_seq);
        assert_eq!(buffer.confirmed_seq(), model.confirmed);
        assert_eq!(buffer.is_flushed(), model.is_flushed());
        assert_eq!(buffer.has_backlog(), model.has_backlog());
        assert_eq!(buffer.dropped(), model.dropped.len() as u64);
        if model.is_connected {
            assert_eq!(buffer.written_range(), model.written_range());
        }
    }

    /// Checks what a connection was sent against what was accepted and dropped, without the model.
    fn check_arrived(&self, arrived: &Arrived) {
        let is_lasting = |number: &&u16| self.durable.contains(number);
        let (durable, transient): (Vec<_>, Vec<_>) = arrived.whole.iter().partition(is_lasting);
        let is_sorted = arrived.whole.windows(2).all(|pair| pair[0] < pair[1]);
        assert!(is_sorted, "reordered, or twice: {arrived:?}");
        for earlier in &self.connections {
            let is_again = |number: &u16| earlier.whole.contains(number);
            assert!(!transient.iter().any(is_again), "a transient one again");
            let is_torn = self.resend == Resend::Torn;
            assert!(!is_torn || !durable.iter().any(is_again), "taken twice");
        }
        let (Some(&first), Some(&last)) = (durable.first(), durable.last()) else {
            return;
        };
        let is_between = |number: &&u16| (first..=last).contains(*number);
        let live = self.durable.iter().filter(is_between);
        let live = live.filter(|number| !self.model.dropped.contains(number));
        assert_eq!(durable, live.copied().collect::<Vec<_>>(), "a gap");
        if let Some(expected) = self.first {
            assert_eq!(first, expected, "it begins with the oldest unconfirmed one");
        }
    }

    /// The last connection takes everything. Then no message is missing.
    fn finish(mut self) {
        self.run(Step::Begin);
        self.run(Step::Flush);
        self.run(Step::End { keeps_unsent: true });
        for number in self.durable {
            let mut connections = self.connections.iter();
            let is_sent = connections.any(|arrived| arrived.whole.contains(&number));
            let is_dropped = self.model.dropped.contains(&number);
            assert!(is_sent != is_dropped, "{number} is sent or dropped");
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_connection_is_sent_whole_messages_in_order_and_none_is_missing(
        resend in resend(),
        max_queued in prop_oneof![0..60_usize, Just(1 << 20)],
        steps in steps(),
    ) {
        let mut history = History::new(resend, max_queued);
        for step in steps {
            history.run(step);
        }
        history.finish();
    }
}
