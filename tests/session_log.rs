//! What a session logs. By itself, since the log is global to a process.
#![cfg(all(feature = "net", feature = "session"))]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reconnecting_stream::{
    Accepted, Backoff, Policy, ResumableStream, SessionId, SessionOptions, Sessions,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::sync::mpsc;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};

/// Writes down the lines of sessions, with the span in which each of them was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Written>>);

#[derive(Default)]
struct Written {
    /// The value that the field `id` of each span had last, by the number of the span.
    ids: BTreeMap<u64, Option<String>>,
    entered: Vec<u64>,
    /// The number of a span, and a line.
    lines: Vec<(u64, String)>,
}

impl Log {
    /// Returns the lines in the spans of this session, each span by itself.
    fn of(&self, id: SessionId) -> Vec<Vec<String>> {
        let written = self.0.lock().unwrap();
        let mut spans = BTreeMap::<u64, Vec<String>>::new();
        for (span, line) in &written.lines {
            if written.ids[span] == Some(id.to_string()) {
                spans.entry(*span).or_default().push(line.clone());
            }
        }
        spans.into_values().collect()
    }
}

#[derive(Default)]
struct Fields(Vec<(&'static str, String)>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.push((field.name(), format!("{value:?}")));
    }
}

impl Fields {
    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(field, _)| *field == name)?;
        Some(self.0.remove(at).1)
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "reconnecting_stream"
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        assert!(span.is_root(), "the span it is made in can end before it");
        let mut fields = Fields::default();
        span.record(&mut fields);
        let ids = &mut self.0.lock().unwrap().ids;
        let span = ids.len() as u64 + 1;
        ids.insert(span, fields.take("id"));
        Id::from_u64(span)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let mut fields = Fields::default();
        values.record(&mut fields);
        let ids = &mut self.0.lock().unwrap().ids;
        ids.insert(span.into_u64(), fields.take("id"));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let message = fields.take("message").unwrap();
        let mut line = format!("{} {message}", event.metadata().level());
        for (name, value) in fields.0 {
            // The link's own fields are those of every stream.
            if !matches!(name, "uptime" | "downtime" | "delay") {
                line += &format!(" {name}={value}");
            }
        }
        let mut written = self.0.lock().unwrap();
        let explicit = event.parent().map(Id::into_u64);
        if let Some(span) = explicit.or(written.entered.last().copied()) {
            written.lines.push((span, line));
        }
    }

    fn enter(&self, span: &Id) {
        self.0.lock().unwrap().entered.push(span.into_u64());
    }

    fn exit(&self, _: &Id) {
        self.0.lock().unwrap().entered.pop();
    }
}

/// A session whose connections the test drops, by sending to the channel.
struct Ends {
    client: ResumableStream,
    server: ResumableStream,
    cut: mpsc::UnboundedSender<()>,
}

async fn begin() -> Ends {
    let sessions = Sessions::new(SessionOptions::new());
    let (cut, cuts) = mpsc::unbounded_channel::<()>();
    let cuts = Arc::new(tokio::sync::Mutex::new(cuts));
    let (sender, mut accepted) = mpsc::unbounded_channel();
    let connector = move || {
        let (client, mut near) = duplex(4096);
        let (mut far, server) = duplex(4096);
        let (cuts, sessions, sender) = (cuts.clone(), sessions.clone(), sender.clone());
        tokio::spawn(async move {
            let mut cuts = cuts.lock().await;
            tokio::select! {
                biased;
                _ = cuts.recv() => {}
                _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
            }
        });
        tokio::spawn(async move {
            if let Ok(Accepted::New(stream)) = sessions.accept(server).await {
                let _ = sender.send(stream);
            }
        });
        async { io::Result::Ok(client) }
    };
    let client = ResumableStream::builder(connector)
        .policy(Policy::default().backoff(Backoff::constant(Duration::from_secs(1))))
        .connect()
        .await
        .unwrap();
    let server = accepted.recv().await.unwrap();
    Ends {
        client,
        server,
        cut,
    }
}

#[tokio::test(start_paused = true)]
async fn each_end_of_a_session_logs_its_connections_and_its_end_in_a_span_with_its_id() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let Ends {
        mut client,
        mut server,
        cut,
    } = begin().await;
    let id = client.id();
    client.write_all(b"four").await.unwrap();
    server.read_exact(&mut [0; 4]).await.unwrap();
    client.acknowledged().await.unwrap();
    cut.send(()).unwrap();
    client.write_all(b"four").await.unwrap();
    server.read_exact(&mut [0; 4]).await.unwrap();
    let (client_end, server_end) = tokio::join!(client.shutdown(), server.shutdown());
    client_end.unwrap();
    server_end.unwrap();
    drop((client, server));
    tokio::time::sleep(Duration::from_secs(10)).await;
    let lost = "INFO detached cause=unexpected end of file";
    let resumed = "INFO attached epoch=2 replayed=0";
    let complete = "DEBUG session complete";
    // The server's end is the first to know the id.
    let server = ["INFO attached epoch=0 replayed=0", lost, resumed, complete];
    let client = ["INFO attached epoch=1 replayed=0", lost, resumed, complete];
    assert_eq!(log.of(id), [server, client]);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_lost_is_a_warning_with_its_reason_at_each_end() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let Ends {
        mut client,
        server,
        cut: _cut,
    } = begin().await;
    let id = client.id();
    client.write_all(b"four").await.unwrap();
    client.acknowledged().await.unwrap();
    drop(server);
    client.read_u8().await.unwrap_err();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let lost = "WARN session lost reason=one end was dropped before the session was complete unacknowledged=0";
    let ends: Vec<_> = log.of(id).iter().map(|lines| lines[1..].to_vec()).collect();
    assert_eq!(ends, [[lost], [lost]]);
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_sent_again_are_in_the_log() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let Ends {
        mut client,
        mut server,
        cut,
    } = begin().await;
    client.write_all(b"four").await.unwrap();
    // The driver writes them, and then the connection drops them.
    cut.send(()).unwrap();
    server.read_exact(&mut [0; 4]).await.unwrap();
    let [server, client] = <[_; 2]>::try_from(log.of(client.id())).unwrap();
    assert_eq!(server.last().unwrap(), "INFO attached epoch=2 replayed=0");
    assert_eq!(client.last().unwrap(), "INFO attached epoch=2 replayed=4");
}
