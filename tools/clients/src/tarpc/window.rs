//! The messages that are kept for another connection.

use std::collections::VecDeque;
use std::time::Instant;

use tarpc::ClientMessage;

/// The messages that were sent and are not confirmed, oldest first, as `ReconnectingFramed` has
/// them.
#[derive(Default)]
pub(super) struct Window(VecDeque<Entry>);

pub(super) struct Entry {
    request_id: u64,
    kind: Kind,
}

#[derive(PartialEq, Eq)]
enum Kind {
    /// A request that waits for its reply until its deadline.
    Request(Instant),
    /// An answered or a canceled request.
    Done,
    /// It ends the wait for the request that it names, and gets no reply.
    Cancel,
}

impl Window {
    pub(super) fn entry<Req>(message: &ClientMessage<Req>) -> Entry {
        let (request_id, kind) = match message {
            ClientMessage::Request(request) => {
                (request.id, Kind::Request(request.context.deadline))
            }
            ClientMessage::Cancel { request_id, .. } => (*request_id, Kind::Cancel),
            _ => (u64::MAX, Kind::Done), // a later tarpc has it, and waits for no reply to it
        };
        Entry { request_id, kind }
    }

    pub(super) fn push(&mut self, entry: Entry) {
        if entry.kind == Kind::Cancel {
            self.answer(entry.request_id);
        }
        self.0.push_back(entry);
    }

    /// Records a reply. Returns whether its request was waiting for one.
    pub(super) fn answer(&mut self, request_id: u64) -> bool {
        let waits =
            |e: &&mut Entry| e.request_id == request_id && matches!(e.kind, Kind::Request(_));
        match self.0.iter_mut().find(waits) {
            Some(entry) => {
                entry.kind = Kind::Done;
                true
            }
            None => false,
        }
    }

    /// Returns how many of the oldest messages need no reply. tarpc has given up requests whose
    /// deadline has passed.
    pub(super) fn done(&self, now: Instant) -> usize {
        let waits = |entry: &Entry| matches!(entry.kind, Kind::Request(deadline) if now < deadline);
        self.0.iter().take_while(|entry| !waits(entry)).count()
    }

    /// Removes the oldest messages, which were confirmed.
    pub(super) fn remove(&mut self, confirmed: usize) {
        self.0.drain(..confirmed.min(self.0.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn requests(ids: impl IntoIterator<Item = u64>, deadline: Instant) -> Window {
        let mut window = Window::default();
        for request_id in ids {
            let kind = Kind::Request(deadline);
            window.push(Entry { request_id, kind });
        }
        window
    }

    fn cancel(request_id: u64) -> Entry {
        let kind = Kind::Cancel;
        Entry { request_id, kind }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_reply_confirms_nothing_that_is_younger_than_an_open_request() {
        let now = Instant::now();
        let mut window = requests([1, 2, 3], now + SECOND);
        assert!(window.answer(2));
        assert_eq!(window.done(now), 0);
        assert!(window.answer(1));
        assert_eq!(window.done(now), 2);
        window.remove(1);
        assert_eq!(window.done(now), 1, "one was not written yet");
    }

    #[test]
    fn a_second_reply_is_none() {
        let mut window = requests([1], Instant::now() + SECOND);
        assert!(window.answer(1));
        assert!(!window.answer(1));
        assert!(!window.answer(7));
    }

    #[test]
    fn a_request_that_is_canceled_or_too_late_needs_no_reply() {
        let now = Instant::now();
        let mut window = requests([1, 2], now + SECOND);
        window.push(cancel(1));
        assert_eq!(window.done(now), 1);
        assert_eq!(window.done(now + SECOND), 3);
        assert!(!window.answer(1));
        assert!(window.answer(2));
        assert_eq!(window.done(now), 3);
    }
}
