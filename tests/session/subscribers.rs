//! Subscribers of `tracing` that panic.

use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{NoSubscriber, set_default};
use tracing::{Dispatch, Event, Metadata, Subscriber};

use crate::support::{Server, options};

/// A subscriber that panics at each line of this text.
pub(crate) struct Panics {
    text: &'static str,
    count: Arc<AtomicUsize>,
}

/// With one subscriber alone, `tracing` asks that of the thread that meets a line first, and another
/// test's thread has none: the line would be off for this one, too.
static OTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::new()));

impl Panics {
    /// Returns it, and how often it has panicked.
    pub(crate) fn at(text: &'static str) -> (Self, Arc<AtomicUsize>) {
        LazyLock::force(&OTHER);
        let count = Arc::new(AtomicUsize::new(0));
        let subscriber = Self {
            text,
            count: Arc::clone(&count),
        };
        (subscriber, count)
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl Subscriber for Panics {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        if line.0 == self.text {
            self.count.fetch_add(1, Ordering::SeqCst);
            panic!("of a subscriber, as the test wants it");
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_that_panics_at_each_line_of_a_session_takes_nothing_from_it() {
    for text in ["attached", "detached", "session complete"] {
        let (subscriber, count) = Panics::at(text);
        let _guard = set_default(subscriber);
        let (server, mut streams) = Server::new(options());
        let (mut client, mut accepted) = server.begin(&mut streams).await;
        server.cut();
        client.write_all(b"x").await.unwrap();
        let read = timeout(Duration::from_secs(60), accepted.read_u8()).await;
        assert_eq!(read.expect(text).unwrap(), b'x');
        let (one, other) = tokio::join!(client.shutdown(), accepted.shutdown());
        one.and(other).unwrap();
        drop((client, accepted));
        sleep(Duration::from_secs(5)).await;
        assert!(
            (1..=4).contains(&count.load(Ordering::SeqCst)),
            "{text}: {count:?}"
        );
    }
}
