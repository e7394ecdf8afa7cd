//! Sessions: each client has one after another, whose bytes and ends are checked at both ends.

mod conversation;

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use fastrand::Rng;
use reconnecting_stream::testing::{Fault, FaultProxy};
use reconnecting_stream::{Backoff, Policy, ResumableListener, ResumableStream, SessionOptions};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use self::conversation::Conversation;
use crate::worker::{Setup, Worker};
use reconnecting_stream_tools::lab::{Failure, failure};

/// Between two cuts of a client's connection, on average, beside the faults of its plan.
const CUT_EVERY: Duration = Duration::from_millis(50);
const MS: Duration = Duration::from_millis(1);
/// Until the server has no session of an ended client.
const DRAIN_LIMIT: Duration = Duration::from_secs(20);
const BUFFER: usize = 64 * 1024;

pub(crate) async fn start(
    number: u32,
    seed: u64,
    stop: watch::Receiver<bool>,
) -> Result<Worker, Failure> {
    let listener = ResumableListener::builder().options(options());
    let listener = listener.bind("127.0.0.1:0").await.map_err(failure)?;
    let address = listener.local_addr().map_err(failure)?;
    let setup = Setup::new(address, seed, stop).await.map_err(failure)?;
    let name = format!("session {number}");
    Ok(Worker::start(
        name,
        setup.clone(),
        work(seed, listener, setup),
    ))
}

async fn work(seed: u64, listener: ResumableListener, setup: Setup) -> Result<(), Failure> {
    let is_over = AtomicBool::new(false);
    let cutting = async {
        tokio::select! {
            never = cut(&setup.proxy, Rng::with_seed(!seed)) => never,
            () = setup.end_faults() => is_over.store(true, SeqCst),
        }
        std::future::pending().await
    };
    let talking = async {
        let mut random = Rng::with_seed(seed);
        // Servers whose clients were dropped. If a connection did not deliver the reset, they wait until
        // the session expires.
        let mut dropped = JoinSet::new();
        while !is_over.load(SeqCst) {
            let conversation = Conversation::draw(&mut random);
            let both = conversation.run(client(&setup), &listener, &setup.counts, &mut dropped);
            both.await
                .map_err(|wrong| format!("{conversation:?}: {wrong}"))?;
            setup.counts.sessions.fetch_add(1, SeqCst);
            while let Some(ended) = dropped.try_join_next() {
                ended.map_err(failure)?.map_err(failure)?;
            }
        }
        // Sessions whose clients were dropped, and whose servers do not know it.
        listener.sessions().shutdown(Duration::from_secs(1)).await;
        while let Some(ended) = dropped.join_next().await {
            ended.map_err(failure)?.map_err(failure)?;
        }
        timeout(DRAIN_LIMIT, drained(&listener))
            .await
            .map_err(|_| format!("{} sessions are left", listener.sessions().len()))
    };
    tokio::select! {
        never = cutting => never,
        talked = talking => talked,
    }
}

/// Cuts the connection in random ways at random times.
async fn cut(proxy: &FaultProxy, mut random: Rng) {
    loop {
        // Exponentially distributed, as independent faults are.
        sleep(CUT_EVERY.mul_f64(-(1.0 - random.f64()).ln())).await;
        let fault = match random.u8(0..16) {
            0 => Fault::Stall,
            1 => Fault::HalfOpen,
            2 => Fault::Refuse(MS * random.u32(1..50)),
            3..7 => Fault::Fin,
            _ => Fault::Reset,
        };
        proxy.inject(fault).await;
    }
}

fn client(setup: &Setup) -> ResumableStream {
    let address = setup.proxy.addr();
    let policy = Policy::default()
        .backoff(Backoff::constant(2 * MS))
        .attempt_timeout(500 * MS)
        .max_attempts(None);
    ResumableStream::builder(move || TcpStream::connect(address))
        .policy(policy)
        .options(options())
        .on_event(setup.events.observer())
        .lazy()
}

/// Dead connections are found soon, and buffers are small enough to be full.
fn options() -> SessionOptions {
    SessionOptions::new()
        .send_buffer(BUFFER)
        .receive_window(BUFFER)
        .ping_after(150 * MS)
        .dead_after(300 * MS)
        .max_resumes_per_second(u32::MAX)
}

async fn drained(listener: &ResumableListener) {
    while !listener.sessions().is_empty() {
        sleep(10 * MS).await;
    }
}
