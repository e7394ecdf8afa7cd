//! What a recorder has counted.

use std::collections::BTreeMap;

use metrics::with_local_recorder;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use tokio::runtime::Runtime;

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}

/// Runs a history with a recorder, and says what was counted under the name "db" by its end.
pub(crate) fn count(history: impl Future<Output = ()>) -> Counted {
    let recorder = DebuggingRecorder::new();
    with_local_recorder(&recorder, || runtime().block_on(history));
    Counted::of(&recorder.snapshotter())
}

#[derive(Debug, Default, PartialEq)]
pub(crate) struct Counted {
    pub(crate) numbers: BTreeMap<String, f64>,
    /// In seconds, from the shortest to the longest.
    pub(crate) outages: Vec<f64>,
}

impl Counted {
    /// What was counted since the last snapshot; one that was taken before sets a gauge to zero.
    pub(crate) fn of(snapshotter: &Snapshotter) -> Self {
        let mut counted = Self::default();
        for (key, _, _, value) in snapshotter.snapshot().into_vec() {
            let labels: Vec<_> = key.key().labels().collect();
            assert_eq!(labels, [&metrics::Label::new("stream", "db")]);
            let name = key.key().name().strip_prefix("reconnecting_stream_");
            let name = name.unwrap().to_owned();
            match value {
                DebugValue::Counter(n) => {
                    let n = u32::try_from(n).unwrap();
                    counted.numbers.insert(name, n.into());
                }
                DebugValue::Gauge(n) => {
                    counted.numbers.insert(name, n.into_inner());
                }
                DebugValue::Histogram(values) => {
                    assert_eq!(name, "outage_seconds");
                    counted.outages = values.into_iter().map(f64::from).collect();
                    counted.outages.sort_by(f64::total_cmp);
                }
            }
        }
        counted
    }

    pub(crate) fn number(&self, name: &str) -> f64 {
        self.numbers[name]
    }
}

pub(crate) fn numbers(all: [(&str, u32); 6]) -> BTreeMap<String, f64> {
    all.map(|(name, n)| (name.to_owned(), n.into())).into()
}
