//! A task that is at one operation at a time.

use super::task::Task;

/// A task, and whether it runs without having been woken: after its operation has begun.
pub struct Actor<O> {
    pub task: Task,
    pub op: Option<O>,
    pub is_runnable: bool,
    /// It has got a final answer, or its half is gone.
    pub is_stopped: bool,
}

impl<O> Actor<O> {
    pub fn new() -> Self {
        Self {
            task: Task::default(),
            op: None,
            is_runnable: false,
            is_stopped: false,
        }
    }

    pub fn begin(&mut self, op: O) {
        self.op = Some(op);
        self.is_runnable = true;
    }

    pub fn cancel(&mut self) {
        self.op = None;
        self.is_runnable = false;
        self.task.cancel();
    }

    pub fn is_due(&self) -> bool {
        self.op.is_some() && (self.is_runnable || self.task.is_woken())
    }

    pub fn is_pending(&self) -> bool {
        self.op.is_some() && !self.is_due()
    }
}
