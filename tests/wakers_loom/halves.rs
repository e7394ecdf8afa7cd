//! The lock between two halves: a half that finds it taken is woken once it is free, and no change of
//! the value is lost.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use loom::thread;

use super::Task;
use super::half_lock::{Half, HalfLock};
use super::sync::{AtomicU32, Ordering};

/// One poll of a half that counts. True for `Pending`.
fn poll(lock: &HalfLock<AtomicU32>, half: Half, waker: &Waker) -> bool {
    let cx = &mut Context::from_waker(waker);
    // An operation that the model checker sees, so that the other thread runs while the lock is taken.
    let count = |value: &mut AtomicU32, _: &mut Context<'_>| {
        value.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(())
    };
    lock.poll(half, cx, count).is_pending()
}

/// A fault: the half registers another task.
fn poll_for_another_task(lock: &HalfLock<AtomicU32>, half: Half, _: &Waker) -> bool {
    poll(lock, half, Waker::noop())
}

type HalfPoll = fn(&HalfLock<AtomicU32>, Half, &Waker) -> bool;

/// Both halves poll `polls` times; one that is `Pending` is polled again if it is woken.
fn check(polls: u32, poll: HalfPoll) {
    loom::model(move || {
        let lock = Arc::new(HalfLock::new(AtomicU32::new(0)));
        let threads = [Half::Read, Half::Write].map(|half| {
            let lock = Arc::clone(&lock);
            thread::spawn(move || {
                let (task, waker) = Task::new();
                let mut missing = polls;
                while missing > 0 {
                    if !poll(&lock, half, &waker) {
                        missing -= 1;
                    } else if !task.take_woken() {
                        break;
                    }
                }
                (half, task, waker, missing)
            })
        });
        let ended = threads.map(|thread| thread.join().unwrap());
        for (half, task, waker, missing) in &ended {
            if *missing > 0 {
                assert!(task.take_woken(), "a half was left waiting");
                for _ in 0..*missing {
                    assert!(!poll(&lock, *half, waker), "the lock is taken");
                }
            }
        }
        // A half that is not waiting has no waker in the lock.
        for (half, task, ..) in &ended {
            task.take_woken();
            let other = match half {
                Half::Read => Half::Write,
                Half::Write => Half::Read,
            };
            assert!(!poll(&lock, other, Waker::noop()), "the lock is taken");
            assert!(!task.take_woken(), "a half was woken that does not wait");
        }
        let lock = Arc::into_inner(lock).unwrap();
        let counted = lock.into_inner().load(Ordering::Relaxed);
        assert_eq!(counted, 2 * polls + 2);
    });
}

#[test]
fn a_half_that_finds_the_other_one_in_a_poll_is_woken_after_it() {
    check(1, poll);
    check(2, poll);
}

#[test]
#[should_panic(expected = "a half was left waiting")]
fn control_a_half_that_registers_another_task_is_left_waiting() {
    check(1, poll_for_another_task);
}
