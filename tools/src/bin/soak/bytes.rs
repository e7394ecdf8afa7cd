//! Clients that talk in bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use reconnecting_stream::{Handle, ReconnectingStream, Seam};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::worker::{Counts, Setup, Worker, policy};
use reconnecting_stream_tools::lab::checker::Shape;
use reconnecting_stream_tools::lab::client::{Put, Reading, Writing, dial};
use reconnecting_stream_tools::lab::server::{Answer, Server, ServerOptions};
use reconnecting_stream_tools::lab::talk::{check_notices, talk_split, talk_whole};
use reconnecting_stream_tools::lab::{Failure, failure};

/// How many bytes have to arrive without a loss once the faults are over.
const ENOUGH: u64 = 64 * 1024;
const CHUNK: usize = 700;
/// How long a write may make no progress.
const WRITE_LIMIT: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Spec {
    seam: Seam,
    is_split: bool,
}

pub(crate) const SPECS: [Spec; 6] = [
    Spec::new(Seam::Hidden, false),
    Spec::new(Seam::Hidden, true),
    Spec::new(Seam::Error, false),
    Spec::new(Seam::Error, true),
    Spec::new(Seam::Eof, false),
    Spec::new(Seam::Eof, true),
];

impl Spec {
    const fn new(seam: Seam, is_split: bool) -> Self {
        Self { seam, is_split }
    }
}

pub(crate) async fn start(
    spec: Spec,
    seed: u64,
    stop: watch::Receiver<bool>,
) -> Result<Worker, Failure> {
    let shape = match spec.seam {
        Seam::Hidden => Shape::Part,
        Seam::Error | Seam::Eof => Shape::Whole,
    };
    let options = ServerOptions {
        shape,
        answer: Answer::Times(1),
        closing_bytes: 0,
    };
    let server = Server::start(options).await.map_err(failure)?;
    let setup = Setup::new(server.addr(), seed, stop)
        .await
        .map_err(failure)?;
    let split = if spec.is_split { "split" } else { "whole" };
    let name = format!("bytes, {:?}, {split}", spec.seam);
    Ok(Worker::start(
        name,
        setup.clone(),
        work(spec, server, setup),
    ))
}

async fn work(spec: Spec, server: Server, setup: Setup) -> Result<(), Failure> {
    let are_faults_over = AtomicBool::new(false);
    let ending = async {
        setup.end_faults().await;
        are_faults_over.store(true, SeqCst);
        std::future::pending().await
    };
    tokio::select! {
        never = ending => never,
        talked = talk(spec, &server, &setup, &are_faults_over) => talked,
    }
}

async fn talk(
    spec: Spec,
    server: &Server,
    setup: &Setup,
    are_faults_over: &AtomicBool,
) -> Result<(), Failure> {
    let mut stream = ReconnectingStream::builder(dial(setup.proxy.addr(), 0, |socket| socket))
        .policy(policy())
        .seam(spec.seam)
        .on_event(setup.events.observer())
        .lazy();
    let mut reading = Reading::new(spec.seam);
    let mut writing = Writing::new(spec.seam, Put::Write, CHUNK);
    let (mut lost, mut at_rest) = (0, None);
    let is_enough = |reading: &Reading| {
        lost = setup.events.lost.load(SeqCst);
        let total = reading.checker.total();
        setup.counts.bytes.store(total, SeqCst);
        if are_faults_over.load(SeqCst) {
            at_rest.get_or_insert(total);
        }
        let has_continued = at_rest.is_some_and(|before| total >= before + ENOUGH);
        has_continued && reading.checker.run() >= ENOUGH || server.check().is_err()
    };
    match spec.is_split {
        false => {
            let reconnecting = end_stalled_writes(stream.handle(), writing.turns(), &setup.counts);
            let talking = talk_whole(&mut stream, &mut reading, &mut writing, is_enough);
            tokio::select! {
                never = reconnecting => never,
                talked = talking => talked?,
            }
        }
        true => writing = talk_split(stream, &mut reading, writing, is_enough).await?,
    }
    server.check()?;
    check_notices(spec.seam, lost, &reading, &writing)
}

/// Reconnects when a write makes no progress. The idle timeout covers reads only, so a client that
/// writes and reads in turn needs a deadline for its writes.
async fn end_stalled_writes(handle: Handle, turns: Arc<AtomicU64>, counts: &Counts) {
    loop {
        let turn = turns.load(SeqCst);
        sleep(WRITE_LIMIT).await;
        if turn % 2 == 1 && turns.load(SeqCst) == turn {
            counts.forced_reconnects.fetch_add(1, SeqCst);
            handle.reconnect();
        }
    }
}
