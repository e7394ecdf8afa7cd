//! An observer that counts events for the [`metrics`](::metrics) facade.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram};
use metrics::{gauge, histogram};

use crate::link::Event;

const LOSSES: &str = "reconnecting_stream_losses_total";
const ATTEMPTS: &str = "reconnecting_stream_attempts_total";
const ATTEMPTS_FAILED: &str = "reconnecting_stream_attempts_failed_total";
const CONNECTIONS: &str = "reconnecting_stream_connections_total";
const GIVEN_UP: &str = "reconnecting_stream_given_up_total";
const CONNECTED: &str = "reconnecting_stream_connected";
const OUTAGE: &str = "reconnecting_stream_outage_seconds";

const COUNTERS: [(&str, &str); 5] = [
    (LOSSES, "Connections that were lost."),
    (ATTEMPTS, "Attempts to connect that have ended."),
    (ATTEMPTS_FAILED, "Attempts to connect that have failed."),
    (CONNECTIONS, "Connections that were made."),
    (GIVEN_UP, "Outages that have ended without a connection."),
];

/// An observer of a stream that counts events for the [`metrics`](::metrics) facade.
///
/// Every metric has a label `stream`, which is the name given to [`new`](Self::new).
///
/// | name | kind | what it counts |
/// |---|---|---|
/// | `reconnecting_stream_losses_total` | counter | [`Event::Lost`]: lost connections, including those replaced by a requested reconnect |
/// | `reconnecting_stream_attempts_total` | counter | attempts that have succeeded or failed. It does not count the one attempt of `connect`, which has no event, nor an attempt that was cancelled by a close or a drop |
/// | `reconnecting_stream_attempts_failed_total` | counter | [`Event::AttemptFailed`]: attempts that have failed or timed out |
/// | `reconnecting_stream_connections_total` | counter | [`Event::Connected`]: connections, the first one included |
/// | `reconnecting_stream_given_up_total` | counter | [`Event::GaveUp`]: outages that have ended without a connection |
/// | `reconnecting_stream_connected` | gauge | the number of streams of this name that have a connection: 1 or 0 for a single stream. A stream that is closed or dropped has none |
/// | `reconnecting_stream_outage_seconds` | histogram, s | how long a stream was without a connection: from a loss to the next connection or to giving up. A connection that dies before it is stable also ends the time, and its loss starts the next |
///
/// The histogram gets one value for each loss, unless the stream was closed or dropped before the
/// next connection. The time before the first connection and the time after giving up are not
/// included.
///
/// `new` registers the counters and the gauge with 0. The recorder is looked up at each event. A
/// recorder that is installed later is used from then on, but gets no descriptions. Without a
/// recorder the observer counts nothing.
///
/// # Examples
///
/// ```
/// use reconnecting_stream::{Event, Metrics, ReconnectingStream};
/// use tokio::net::TcpStream;
///
/// let mut metrics = Metrics::new("orders-db");
/// let stream = ReconnectingStream::builder(|| TcpStream::connect("127.0.0.1:5432"))
///     .on_event(move |event: &Event| metrics.record(event))
///     .lazy();
/// # let _ = stream;
/// ```
///
/// Streams that share a name need clones of one observer, which share its gauge:
///
/// ```
/// use reconnecting_stream::{Event, Metrics, ReconnectingStream};
/// use tokio::net::TcpStream;
///
/// let metrics = Metrics::new("orders-db");
/// let pool = [(); 8].map(|()| {
///     let mut metrics = metrics.clone();
///     ReconnectingStream::builder(|| TcpStream::connect("127.0.0.1:5432"))
///         .on_event(move |event: &Event| metrics.record(event))
///         .lazy()
/// });
/// # let _ = pool;
/// ```
#[derive(Debug)]
pub struct Metrics {
    name: Arc<str>,
    connected: Arc<Mutex<u32>>,
    state: Connectivity,
}

