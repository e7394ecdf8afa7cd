//! The code of the README compiles, word for word.

use reconnecting_stream::{ReconnectingStream, TcpConnector};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const README: &str = include_str!("../README.md");
const THIS_FILE: &str = include_str!("readme.rs");

/// Returns the blocks of code of the README in this language, without their indentation.
fn blocks(language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let code = README
        .split(&fence)
        .skip(1)
        .map(|block| block.split("```").next().unwrap());
    code.map(unindented).collect()
}

fn unindented(code: &str) -> String {
    code.lines()
        .map(|line| line.trim().to_owned() + "\n")
        .collect()
}

#[test]
fn every_block_of_code_is_in_this_file() {
    let blocks = blocks("rust");
    assert_eq!(blocks.len(), 4);
    let this_file = unindented(THIS_FILE);
    for block in blocks {
        assert!(this_file.contains(&block), "not in this file:\n{block}");
    }
}

#[expect(dead_code)]
#[rustfmt::skip]
async fn one_line() -> Result<()> {
    let stream = ReconnectingStream::connect(TcpConnector::new("db.example:5432")).await?;
    drop(stream);
    Ok(())
}

#[expect(dead_code)]
#[rustfmt::skip]
async fn settings() -> Result<()> {
    use std::time::Duration;
    use reconnecting_stream::{Backoff, Event, Policy, ReconnectingStream, Seam, TcpConnector};
    let backoff = Backoff::exponential(Duration::from_millis(100)).max(Duration::from_secs(10));
    let policy = Policy::default()
        .backoff(backoff)                       // with full jitter
        .max_attempts(None)                     // never give up
        .idle_timeout(Duration::from_secs(60)); // detects a peer that was stopped
    let stream = ReconnectingStream::builder(TcpConnector::any_of(["db1.example:5432", "db2.example:5432"]))
        .policy(policy)
        .seam(Seam::Error)
        .on_event(|event: &Event| eprintln!("{event:?}"))
        .connect() // or `.lazy()`, or `.wrap(socket)`
        .await?;
    let handle = stream.handle(); // for other tasks: `subscribe_events`, `reconnect`, `close`
    drop(handle);
    Ok(())
}

#[expect(dead_code)]
#[rustfmt::skip]
async fn messages() -> Result<()> {
    use futures::{SinkExt, StreamExt};
    use reconnecting_stream::{ReconnectingFramed, Resend, TcpConnector};
    use tokio_util::codec::LinesCodec;
    let mut lines = ReconnectingFramed::builder(TcpConnector::new("127.0.0.1:7000"), LinesCodec::new())
        .resend(Resend::Unconfirmed { max_bytes: 64 * 1024 }) // a sender waits while so much is kept
        .connect()
        .await?;
    lines.send("a request").await?;
    if let Some(Ok(_reply)) = lines.next().await {
        lines.confirm_replies(1); // the message that it replies to is not kept any more
    }
    Ok(())
}

#[cfg(feature = "session")]
#[expect(dead_code)]
#[rustfmt::skip]
async fn sessions() -> Result<()> {
    use reconnecting_stream::{ResumableListener, ResumableStream, TcpConnector};
    let listener = ResumableListener::bind("0.0.0.0:7000").await?; // the server
    let session = listener.accept().await?; // one `ResumableStream` for each client
    let stream = ResumableStream::connect(TcpConnector::new("server.example:7000")).await?; // a client
    drop((session, stream));
    Ok(())
}
