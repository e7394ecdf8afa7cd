//! An observer that writes down the events and the state that a handle sees at each.

use std::sync::{Arc, Mutex, OnceLock};

use reconnecting_stream::{Event, Handle, State};

#[derive(Clone, Default)]
pub struct Recorder(Arc<Inner>);

#[derive(Default)]
struct Inner {
    handle: OnceLock<Handle>,
    names: Mutex<Vec<&'static str>>,
    states: Mutex<Vec<(&'static str, State)>>,
    panics_at: Mutex<Vec<&'static str>>,
}

impl Recorder {
    pub fn new() -> Self {
        Self::default()
    }

    /// The observer panics at every event of this name, after it has recorded it.
    pub fn panic_at(&self, name: &'static str) -> &Self {
        self.0.panics_at.lock().unwrap().push(name);
        self
    }

    pub fn stop_panicking(&self) {
        self.0.panics_at.lock().unwrap().clear();
    }

    /// From here on the state is recorded, too.
    pub fn watch(&self, handle: Handle) {
        assert!(self.0.handle.set(handle).is_ok());
    }

    pub fn observer(&self) -> impl FnMut(&Event) + Send + Sync + use<> {
        let this = self.clone();
        move |event| this.record(event)
    }

    fn record(&self, event: &Event) {
        let name = match event {
            Event::Lost { .. } => "lost",
            Event::Retrying { .. } => "retrying",
            Event::AttemptFailed { .. } => "failed",
            Event::Connected { .. } => "connected",
            Event::GaveUp { .. } => "gave up",
            Event::Closed { .. } => "closed",
            other => unreachable!("{other:?}"),
        };
        self.0.names.lock().unwrap().push(name);
        if let Some(handle) = self.0.handle.get() {
            self.0.states.lock().unwrap().push((name, handle.state()));
        }
        let panics = self.0.panics_at.lock().unwrap().contains(&name);
        assert!(!panics, "scripted");
    }

    /// The events since the last call.
    pub fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.0.names.lock().unwrap())
    }

    /// The events and the states at them since the last call.
    pub fn take_states(&self) -> Vec<(&'static str, State)> {
        std::mem::take(&mut self.0.states.lock().unwrap())
    }
}
