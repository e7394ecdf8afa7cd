//! What the README shows compiles, word for word; its policy is read as it says.
#![cfg(unix)]

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use reconnecting_stream::testing::{Direction, Fault, FaultProxy, Plan};
use reconnecting_stream::{
    Backoff, BoxConnector, Connect, Policy, ReconnectingStream, TcpConnector,
};
use tokio::net::{TcpStream, UnixStream};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const README: &str = include_str!("../README.md");
const THIS_FILE: &str = include_str!("readme.rs");

/// What the README has in blocks of this language, each without its indentation.
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
    assert_eq!(blocks.len(), 5);
    let this_file = unindented(THIS_FILE);
    for block in blocks {
        assert!(this_file.contains(&block), "not in this file:\n{block}");
    }
}

#[derive(serde::Deserialize)]
struct Config {
    upstream: Policy,
}

/// Everything of a policy but its code.
fn facts(policy: &Policy) -> String {
    let all = format!("{policy:?}");
    let (facts, _) = all.split_once(", classify").unwrap();
    facts.to_owned()
}

#[test]
fn its_policy_is_read_as_it_says() {
    let [block] = &blocks("toml")[..] else {
        panic!("expected one block");
    };
    let config: Config = toml::from_str(block).unwrap();
    let backoff = Backoff::exponential(Duration::from_millis(50)).max(Duration::from_secs(5));
    let expected = Policy::default()
        .attempt_timeout(Duration::from_secs(3))
        .max_attempts(None)
        .backoff(backoff);
    assert_eq!(facts(&config.upstream), facts(&expected));
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

    let policy = Policy::default()
        .backoff(Backoff::exponential(Duration::from_millis(100)).max(Duration::from_secs(10)))
        .attempt_timeout(Duration::from_secs(10)) // DNS, TCP, TLS and login together
        .max_attempts(100)                        // then every operation answers `GaveUp`
        .stable_after(Duration::from_secs(10))    // a connection that dies younger keeps the backoff
        .idle_timeout(Duration::from_secs(60));   // sees a peer that was stopped

    let stream = ReconnectingStream::builder(TcpConnector::any_of(["db1.example:5432", "db2.example:5432"]))
        .policy(policy)
        .seam(Seam::Error)
        .on_event(|event: &Event| eprintln!("{event:?}"))
        .connect() // or `.lazy()`, or `.wrap(socket)`
        .await?;

    let handle = stream.handle(); // watch it, make it reconnect, close it, from elsewhere
    drop(handle);
    Ok(())
}

#[expect(dead_code)]
#[rustfmt::skip]
fn combinators<F>(login: fn(UnixStream) -> F) -> BoxConnector<UnixStream>
where
    F: Future<Output = io::Result<UnixStream>> + Send + 'static,
{
    let connector = (|| UnixStream::connect("/run/db.sock")) // or TcpConnector, TlsConnector, ...
        .timeout(Duration::from_secs(2))                     // this step alone
        .and_then(login)                                     // on every fresh connection
        .boxed();                                            // BoxConnector<UnixStream>
    connector
}

#[expect(dead_code)]
#[rustfmt::skip]
async fn messages() -> Result<()> {
    use futures::SinkExt;
    use reconnecting_stream::{ReconnectingFramed, Resend};
    use tokio_util::codec::LinesCodec;

    let mut lines = ReconnectingFramed::builder(|| TcpStream::connect("127.0.0.1:7000"), LinesCodec::new())
        .on_connect(|mut framed| async move {
            framed.send("I am ann").await.map_err(io::Error::other)?; // on every fresh connection
            Ok(framed)
        })
        .resend(Resend::Unconfirmed { max_bytes: 64 * 1024 }) // kept until `confirm`ed: at least once
        .connect()
        .await?;
    lines.send("a line").await?;
    Ok(())
}

#[expect(dead_code)]
#[rustfmt::skip]
async fn a_test_of_your_own(server: SocketAddr) -> Result<()> {
    let proxy = FaultProxy::start(server).await?;
    proxy.script([Plan::new().after(6, Direction::ToClient, Fault::Reset)]); // of the first connection
    // ... run your client against proxy.addr() ...
    assert_eq!(proxy.stats().resets, 1);
    Ok(())
}
