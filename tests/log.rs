//! What is logged. By itself, since the log is global to a process.

mod support;

use std::io::ErrorKind;
use std::sync::{Arc, Mutex};

use reconnecting_stream::ReconnectingStream;
use std::fmt::Debug;
use support::{Network, Outcome};
use tokio::io::AsyncWriteExt;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Level, Metadata, Subscriber};

/// Writes down the level and the message of every line of this crate.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<(Level, String)>>>);

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
        self.0
            .lock()
            .unwrap()
            .push((*event.metadata().level(), message.0));
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

    let lines = lines.0.lock().unwrap();
    let of = |level| -> Vec<&str> {
        lines
            .iter()
            .filter(|line| line.0 == level)
            .map(|line| &*line.1)
            .collect()
    };
    assert_eq!(of(Level::INFO), ["connected", "connection lost"]);
    assert_eq!(of(Level::WARN), ["still without a connection"]);
    assert_eq!(of(Level::ERROR), ["gave up"]);
    assert_eq!(of(Level::DEBUG).len(), 200);
}
