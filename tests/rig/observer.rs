//! What the events may be.

use std::io::ErrorKind;
use std::panic::resume_unwind;
use std::sync::Arc;

use reconnecting_stream::Event;

use super::harness::{Harness, IDLE, Rig};

/// Returns an observer that takes note of every event, and may panic after it.
pub fn observer(rig: &Arc<Rig>) -> impl FnMut(&Event) + Send + Sync + 'static {
    let rig = Arc::clone(rig);
    move |event| {
        let mut harness = rig.harness();
        harness.observe(event);
        let may_panic = harness.observer_panics && !harness.is_healthy;
        if may_panic && harness.random.one_in(8) {
            harness.panics_due += 1;
            harness.stats.observer_panics += 1;
            drop(harness);
            resume_unwind(Box::new("the observer"));
        }
    }
}

impl Harness {
    fn observe(&mut self, event: &Event) {
        match event {
            Event::Connected { generation, .. } => self.install(*generation),
            Event::Lost { cause, .. } => {
                let silence = self.silent_since.map(|since| since.elapsed());
                // What arrives during the very poll that ends the wait may come too late.
                let is_early = silence.is_none_or(|silence| silence < IDLE)
                    && self.checks_epochs
                    && self.last_arrival < self.epoch;
                if cause.kind() == ErrorKind::InvalidData {
                    self.undecoded = Some(self.epoch);
                }
                let is_idle = cause.kind() == ErrorKind::TimedOut;
                self.stats.idle_losses += u64::from(is_idle);
                if is_idle && is_early {
                    self.fail(format!(
                        "idle-early: a loss after {silence:?} without a byte"
                    ));
                }
            }
            Event::Retrying { .. } if self.is_permanent => {
                self.fail("permanent: another attempt follows an error that is permanent");
            }
            Event::GaveUp { .. } => {
                self.stats.gave_up += 1;
                self.is_permanent = false;
            }
            Event::Closed { .. } => self.is_permanent = false,
            _ => {}
        }
    }
}
