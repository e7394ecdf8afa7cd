//! Random histories of a whole `Core`: the peer replies to every message, and the replies are
//! counted whenever the reader comes to them.

use std::task::Waker;

use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;

use super::batches::{Batches, frame};
use super::messages::{parse, push, take, unconfirmed};
use super::{config, lost};
use crate::framed::confirm::ConfirmHandle;
use crate::framed::connector::ReadParts;
use crate::framed::core::{Core, Options};
use crate::framed::recv_buffer::Received;
use crate::framed::send_buffer::Durability;

/// The numbers of all messages.
const DURABLE: u16 = 1;
const TRANSIENT: u16 = 2;

#[derive(Clone, Copy, Debug)]
enum Step {
    Push(Durability),
    /// The connection takes this many bytes.
    Take(usize),
    /// The peer replies to a message, if there is one without a reply.
    Reply,
    /// The reader polls once, and counts the item as this many replies.
    Read(usize),
    /// The peer says that it has this many more.
    Confirm(usize),
    Begin,
    Lose,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Push(Durability::Durable)),
        1 => Just(Step::Push(Durability::Transient)),
        5 => prop_oneof![1..12_usize, Just(10)].prop_map(Step::Take),
        6 => Just(Step::Reply),
        8 => prop_oneof![4 => Just(1_usize), 1 => Just(0), 1 => Just(3)].prop_map(Step::Read),
        1 => (1..3_usize).prop_map(Step::Confirm),
        3 => Just(Step::Begin),
        1 => Just(Step::Lose),
    ];
    vec(step, 1..120)
}

/// What was written to a connection, and what came back.
#[derive(Debug, Default)]
struct Connection {
    /// How many were confirmed when it took its first byte.
    start: Option<u64>,
    wire: Vec<u8>,
    /// How many durable messages it has taken whole.
    taken: u64,
    replies: u64,
    counted: u64,
}

struct History {
    core: Core<Batches>,
    confirmations: ConfirmHandle,
    keeps_unsent: bool,
    connections: Vec<Connection>,
    is_connected: bool,
    accepted: u64,
    /// How many messages some connection has taken whole.
    sent: u64,
    confirmed: u64,
}

impl History {
    fn new(keeps_unsent: bool) -> Self {
        let core = Core::new(Options {
            resend: unconfirmed(usize::MAX),
            keeps_unsent,
            ..Options::default()
        });
        let confirmations = ConfirmHandle::new(core.confirms.pending(), Waker::noop().clone());
        Self {
            core,
            confirmations,
            keeps_unsent,
            connections: Vec::new(),
            is_connected: false,
            accepted: 0,
            sent: 0,
            confirmed: 0,
        }
    }

    fn current(&mut self) -> &mut Connection {
        self.connections.last_mut().expect("a connection")
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Push(Durability::Durable) => {
                push(&mut self.core.send, Durability::Durable, DURABLE, 10);
                self.accepted += 1;
            }
            Step::Push(Durability::Transient) if self.is_connected => {
                push(&mut self.core.send, Durability::Transient, TRANSIENT, 4);
            }
            Step::Take(n) if self.is_connected => self.take(n),
            Step::Reply if self.is_connected => self.reply(),
            Step::Read(n) => self.read(n),
            Step::Confirm(n) => {
                self.confirmations.confirm(n);
                self.confirmed = self.sent.min(self.confirmed + n as u64);
            }
            Step::Begin if !self.is_connected => self.begin(),
            Step::Lose if self.is_connected => {
                let generation = self.connections.len() as u64;
                self.core.end_connection(Some(lost(generation)));
                self.is_connected = false;
            }
            Step::Push(_) | Step::Take(_) | Step::Reply | Step::Begin | Step::Lose => {}
        }
        self.check();
    }

    fn begin(&mut self) {
        self.connections.push(Connection::default());
        let new = ReadParts {
            codec: Batches::default(),
            read: BytesMut::new(),
        };
        let generation = self.connections.len() as u64;
        self.core.begin_connection(generation, new);
        self.is_connected = true;
    }

    fn take(&mut self, n: usize) {
        // The pump applies what is pending before it writes.
        self.core.apply_confirms();
        let n = n.min(self.core.send.unwritten().len());
        if n == 0 {
            return;
        }
        let confirmed = self.confirmed;
        let start = *self.current().start.get_or_insert(confirmed);
        let taken = take(&mut self.core.send, n);
        let connection = self.current();
        connection.wire.extend(taken);
        let whole = parse(&connection.wire).whole;
        let is_lasting = |number: &&u16| **number == DURABLE;
        connection.taken = whole.iter().filter(is_lasting).count() as u64;
        let sent = start + connection.taken;
        self.sent = self.sent.max(sent);
    }

    fn reply(&mut self) {
        let connection = self.current();
        if connection.replies < connection.taken {
            connection.replies += 1;
            let number = u8::try_from(self.connections.len()).expect("few connections");
            let buffer = self.core.recv.current_mut().expect("a connection");
            buffer.room().extend_from_slice(&frame(&[number]));
            buffer.on_read();
        }
    }

    /// An item says from which connection it came.
    fn read(&mut self, counted: usize) {
        let core = &mut self.core;
        let received = if core.recv.is_up_to_date() {
            core.recv.next_current()
        } else {
            let (confirms, send) = (&mut core.confirms, &mut core.send);
            core.recv.next(|written| confirms.move_to(written, send))
        };
        let Received::Item(item) = received else {
            return;
        };
        // What is pending of the other kind comes first.
        core.apply_confirms();
        self.confirmations.confirm_replies(counted);
        let connection = &mut self.connections[usize::from(item.expect("an item")) - 1];
        connection.counted = connection.taken.min(connection.counted + counted as u64);
        let start = connection.start.expect("a message was written to it");
        if counted > 0 {
            self.confirmed = self.confirmed.max(start + connection.counted);
        }
        self.check();
        self.core.apply_confirms();
    }

    fn check(&self) {
        let unconfirmed = self.accepted - self.core.send.dropped() - self.confirmed;
        assert_eq!(self.core.unconfirmed() as u64, unconfirmed);
        assert!(!self.keeps_unsent || self.core.send.dropped() == 0);
    }

    /// The peer replies to everything, and everything is confirmed.
    fn finish(mut self) {
        self.run(Step::Begin);
        self.run(Step::Take(usize::MAX));
        for _ in 0..self.current().taken {
            self.run(Step::Reply);
        }
        while self.core.recv.has_more() {
            self.run(Step::Read(1));
        }
        if self.current().counted == self.current().taken {
            assert_eq!(self.core.unconfirmed(), 0);
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn replies_confirm_what_was_written_to_their_connection_and_nothing_else(
        keeps_unsent: bool,
        steps in steps(),
    ) {
        let mut history = History::new(keeps_unsent);
        for step in steps {
            history.run(step);
        }
        history.finish();
    }
}
