//! A timer or an attempt that fires on another thread.

use super::*;

/// A timer or an attempt that fires on a thread of its own.
struct Timer {
    is_over: AtomicBool,
    shared: Arc<Shared>,
}

impl Timer {
    fn of(owner: &Owner) -> Arc<Self> {
        Arc::new(Self {
            is_over: AtomicBool::new(false),
            shared: owner.guard.share(),
        })
    }

    fn fire(&self) {
        self.is_over.store(true, Ordering::Release);
        self.shared.wake_all();
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }
}

/// `slot` is where the writer's waker goes: a single slot for both halves is the fault that every
/// comparable crate has.
fn check_timer_meets_halves(slot: Role) {
    loom::model(move || {
        let mut owner = Owner::default();
        let timer = Timer::of(&owner);
        let (_left, first) = Task::new();
        let (moved, second) = Task::new();
        let (writer, other) = Task::new();
        assert!(owner.waits(Role::Read, &first, || timer.is_over()));
        assert!(owner.waits(slot, &other, || timer.is_over()));

        let remote = Arc::clone(&timer);
        let clock = thread::spawn(move || remote.fire());
        // The reader has moved to another task, which polls it.
        let moved_waits = owner.waits(Role::Read, &second, || timer.is_over());
        clock.join().unwrap();

        assert!(writer.take_woken(), "the other half was not woken");
        let is_stranded = moved_waits && !moved.take_woken();
        assert!(!is_stranded, "a half that moved was not woken");
    });
}

#[test]
fn a_timer_wakes_every_half_whichever_waker_it_registered_last() {
    check_timer_meets_halves(Role::Write);
}

#[test]
#[should_panic(expected = "the other half was not woken")]
fn control_a_single_slot_strands_the_other_half() {
    check_timer_meets_halves(Role::Read);
}
