//! Random histories of a `RecvQueue`: what comes, in which order, and what the limits cost.

use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;

use super::batches::{Batches, frame};
use super::recv_queue::{Got, Queue, lose, next, queue, read};
use super::{config, lost};
use crate::framed::send_buffer::WrittenRange;

/// The items of the end of a stream, apart from those of frames.
const AT_EOF: [u8; 2] = [240, 241];

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A connection begins, with this many bytes that were read with its handshake.
    Begin(usize),
    /// This many bytes arrive.
    Arrive(usize),
    /// The reader polls this often.
    Poll(usize),
    /// The connection is lost, perhaps after the end of its stream was read.
    Lose { has_ended: bool },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => prop_oneof![Just(0), 0..20_usize].prop_map(Step::Begin),
        5 => (1..20_usize).prop_map(Step::Arrive),
        4 => (1..8_usize).prop_map(Step::Poll),
        2 => any::<bool>().prop_map(|has_ended| Step::Lose { has_ended }),
    ];
    vec(step, 1..60)
}

/// What one connection has brought, and what the reader got of it.
#[derive(Debug, Default)]
struct Brought {
    bytes: Vec<u8>,
    got: Vec<u8>,
    /// What its seam says, once the reader has got it.
    dropped: Option<u64>,
}

impl Brought {
    /// The peer sends frames of one to four items, which count up.
    fn arrive(&mut self, n: usize) -> Vec<u8> {
        let start = self.bytes.len();
        let stream = (0..).flat_map(|i: u8| frame(&[i % 200, 1, 2, 3][..usize::from(i % 4 + 1)]));
        self.bytes = stream.take(start + n).collect();
        self.bytes[start..].to_vec()
    }

    /// Returns the items of the whole frames, and where each frame ends.
    fn frames(&self) -> Vec<(Vec<u8>, usize)> {
        let (mut frames, mut start) = (Vec::new(), 0);
        while let Some(&len) = self.bytes.get(start) {
            let end = start + 1 + usize::from(len);
            if end > self.bytes.len() {
                break;
            }
            frames.push((self.bytes[start + 1..end].to_vec(), end));
            start = end;
        }
        frames
    }

    fn items(&self) -> Vec<u8> {
        let frames = self.frames().into_iter();
        frames.flat_map(|(items, _)| items).collect()
    }

    /// Returns how many bytes the decoder has taken, since the reader got its items.
    fn taken(&self) -> usize {
        let (mut items, mut taken) = (0, 0);
        for (frame, end) in self.frames() {
            if items < self.got.len() {
                taken = end;
            }
            items += frame.len();
        }
        taken
    }

    fn waiting(&self) -> usize {
        self.bytes.len() - self.taken()
    }

    /// Checks a connection whose seam the reader has got.
    fn check(&self) {
        let (items, dropped) = (self.items(), self.dropped.expect("the seam has come"));
        assert_eq!(self.got, items[..self.got.len()]);
        let is_dropped = dropped == self.waiting() as u64;
        assert!(
            is_dropped || (dropped == 0 && self.got == items),
            "{dropped} bytes are dropped of {self:?}"
        );
    }
}

struct History {
    queue: Queue,
    limits: (usize, usize),
    connections: Vec<Brought>,
    is_connected: bool,
    /// The connection whose items the reader gets.
    reader: usize,
    /// More waited than the limits allow.
    was_exceeded: bool,
}

