//! What sessions count for the [`metrics`](::metrics) facade. Without the feature they count nothing.
//!
//! A recorder is foreign code: none of these functions is called under a lock, and if it panics, that
//! takes nothing from the session.

use super::protocol::{Outcome, Reason};
use super::shared::{End, Session};

const LIVE: &str = "reconnecting_stream_sessions";
const DETACHED: &str = "reconnecting_stream_sessions_detached";
const RESUMED: &str = "reconnecting_stream_sessions_resumed_total";
const ENDED: &str = "reconnecting_stream_sessions_ended_total";
const REFUSED: &str = "reconnecting_stream_handshakes_refused_total";
const REPLAYED: &str = "reconnecting_stream_replayed_bytes_total";
const WINDOW_FULL: &str = "reconnecting_stream_window_full_total";

/// A label: its name and its value.
type Label = (&'static str, &'static str);

/// What one session counts. The driver says what happens to it.
#[derive(Debug)]
pub(super) struct Counts {
    /// Which end of the session counts.
    end: &'static Label,
    connection: LastConnection,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LastConnection {
    /// The session is not counted yet.
    Uncounted,
    /// There was none.
    Never,
    Attached,
    Detached,
}

impl Counts {
    pub(super) fn new(session: &Session) -> Self {
        Self {
            end: label(&session.lock().end),
            connection: LastConnection::Uncounted,
        }
    }

    /// Counts a session that has begun. A server's session begins with the first frame of its client:
    /// until then it is provisional, and its client may have begun another one. Nothing else is counted
    /// before.
    pub(super) fn begin(&mut self, session: &Session) {
        if self.connection != LastConnection::Uncounted {
            return;
        }
        let next = {
            let inner = session.lock();
            match &inner.end {
                End::Dialer(_) => LastConnection::Never,
                End::Acceptor(acceptor) if !acceptor.core.is_confirmed() => return,
                End::Acceptor(acceptor) if acceptor.core.epoch().is_some() => {
                    LastConnection::Attached
                }
                End::Acceptor(_) => LastConnection::Detached,
            }
        };
        // First, so that a recorder that panics is not called again.
        self.connection = LastConnection::Never;
        facade::describe();
        facade::move_gauge(LIVE, *self.end, 1.0);
        self.enter(next);
    }

    /// A connection is attached, on which so many bytes are sent again.
    pub(super) fn attached(&mut self, replayed: u64) {
        if self.connection == LastConnection::Uncounted {
            return;
        }
        if self.connection != LastConnection::Never {
            facade::count(RESUMED, &[*self.end], 1);
            facade::count(REPLAYED, &[*self.end], replayed);
        }
        self.enter(LastConnection::Attached);
    }

    /// There is no connection.
    pub(super) fn detached(&mut self) {
        if self.connection == LastConnection::Attached {
            self.enter(LastConnection::Detached);
        }
    }

    /// The session has ended. It is called once, and last.
    pub(super) fn ended(&mut self, outcome: Option<Outcome>) {
        if self.connection == LastConnection::Uncounted {
            return;
        }
        self.enter(LastConnection::Never);
        facade::move_gauge(LIVE, *self.end, -1.0);
        let outcome = match outcome {
            Some(Outcome::Lost(reason)) => name(reason),
            Some(Outcome::Complete) | None => "complete",
        };
        facade::count(ENDED, &[*self.end, ("outcome", outcome)], 1);
    }

    fn enter(&mut self, next: LastConnection) {
        let is_detached = |connection| f64::from(u8::from(connection == LastConnection::Detached));
        let delta = is_detached(next) - is_detached(self.connection);
        if delta != 0.0 {
            facade::move_gauge(DETACHED, *self.end, delta);
        }
        self.connection = next;
    }
}

/// A write waits, because the send buffer is full.
pub(super) fn window_full(end: &'static Label) {
    facade::count(WINDOW_FULL, &[*end], 1);
}

/// A server has refused a handshake.
pub(super) fn refused(is_busy: bool) {
    let reason = if is_busy { "busy" } else { "rejected" };
    facade::count(REFUSED, &[("reason", reason)], 1);
}

/// Returns the label `end` of this end.
pub(super) const fn label(end: &End) -> &'static Label {
    match end {
        End::Dialer(_) => &("end", "client"),
        End::Acceptor(_) => &("end", "server"),
    }
}

const fn name(reason: Reason) -> &'static str {
    match reason {
        Reason::Expired => "expired",
        Reason::Rejected => "rejected",
        Reason::PeerReset => "peer_reset",
        Reason::Desynchronized => "desynchronized",
        Reason::Superseded => "superseded",
        Reason::Evicted => "evicted",
        Reason::Closed => "closed",
    }
}

#[cfg(feature = "metrics")]
mod facade {
    use std::sync::Once;

    use metrics::{counter, describe_counter, describe_gauge, gauge};

    use super::{DETACHED, ENDED, LIVE, Label, REFUSED, REPLAYED, RESUMED, WINDOW_FULL};
    use crate::session::report::guarded;

    const COUNTERS: [(&str, &str); 5] = [
        (RESUMED, "Connections that have resumed a session."),
        (ENDED, "Sessions that have ended."),
        (REFUSED, "Handshakes that a server has refused."),
        (REPLAYED, "Bytes that were sent again."),
        (WINDOW_FULL, "Writes that had to wait."),
    ];

    /// Describes the metrics to the recorder that is there at the first session.
    pub(super) fn describe() {
        static DESCRIBED: Once = Once::new();
        DESCRIBED.call_once(|| {
            guarded(describe_all);
        });
    }

    fn describe_all() {
        for (name, description) in COUNTERS {
            describe_counter!(name, description);
        }
        describe_gauge!(LIVE, "Sessions that have not ended.");
        describe_gauge!(DETACHED, "Sessions that have lost their connection.");
    }

    pub(super) fn count(name: &'static str, labels: &[Label], n: u64) {
        guarded(|| counter!(name, to_labels(labels)).increment(n));
    }

    fn to_labels(labels: &[Label]) -> Vec<metrics::Label> {
        let labels = labels.iter();
        let made = labels.map(|(key, value)| metrics::Label::from_static_parts(key, value));
        made.collect()
    }

    pub(super) fn move_gauge(name: &'static str, end: Label, delta: f64) {
        guarded(|| gauge!(name, to_labels(&[end])).increment(delta));
    }
}

#[cfg(not(feature = "metrics"))]
mod facade {
    use super::Label;

    pub(super) const fn describe() {}

    pub(super) const fn count(_name: &str, _labels: &[Label], _n: u64) {}

    pub(super) const fn move_gauge(_name: &str, _end: Label, _delta: f64) {}
}
