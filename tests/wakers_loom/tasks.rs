//! The lock of many tasks: one that finds it taken is woken once it is free, whatever the task that
//! had it does next.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use loom::thread;

use super::Task;
use super::lock::{PollLock, Ticket};
use super::sync::{AtomicU32, Ordering};

/// Like a link: each poll makes a step, and it is ready after two. Nothing else wakes a task.
fn poll(lock: &PollLock<AtomicU32>, ticket: &Ticket, waker: &Waker) -> bool {
    let step = |steps: &mut AtomicU32, cx: &mut Context<'_>| {
        if steps.fetch_add(1, Ordering::Relaxed) > 0 {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        // An operation that the model checker sees, so that the other task comes after the wake-up
        // and finds the lock taken.
        steps.load(Ordering::Relaxed);
        Poll::Pending
    };
    lock.poll(ticket, &Context::from_waker(waker), step)
        .is_pending()
}

/// A fault: the task registers another one.
fn poll_for_another_task(lock: &PollLock<AtomicU32>, ticket: &Ticket, _: &Waker) -> bool {
    poll(lock, ticket, Waker::noop())
}

type TaskPoll = fn(&PollLock<AtomicU32>, &Ticket, &Waker) -> bool;

/// Two tasks poll, each as often as it is woken. The one that `stops` does not poll again.
fn check(stops: bool, poll: TaskPoll) {
    loom::model(move || {
        let lock = Arc::new(PollLock::new(AtomicU32::new(0), |_| {}));
        let other = Arc::clone(&lock);
        let stopped = thread::spawn(move || {
            let (task, waker) = Task::new();
            let ticket = other.ticket();
            let mut is_pending = poll(&other, &ticket, &waker);
            while !stops && is_pending && task.take_woken() {
                is_pending = poll(&other, &ticket, &waker);
            }
        });
        let (task, waker) = Task::new();
        let ticket = lock.ticket();
        let mut is_pending = poll(&lock, &ticket, &waker);
        stopped.join().unwrap();
        while is_pending {
            assert!(task.take_woken(), "a task was left waiting");
            is_pending = poll(&lock, &ticket, &waker);
        }
    });
}

#[test]
fn a_task_that_finds_another_one_in_a_poll_is_woken_after_it() {
    check(false, poll);
}

#[test]
fn a_task_continues_though_the_one_that_polled_before_stopped() {
    check(true, poll);
}

#[test]
#[should_panic(expected = "a task was left waiting")]
fn control_a_task_that_registers_another_one_is_left_waiting() {
    check(true, poll_for_another_task);
}

/// Polls once, and returns how many requests were executed before it.
fn executed(lock: &PollLock<AtomicU32>) -> u32 {
    let count = |executed: &mut AtomicU32, _: &mut Context<'_>| {
        Poll::Ready(executed.load(Ordering::Relaxed))
    };
    match lock.poll(&lock.ticket(), &Context::from_waker(Waker::noop()), count) {
        Poll::Ready(executed) => executed,
        Poll::Pending => 0,
    }
}

#[test]
fn a_request_that_meets_a_poll_is_executed_when_both_are_over() {
    loom::model(|| {
        let execute = |executed: &mut AtomicU32| {
            executed.fetch_add(1, Ordering::Relaxed);
        };
        let lock = Arc::new(PollLock::new(AtomicU32::new(0), execute));
        let other = Arc::clone(&lock);
        let request = thread::spawn(move || other.request());
        executed(&lock);
        request.join().unwrap();
        assert!(executed(&lock) > 0, "a request was left");
    });
}
