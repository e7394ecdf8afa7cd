//! Counts what happens, for the [`metrics`](::metrics) facade.

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

/// An observer of a stream that counts for the [`metrics`](::metrics) facade.
///
/// Every metric has a label `stream`, which is the name given to [`new`](Self::new).
///
/// | name | kind | what it counts |
/// |---|---|---|
/// | `reconnecting_stream_losses_total` | counter | [`Event::Lost`]: connections that were lost, those that a reconnect was asked for included |
/// | `reconnecting_stream_attempts_total` | counter | attempts that have ended, well or badly. Not among them: the one attempt of `connect`, of which no event tells, and one that was cut off by a close or a drop |
/// | `reconnecting_stream_attempts_failed_total` | counter | [`Event::AttemptFailed`]: attempts that have failed or timed out |
/// | `reconnecting_stream_connections_total` | counter | [`Event::Connected`]: connections, the first one included |
/// | `reconnecting_stream_given_up_total` | counter | [`Event::GaveUp`]: outages that have ended without a connection |
/// | `reconnecting_stream_connected` | gauge | how many streams of this name have a connection: 1 or 0 if there is one of them. A stream that is closed or dropped has none |
/// | `reconnecting_stream_outage_seconds` | histogram, s | how long a stream was without a connection: from a loss to the next connection, or to giving up. One that dies young ends it, too, and its loss begins the next |
///
/// One value for each loss is in the histogram, unless the stream was closed or dropped before
/// its end. What precedes the first connection, and what follows a giving up, is no part of it.
///
/// The counters and the gauge are there, with 0, as soon as the observer is. The recorder is looked
/// up at each event: one that is installed later is used from then on, but has no descriptions.
/// Without one nothing is counted.
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
/// Streams that share a name share its gauge by being given clones:
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

/// What the stream has, as far as the events have told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Connectivity {
    /// No connection, and no loss that it could be measured from.
    Idle,
    Connected,
    /// A connection was lost just now.
    Lost,
    /// A connection was lost when its outage had lasted this long.
    Down {
        since: Duration,
    },
}

impl Metrics {
    /// For a stream of this name.
    pub fn new(name: impl Into<String>) -> Self {
        let metrics = Self {
            name: name.into().into(),
            connected: Arc::default(),
            state: Connectivity::Idle,
        };
        metrics.describe();
        metrics
    }

    /// Counts an event; to be called by the observer of one stream, with each.
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

    /// Only the first delay after a loss tells how long the outage had lasted at the loss.
    fn retry(&mut self, downtime: Duration) {
        if self.state == Connectivity::Lost {
            self.enter(Connectivity::Down { since: downtime });
        }
    }

    fn end_outage(&self, downtime: Duration) {
        let length = match self.state {
            Connectivity::Down { since } => downtime.saturating_sub(since),
            // Given up at the moment of the loss.
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

    /// The lock is held until the gauge is set, so that two streams don't overtake each other.
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

/// Of the same name, for another stream.
impl Clone for Metrics {
    fn clone(&self) -> Self {
        Self {
            name: Arc::clone(&self.name),
            connected: Arc::clone(&self.connected),
            state: Connectivity::Idle,
        }
    }
}

/// A stream that is dropped with its connection tells nobody.
impl Drop for Metrics {
    fn drop(&mut self) {
        self.enter(Connectivity::Idle);
    }
}
