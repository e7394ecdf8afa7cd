//! Section 5 of the contract: the behaviour of `ReconnectingFramed`, sentence by sentence.
#![cfg(feature = "codec")]

mod contract;
mod support;

#[path = "contract_framed/bounds.rs"]
mod bounds;
#[path = "contract_framed/closing.rs"]
mod closing;
#[path = "contract_framed/confirmations.rs"]
mod confirmations;
#[path = "contract_framed/errors.rs"]
mod errors;
#[path = "contract_framed/giving_up.rs"]
mod giving_up;
#[path = "contract_framed/messages.rs"]
mod messages;
#[path = "contract_framed/never_reads.rs"]
mod never_reads;
#[path = "contract_framed/offline.rs"]
mod offline;
#[path = "contract_framed/owed.rs"]
mod owed;
#[path = "contract_framed/receiving.rs"]
mod receiving;
#[path = "contract_framed/room.rs"]
mod room;
#[path = "contract_framed/transient.rs"]
mod transient;

use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use contract::codec::Lines;
use contract::{Net, Socket};
use futures::{FutureExt, Sink, Stream, StreamExt};
use reconnecting_stream::{
    Backoff, Builder, Connect, Framing, Policy, ReconnectingFramed, Resend, Seam,
};

const SECOND: Duration = Duration::from_secs(1);
const SEAMS: [Seam; 3] = [Seam::Hidden, Seam::Error, Seam::Eof];
const UNCONFIRMED: Resend = Resend::Unconfirmed { max_bytes: 1000 };

type Framed<C> = ReconnectingFramed<C, Lines>;

fn policy() -> Policy {
    Policy::default().backoff(Backoff::constant(SECOND))
}

/// A builder with `Seam::Error`.
fn build(
    net: &Net,
) -> Builder<impl Connect<Io = Socket, Future: Send> + Send + Sync, Framing<Socket, Lines>> {
    build_with(net, Lines::default())
}

fn build_with(
    net: &Net,
    codec: Lines,
) -> Builder<impl Connect<Io = Socket, Future: Send> + Send + Sync, Framing<Socket, Lines>> {
    ReconnectingFramed::builder(net.connector(), codec)
        .policy(policy())
        .seam(Seam::Error)
}

async fn connect(net: &Net) -> Framed<impl Connect<Io = Socket, Future: Send> + Send + Sync> {
    build(net).connect().await.unwrap()
}

async fn connect_unconfirmed(
    net: &Net,
) -> Framed<impl Connect<Io = Socket, Future: Send> + Send + Sync> {
    build(net).resend(UNCONFIRMED).connect().await.unwrap()
}

/// An item, a seam or an end, as text.
fn describe(item: Option<io::Result<String>>) -> String {
    match item {
        None => "none".to_owned(),
        Some(Ok(line)) => line,
        Some(Err(error)) => describe_error(&error),
    }
}

fn describe_error(error: &io::Error) -> String {
    if let Some(lost) = support::lost(error) {
        match lost.dropped_bytes {
            0 => format!("lost {}", lost.generation),
            dropped => format!("lost {} with {dropped} bytes", lost.generation),
        }
    } else if support::gave_up(error).is_some() {
        "gave up".to_owned()
    } else {
        format!("{:?}", error.kind())
    }
}

fn describe_result(result: io::Result<()>) -> String {
    result.map_or_else(|error| describe_error(&error), |()| "ok".to_owned())
}

/// The next item, if it need not be waited for.
fn next_now<C: Connect<Io = Socket>>(framed: &mut Framed<C>) -> Option<String> {
    framed.next().now_or_never().map(describe)
}

/// Everything that need not be waited for, until the end of the stream.
fn take_all<C: Connect<Io = Socket>>(framed: &mut Framed<C>) -> Vec<String> {
    let mut items = Vec::new();
    while let Some(item) = next_now(framed) {
        items.push(item);
        if items.last().is_some_and(|item| item == "none") && items.len() > 50 {
            break;
        }
    }
    items
}

fn poll_ready<C: Connect<Io = Socket>>(
    framed: &mut Framed<C>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    <Framed<C> as Sink<&str>>::poll_ready(Pin::new(framed), cx)
}

fn poll_flush<C: Connect<Io = Socket>>(
    framed: &mut Framed<C>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    <Framed<C> as Sink<&str>>::poll_flush(Pin::new(framed), cx)
}

fn poll_close<C: Connect<Io = Socket>>(
    framed: &mut Framed<C>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    <Framed<C> as Sink<&str>>::poll_close(Pin::new(framed), cx)
}

fn start_send<C: Connect<Io = Socket>>(framed: &mut Framed<C>, line: &str) -> io::Result<()> {
    Pin::new(framed).start_send(line)
}

fn poll_next<C: Connect<Io = Socket>>(
    framed: &mut Framed<C>,
    cx: &mut Context<'_>,
) -> Poll<String> {
    Pin::new(framed).poll_next(cx).map(describe)
}

/// Runs a future to its end, or to its panic.
async fn caught<T>(future: impl Future<Output = T>) -> Option<T> {
    AssertUnwindSafe(future).catch_unwind().await.ok()
}