/// The connectivity of the stream according to its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Connectivity {
    /// There is no connection, and no loss to measure an outage from.
    Idle,
    Connected,
    /// A connection was lost, and the first `Retrying` has not followed.
    Lost,
    /// The stream reconnects after a loss.
    Down {
        /// How long the outage had lasted at the loss.
        since: Duration,
    },
}

impl Metrics {
    /// Returns an observer for a stream of this name.
    pub fn new(name: impl Into<String>) -> Self {
        let metrics = Self {
            name: name.into().into(),
            connected: Arc::default(),
            state: Connectivity::Idle,
        };
        metrics.describe();
        metrics
    }

    /// Counts an event. Call this with each event of one stream.
    pub fn record(&mut self, event: &Event) {
        match event {
            Event::Lost { .. } => {
                self.count(LOSSES, 1);
                self.enter(Connectivity::Lost);
            }
            Event::Retrying { downtime, .. } => self.retry(*downtime),
            Event::AttemptFailed { .. } => {
                self.count(ATTEMPTS, 1);
                self.count(ATTEMPTS_FAILED, 1);
            }
            Event::Connected {
                attempts, downtime, ..
            } => {
                self.count(ATTEMPTS, u64::from(*attempts > 0));
                self.count(CONNECTIONS, 1);
                self.end_outage(*downtime);
                self.enter(Connectivity::Connected);
            }
            Event::GaveUp { outage, .. } => {
                self.count(GIVEN_UP, 1);
                self.end_outage(*outage);
                self.enter(Connectivity::Idle);
            }
            Event::Closed {} => self.enter(Connectivity::Idle),
        }
    }

    /// Stores the downtime at the loss, which only the first delay after it reports.
    fn retry(&mut self, downtime: Duration) {
        if self.state == Connectivity::Lost {
            self.enter(Connectivity::Down { since: downtime });
        }
    }

    fn end_outage(&self, downtime: Duration) {
        let length = match self.state {
            Connectivity::Down { since } => downtime.saturating_sub(since),
            // The stream gave up immediately after the loss.
            Connectivity::Lost => Duration::ZERO,
            Connectivity::Idle | Connectivity::Connected => return,
        };
        histogram!(OUTAGE, "stream" => self.label()).record(length);
    }

    fn enter(&mut self, next: Connectivity) {
        let (before, after) = (self.state, next);
        self.state = next;
        self.move_gauge(
            before == Connectivity::Connected,
            after == Connectivity::Connected,
        );
    }

    /// Counts the stream in or out. The lock is kept until the gauge is set, so that two streams set
    /// it in the order of their changes.
    fn move_gauge(&self, was_connected: bool, is_connected: bool) {
        if was_connected == is_connected {
            return;
        }
        let mut connected = self
            .connected
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *connected = if is_connected {
            connected.saturating_add(1)
        } else {
            connected.saturating_sub(1)
        };
        gauge!(CONNECTED, "stream" => self.label()).set(*connected);
    }

    fn count(&self, name: &'static str, n: u64) {
        counter!(name, "stream" => self.label()).increment(n);
    }

    fn label(&self) -> metrics::SharedString {
        Arc::clone(&self.name).into()
    }

    fn describe(&self) {
        for (name, description) in COUNTERS {
            describe_counter!(name, Unit::Count, description);
            self.count(name, 0);
        }
        describe_gauge!(CONNECTED, Unit::Count, "Streams that have a connection.");
        gauge!(CONNECTED, "stream" => self.label()).set(0);
        describe_histogram!(
            OUTAGE,
            Unit::Seconds,
            "How long a stream was without a connection."
        );
    }
}

/// Returns an observer of the same name for another stream.
impl Clone for Metrics {
    fn clone(&self) -> Self {
        Self {
            name: Arc::clone(&self.name),
            connected: Arc::clone(&self.connected),
            state: Connectivity::Idle,
        }
    }
}

/// Decrements the gauge, because a stream that is dropped with its connection emits no event.
impl Drop for Metrics {
    fn drop(&mut self) {
        self.enter(Connectivity::Idle);
    }
}
