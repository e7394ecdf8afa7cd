//! What is logged. By itself, since the log is global to a process.

mod support;

use std::io::ErrorKind;
use std::sync::{Arc, Mutex};

use std::fmt::Debug;
use std::time::Duration;

use reconnecting_stream::{Backoff, Policy, ReconnectingStream};
use support::{Fault, Network, Outcome};
use tokio::io::AsyncWriteExt;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Level, Metadata, Subscriber};

/// Writes down every line of this crate.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<Line>>>);

struct Line {
    level: Level,
    message: String,
    /// Their names.
    fields: Vec<&'static str>,
}

impl Lines {
    fn of(&self, level: Level) -> Vec<String> {
        let lines = self.0.lock().unwrap();
        let of_level = lines.iter().filter(|line| line.level == level);
        of_level.map(|line| line.message.clone()).collect()
    }

    fn take(&self) -> Vec<String> {
        let lines = std::mem::take(&mut *self.0.lock().unwrap());
        let with_fields = |line: Line| {
            let fields = line.fields.join(" ");
            format!("{} {}: {fields}", line.level, line.message)
        };
        lines.into_iter().map(with_fields).collect()
    }
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "reconnecting_stream"
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        assert_eq!(span.metadata().name(), "reconnecting_stream");
        assert!(span.metadata().fields().field("stream").is_some());
        assert!(span.is_root(), "the span it is made in can end before it");
        Id::from_u64(7)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        assert_eq!(
            event.parent(),
            Some(&Id::from_u64(7)),
            "in the stream's span"
        );
        let mut message = Message(String::new());
        event.record(&mut message);
        let names = event.metadata().fields().iter().map(|field| field.name());
        self.0.lock().unwrap().push(Line {
            level: *event.metadata().level(),
            message: message.0,
            fields: names.filter(|&name| name != "message").collect(),
        });
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// How many lines of each level a long outage makes.
#[tokio::test(start_paused = true)]
async fn an_outage_is_one_info_one_warning_and_one_error() {
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    let network = Network::new();
    network
        .script([Outcome::Accepts])
        .otherwise(Outcome::Refuses(ErrorKind::ConnectionRefused));
    let mut stream = ReconnectingStream::connect(network.connector())
        .await
        .unwrap();
    network.peer(1).reset();
    stream.write_all(b"x").await.unwrap_err();

    assert_eq!(lines.of(Level::INFO), ["connected", "connection lost"]);
    assert_eq!(lines.of(Level::WARN), ["the outage continues"]);
    assert_eq!(lines.of(Level::ERROR), ["gave up"]);
    assert_eq!(lines.of(Level::DEBUG).len(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_accepts_and_resets_for_long_is_one_warning() {
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    let network = Network::new();
    network.otherwise(Outcome::AcceptsThen(Fault::Reset));
    let mut stream = ReconnectingStream::builder(network.connector()).lazy();
    stream.write_all(b"x").await.unwrap_err();
    assert_eq!(network.connections(), 100);
    assert_eq!(lines.of(Level::WARN), ["the outage continues"]);
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_a_single_long_wait_is_one_warning() {
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    let network = Network::new();
    let hour = Duration::from_secs(3600);
    let mut stream = ReconnectingStream::builder(network.connector())
        .policy(Policy::default().backoff(Backoff::constant(hour)))
        .connect()
        .await
        .unwrap();
    network.peer(1).reset();
    stream.write_all(b"x").await.unwrap();
    assert_eq!(lines.of(Level::WARN), ["the outage continues"]);
}

#[tokio::test(start_paused = true)]
async fn every_line_of_the_log_has_its_fields() {
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    let network = Network::new();
    network
        .script([Outcome::Accepts])
        .otherwise(Outcome::Refuses(ErrorKind::ConnectionRefused));
    let policy = Policy::default().backoff(Backoff::constant(Duration::from_secs(60)));
    let mut stream = ReconnectingStream::builder(network.connector())
        .policy(policy.max_attempts(1))
        .connect()
        .await
        .unwrap();
    network.peer(1).reset();
    stream.write_all(b"x").await.unwrap_err();
    stream.handle().close();
    stream.write_all(b"x").await.unwrap_err();
    assert_eq!(
        lines.take(),
        [
            "INFO connected: generation attempts downtime",
            "INFO connection lost: generation cause uptime",
            "DEBUG will retry: attempt delay downtime",
            "WARN the outage continues: attempts downtime",
            "DEBUG attempt failed: attempt error downtime",
            "ERROR gave up: attempts outage last_error",
            "DEBUG closed: ",
        ]
    );
}