impl History {
    fn new(limits: (usize, usize)) -> Self {
        Self {
            queue: queue(limits.0, limits.1),
            limits,
            connections: Vec::new(),
            is_connected: false,
            reader: 0,
            was_exceeded: false,
        }
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Begin(n) if !self.is_connected => self.begin(n),
            Step::Arrive(n) if self.is_connected => {
                let bytes = self.current().arrive(n);
                read(&mut self.queue, &bytes);
            }
            Step::Poll(n) => {
                for _ in 0..n {
                    self.poll();
                }
            }
            Step::Lose { has_ended } if self.is_connected => self.lose(has_ended),
            Step::Begin(_) | Step::Arrive(_) | Step::Lose { .. } => {}
        }
    }

    fn current(&mut self) -> &mut Brought {
        self.connections.last_mut().expect("a connection")
    }

    fn begin(&mut self, n: usize) {
        self.connections.push(Brought::default());
        let bytes = BytesMut::from(&self.current().arrive(n)[..]);
        let codec = Batches::with_eof(&AT_EOF, true);
        self.queue.begin_connection(codec, bytes);
        self.is_connected = true;
        self.note_waiting();
    }

    fn lose(&mut self, has_ended: bool) {
        if has_ended {
            self.queue.current_mut().expect("a connection").on_end();
        }
        lose(&mut self.queue, self.connections.len() as u64);
        self.is_connected = false;
        self.note_waiting();
    }

    fn note_waiting(&mut self) {
        let waiting = &self.connections[self.reader..];
        let bytes: usize = waiting.iter().map(Brought::waiting).sum();
        let (max_bytes, max_connections) = self.limits;
        self.was_exceeded |= bytes > max_bytes || waiting.len() > max_connections;
    }

    /// The reader polls. Returns false if there is nothing for it.
    fn poll(&mut self) -> bool {
        match next(&mut self.queue, |_| {}) {
            Got::Item(item) => self.connections[self.reader].got.push(item),
            Got::Seam(generation, dropped) => {
                assert_eq!(generation, self.reader as u64 + 1, "one seam after another");
                let connection = &mut self.connections[self.reader];
                connection.dropped = Some(dropped);
                connection.check();
                assert!(self.was_exceeded || dropped == 0, "there was room");
                self.reader += 1;
            }
            Got::Nothing => return false,
            got => panic!("{got:?} was not expected"),
        }
        true
    }

    /// Returns how many bytes and connections wait that are gone.
    fn waiting(&mut self) -> (usize, usize) {
        let before: Vec<_> = self.connections.iter().map(Brought::waiting).collect();
        while self.poll() {}
        let after = self.connections.iter().map(Brought::waiting);
        let came = before.into_iter().zip(after);
        let came = came.map(|(before, after)| before - after);
        let came = came.filter(|&bytes| bytes > 0);
        came.fold((0, 0), |(sum, n), bytes| (sum + bytes, n + 1))
    }

    /// Every connection is gone, and the reader gets the rest.
    fn finish(mut self) {
        self.run(Step::Lose { has_ended: false });
        let (bytes, connections) = self.waiting();
        assert!(bytes <= self.limits.0, "{bytes} bytes waited");
        let most = self.limits.1.max(1);
        assert!(connections <= most, "{connections} connections waited");
        assert_eq!(self.reader, self.connections.len());
        assert!(self.queue.is_empty() && !self.queue.has_more());
        if !self.was_exceeded {
            for connection in self.connections {
                assert_eq!(connection.got, connection.items());
            }
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_reader_gets_every_item_in_its_place_or_its_seam_says_what_was_dropped(
        max_bytes in prop_oneof![Just(1 << 20), 0..60_usize],
        max_connections in prop_oneof![Just(100), 0..4_usize],
        steps in steps(),
    ) {
        let mut history = History::new((max_bytes, max_connections));
        for step in steps {
            history.run(step);
        }
        history.finish();
    }

    #[test]
    fn the_end_of_the_last_connection_comes_after_everything(
        steps in steps(),
        is_lost: bool,
    ) {
        let mut history = History::new((1 << 20, 100));
        for step in steps {
            history.run(step);
        }
        history.run(Step::Begin(7));
        history.queue.current_mut().unwrap().on_end();
        let last = history.connections.len() as u64;
        let loss = is_lost.then(|| lost(last));
        history.queue.end_connection(loss, WrittenRange::default());
        let mut got = Vec::new();
        while history.reader + 1 < history.connections.len() {
            assert!(history.poll());
        }
        while got.last() != Some(&Got::Nothing) {
            got.push(next(&mut history.queue, |_| {}));
        }
        let connection = &history.connections[history.reader];
        let rest = connection.items().split_off(connection.got.len());
        let mut expected: Vec<_> = rest.into_iter().map(Got::Item).collect();
        if is_lost {
            expected.push(Got::Seam(last, 0));
        } else {
            expected.extend(AT_EOF.map(Got::Item));
            expected.push(Got::Error("the end is torn".into()));
        }
        expected.push(Got::Nothing);
        prop_assert_eq!(got, expected);
    }
}
