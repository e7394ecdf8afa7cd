//! HTTP/1.1 with hyper, over connections that die: every answer belongs to its request.
//!
//! `cargo run --bin http` starts a server on a loopback port that answers some requests and
//! then resets the connection, cuts an answer in the middle, or says `Connection: close`. A
//! client asks it [`REQUESTS`] times. `client.rs` is worth copying, since **a stream that
//! reconnects must not be put under hyper as if it were a connection**:
//!
//! | | what happens |
//! |---|---|
//! | `Seam::Hidden` under hyper | hyper waits on the next connection for an answer that only the last one could have brought: for ever, or until it takes bytes of the next connection for the rest of a cut answer |
//! | `Seam::Error`, and awaiting hyper's connection | works until the server says `Connection: close`: hyper shuts the stream down then, for good |
//! | `Seam::Error`, and one hyper connection for each connection, `without_shutdown` | right: what this recipe does |
//! | a pool of connections, as in `hyper-util`'s client | right, too, and without this crate: take it when requests should run side by side |
//!
//! The stream decides when to try again and when to give up, spreads the
//! attempts of many clients, and can be watched. What to do with a request whose answer was lost
//! is left to HTTP: a request that is idempotent (GET, PUT, DELETE) is sent again, one that is not
//! (POST) fails, unless no byte of it was sent.
//!
//! The example ends with its counts, and fails if an answer was wrong, or a POST was executed
//! twice.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request};
use reconnecting_stream::{Backoff, Policy, ReconnectingStream, Seam};
use tokio::net::TcpStream;
use tokio::time::timeout;

use reconnecting_stream_tools::http::client::{Client, Failure, Work, client};
use reconnecting_stream_tools::http::server::{self, Stats, answer_to};

const REQUESTS: u32 = 1000;
/// One in so many requests is a POST.
const POSTS: u32 = 4;
/// Nothing here takes that long unless it hangs.
const DEADLINE: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    timeout(DEADLINE, example())
        .await
        .unwrap_or_else(|_| Err(format!("not over within {DEADLINE:?}").into()))
}

async fn example() -> Result<(), Failure> {
    let listener = server::listen((Ipv4Addr::LOCALHOST, 0).into())?;
    let address = listener.local_addr()?;
    let stats = Arc::new(Stats::default());
    let server = tokio::spawn(server::run(listener, Arc::clone(&stats)));
    let stream = ReconnectingStream::builder(move || TcpStream::connect(address))
        .policy(Policy::default().backoff(Backoff::exponential(Duration::from_millis(10))))
        .seam(Seam::Error)
        .lazy();
    let (client, worker) = client(stream);
    let worker = tokio::spawn(worker.run());
    let asked = ask_all(client).await?;
    let work = worker.await??;
    server.abort();
    report(asked, work, &stats)
}

/// The outcomes of the requests, as their sender saw them.
#[derive(Clone, Copy, Default)]
struct Asked {
    answered: u32,
    wrong: u32,
    failed_posts: u32,
}

async fn ask_all(client: Client) -> Result<Asked, Failure> {
    let mut asked = Asked::default();
    for number in 0..REQUESTS {
        let is_post = number % POSTS == 0;
        let method = if is_post { Method::POST } else { Method::GET };
        let path = format!("/{method}/{number}");
        let request = Request::builder()
            .method(method)
            .uri(&path)
            .header("host", "localhost")
            .body(Full::new(Bytes::new()))?;
        match client.ask(request).await {
            Ok(answer) => {
                asked.answered += 1;
                asked.wrong += u32::from(answer.body() != answer_to(&path, b"").as_bytes());
            }
            Err(_) if is_post => asked.failed_posts += 1,
            Err(error) => return Err(error),
        }
    }
    Ok(asked)
}

fn report(asked: Asked, work: Work, stats: &Stats) -> Result<(), Failure> {
    let executed = stats.executed.load(Ordering::Relaxed);
    let resets = stats.resets.load(Ordering::Relaxed);
    let cuts = stats.cuts.load(Ordering::Relaxed);
    let closes = stats.closes.load(Ordering::Relaxed);
    println!("{REQUESTS:6} requests, one in {POSTS} of them a POST");
    println!("{:6} answered", asked.answered);
    println!("{:6} answered wrong", asked.wrong);
    println!("{resets:6} answers reset");
    println!("{cuts:6} answers cut in the middle");
    println!("{closes:6} connections closed by the server");
    println!("{:6} requests repeated", work.repeated);
    println!("{:6} requests kept for the next connection", work.kept);
    println!("{:6} POSTs failed, and not repeated", asked.failed_posts);
    println!("{executed:6} requests executed");
    for (what, count, right) in [
        ("wrong answers", asked.wrong, 0),
        (
            "requests done",
            asked.answered + asked.failed_posts,
            REQUESTS,
        ),
        ("lost answers", work.repeated + work.failed, resets + cuts),
        ("executions", executed, REQUESTS + work.repeated),
    ] {
        if count != right {
            return Err(format!("{count} {what}, expected {right}").into());
        }
    }
    if resets.min(cuts).min(closes) == 0 {
        return Err("the server injected no fault".into());
    }
    Ok(())
}
