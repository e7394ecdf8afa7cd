//! Clients that talk in messages: the server sends each one back.

mod content;
mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{Sink, SinkExt, Stream, StreamExt};
use reconnecting_stream::{ConfirmHandle, ConnectionLost, ReconnectingFramed, Resend, Seam};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use self::content::{codec, message, number};
use self::server::{Ledger, serve};
use crate::worker::{Counts, Setup, Worker, policy};
use reconnecting_stream_tools::lab::client::dial;
use reconnecting_stream_tools::lab::{Failure, failure};

/// Messages that are sent at a time, so that other workers get their turn.
const BATCH: u64 = 32;
const MS: Duration = Duration::from_millis(1);
/// Beyond so many messages that have not come back the sender only tries now and then. They fill
/// the buffers of a connection that stalls, so that messages are cut.
const AHEAD: u64 = 1500;
/// How often a last message is sent until all messages have arrived.
const LAST_WORDS: u32 = 200;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Spec {
    resend: Resend,
    seam: Seam,
}

const UNCONFIRMED: Resend = Resend::Unconfirmed {
    max_bytes: 16 * 1024,
};

pub(crate) const SPECS: [Spec; 4] = [
    Spec::new(Resend::Torn, Seam::Hidden),
    Spec::new(Resend::Torn, Seam::Error),
    Spec::new(UNCONFIRMED, Seam::Hidden),
    Spec::new(UNCONFIRMED, Seam::Error),
];

impl Spec {
    const fn new(resend: Resend, seam: Seam) -> Self {
        Self { resend, seam }
    }

    fn is_confirmed(self) -> bool {
        self.resend != Resend::Torn
    }
}

pub(crate) async fn start(
    spec: Spec,
    seed: u64,
    stop: watch::Receiver<bool>,
) -> Result<Worker, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failure)?;
    let addr = listener.local_addr().map_err(failure)?;
    let setup = Setup::new(addr, seed, stop).await.map_err(failure)?;
    let resend = if spec.is_confirmed() {
        "Unconfirmed"
    } else {
        "Torn"
    };
    let name = format!("messages, {resend}, {:?}", spec.seam);
    Ok(Worker::start(
        name,
        setup.clone(),
        work(spec, listener, setup),
    ))
}

async fn work(spec: Spec, listener: TcpListener, setup: Setup) -> Result<(), Failure> {
    let ledger = Ledger::default();
    let framed = ReconnectingFramed::builder(dial(setup.proxy.addr(), 0, |socket| socket), codec())
        .policy(policy())
        .seam(spec.seam)
        .resend(spec.resend)
        .on_event(setup.events.observer())
        .lazy();
    let confirmations = framed.confirm_handle();
    let (sink, stream) = framed.split();
    // Of their own, so that the halves are polled by different tasks; aborted by a drop.
    let mut tasks = JoinSet::new();
    let is_over = Arc::new(AtomicBool::new(false));
    let counts = Arc::clone(&setup.counts);
    tasks.spawn(receive(spec, stream, confirmations, counts));
    tasks.spawn({
        let ledger = Arc::clone(&ledger);
        async move {
            serve(spec, listener, ledger).await;
            Ok(())
        }
    });
    tasks.spawn(send(
        spec,
        sink,
        setup.clone(),
        Arc::clone(&ledger),
        Arc::clone(&is_over),
    ));
    let ending = async {
        setup.end_faults().await;
        is_over.store(true, SeqCst);
        std::future::pending().await
    };
    tokio::select! {
        never = ending => never,
        // The first that ends is the sender, or has found something wrong.
        ended = tasks.join_next() => ended.map_or(Ok(()), |ended| ended.map_err(failure)?),
    }
}

/// Checks what comes back, and confirms it.
async fn receive<E>(
    spec: Spec,
    mut stream: impl Stream<Item = Result<BytesMut, E>> + Unpin,
    confirmations: ConfirmHandle,
    counts: Arc<Counts>,
) -> Result<(), Failure>
where
    E: Into<std::io::Error>,
{
    let (mut next, mut reported) = (0, 0);
    loop {
        let bytes = match stream.next().await {
            Some(Ok(bytes)) => bytes,
            Some(Err(error)) => {
                reported = seam(spec, &error.into(), reported)?;
                continue;
            }
            None => return Err("the messages have ended".into()),
        };
        let number = number(&bytes)?;
        let is_right = match spec.is_confirmed() {
            true => number <= next,
            false => number >= next,
        };
        if !is_right {
            return Err(format!("{number} came back, expected was {next}"));
        }
        if number >= next {
            confirmations.confirm(1);
            next = number + 1;
            counts.back.store(next, SeqCst);
        }
        counts.bytes.fetch_add(bytes.len() as u64, SeqCst);
    }
}

/// The generation that the reader was reported of.
fn seam(spec: Spec, error: &std::io::Error, reported: u64) -> Result<u64, Failure> {
    match ConnectionLost::find(error) {
        Some(lost) if spec.seam == Seam::Error && lost.generation > reported => Ok(lost.generation),
        Some(_) | None => Err(format!("reported after {reported}: {error}")),
    }
}

/// Sends messages until the soak is over, then until the last one has arrived.
async fn send<E>(
    spec: Spec,
    mut sink: impl Sink<Bytes, Error = E> + Unpin,
    setup: Setup,
    ledger: Ledger,
    is_over: Arc<AtomicBool>,
) -> Result<(), Failure>
where
    E: Into<std::io::Error>,
{
    let counts = &setup.counts;
    let mut next = 0;
    while !is_over.load(SeqCst) {
        let ahead = next - counts.back.load(SeqCst);
        let (batch, pause) = match ahead > AHEAD {
            true => (1, 20 * MS),
            false => (BATCH, MS),
        };
        for _ in 0..batch {
            sink.feed(message(next)).await.map_err(lost_for_good)?;
            next += 1;
        }
        sink.flush().await.map_err(lost_for_good)?;
        counts.sent.store(next, SeqCst);
        note(counts, &ledger)?;
        sleep(pause).await;
    }
    let mut got = ledger.subscribe();
    for _ in 0..LAST_WORDS {
        sink.send(message(next)).await.map_err(lost_for_good)?;
        next += 1;
        counts.sent.store(next, SeqCst);
        let arrived = got.wait_for(|got| got.next == next || got.wrong.is_some());
        let has_arrived = timeout(100 * MS, arrived).await.is_ok();
        note(counts, &ledger)?;
        if has_arrived {
            return account(spec, counts, next);
        }
    }
    Err(format!("the last message, {next}, does not arrive"))
}

fn note(counts: &Counts, ledger: &Ledger) -> Result<(), Failure> {
    let got = ledger.borrow();
    counts.received.store(got.received, SeqCst);
    counts.twice.store(got.twice, SeqCst);
    got.check()
}

/// When everything that was sent has arrived or is lost.
fn account(spec: Spec, counts: &Counts, sent: u64) -> Result<(), Failure> {
    let received = counts.received.load(SeqCst);
    let once = received - counts.twice.load(SeqCst);
    let missing = sent.checked_sub(once).ok_or("more came than was sent")?;
    counts.missing.store(missing, SeqCst);
    match spec.is_confirmed() && missing > 0 {
        true => Err(format!("{missing} of {sent} are missing")),
        false => Ok(()),
    }
}

fn lost_for_good(error: impl Into<std::io::Error>) -> Failure {
    failure(error.into())
}
