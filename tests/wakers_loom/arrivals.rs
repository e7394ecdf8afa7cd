//! Data that arrives while the halves poll and begin to wait.

use std::task::{Context, Poll};

use super::*;
use crate::readiness::Readiness;
use crate::sync::Mutex;

/// A connection: it keeps the last waker that it was given for its reading direction.
#[derive(Default)]
struct Connection {
    has_data: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Connection {
    fn bring(&self) {
        self.has_data.store(true, Ordering::Release);
        let waker = self.waker.lock().unwrap().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn poll_read(&self, cx: &Context<'_>) -> Poll<()> {
        *self.waker.lock().unwrap() = Some(cx.waker().clone());
        if self.has_data.load(Ordering::Acquire) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

/// Polls the reading direction, if it may be ready, as the pump does. True if it found data.
fn pump(connection: &Connection, readiness: &Readiness) -> bool {
    if !readiness.read().is_ready() {
        return false;
    }
    readiness.read().clear();
    let found = connection.poll_read(&readiness.context()).is_ready();
    if found {
        readiness.read().set();
    }
    found
}

/// A fault: forgets that the direction was ready after the poll instead of before it.
fn pump_clearing_late(connection: &Connection, readiness: &Readiness) -> bool {
    let found = connection.poll_read(&readiness.context()).is_ready();
    if !found {
        readiness.read().clear();
    }
    found
}

/// Decides whether a task waits for the connection.
type Waits = fn(&mut Owner, Role, &Waker, &Readiness) -> bool;

fn waits(owner: &mut Owner, role: Role, waker: &Waker, readiness: &Readiness) -> bool {
    owner.waits(role, waker, || readiness.read().is_ready())
}

fn waits_unseen(owner: &mut Owner, role: Role, waker: &Waker, readiness: &Readiness) -> bool {
    owner.waits_unseen(role, waker, || readiness.read().is_ready())
}

fn check_arrival_meets_halves(pump: fn(&Connection, &Readiness) -> bool, waits: Waits) {
    loom::model(move || {
        let mut owner = Owner::default();
        let connection = Arc::new(Connection::default());
        let readiness = Readiness::new(owner.guard.waker());
        readiness.set();
        let (reader, read_waker) = Task::new();
        let (writer, write_waker) = Task::new();

        let remote = Arc::clone(&connection);
        let peer = thread::spawn(move || remote.bring());
        // The writer reads ahead, and then both wait; the reader finds the direction not ready.
        let found = pump(&connection, &readiness);
        let writer_waits = !found && waits(&mut owner, Role::Write, &write_waker, &readiness);
        let found = found || pump(&connection, &readiness);
        let reader_waits = !found && waits(&mut owner, Role::Read, &read_waker, &readiness);
        peer.join().unwrap();

        let is_missed = !found && !readiness.read().is_ready();
        assert!(!is_missed, "the data would not be read");
        let is_stranded = (reader_waits && !reader.take_woken())
            || (!found && writer_waits && !writer.take_woken());
        assert!(!is_stranded, "a half was stranded");
    });
}

#[test]
fn data_that_arrives_while_a_half_polls_is_found_or_wakes_both_halves() {
    check_arrival_meets_halves(pump, waits);
}

#[test]
#[should_panic(expected = "the data would not be read")]
fn control_a_direction_that_is_cleared_late_is_never_read() {
    check_arrival_meets_halves(pump_clearing_late, waits);
}

#[test]
#[should_panic(expected = "a half was stranded")]
fn control_a_half_that_checks_before_it_registers_misses_the_data() {
    check_arrival_meets_halves(pump, waits_unseen);
}
