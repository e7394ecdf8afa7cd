//! Clients that talk in bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use reconnecting_stream::{Handle, ReconnectingStream, Seam};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::worker::{Counts, Site, Worker, policy};
use reconnecting_stream_tools::lab::checker::Shape;
use reconnecting_stream_tools::lab::client::{Put, Reading, Writing, dial};
use reconnecting_stream_tools::lab::server::{Answer, Server, Terms};
use reconnecting_stream_tools::lab::talk::{check_told, talk_split, talk_whole};
use reconnecting_stream_tools::lab::{Wrong, wrong};

/// What is to come without a loss once the faults are over.
const ENOUGH: u64 = 64 * 1024;
const CHUNK: usize = 700;
/// With a write that moves nothing.
const PATIENCE: Duration = Duration::from_secs(1);

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
) -> Result<Worker, Wrong> {
    let shape = match spec.seam {
        Seam::Hidden => Shape::Part,
        Seam::Error | Seam::Eof => Shape::Whole,
    };
    let terms = Terms {
        shape,
        answer: Answer::Times(1),
        farewell: 0,
    };
    let server = Server::start(terms).await.map_err(wrong)?;
    let site = Site::new(server.addr(), seed, stop).await.map_err(wrong)?;
    let split = if spec.is_split { "split" } else { "whole" };
    let name = format!("bytes, {:?}, {split}", spec.seam);
    Ok(Worker::start(name, site.clone(), work(spec, server, site)))
}

async fn work(spec: Spec, server: Server, site: Site) -> Result<(), Wrong> {
    let is_calm = AtomicBool::new(false);
    let calming = async {
        site.calm().await;
        is_calm.store(true, SeqCst);
        std::future::pending().await
    };
    tokio::select! {
        never = calming => never,
        talked = talk(spec, &server, &site, &is_calm) => talked,
    }
}

async fn talk(spec: Spec, server: &Server, site: &Site, is_calm: &AtomicBool) -> Result<(), Wrong> {
    let mut stream = ReconnectingStream::builder(dial(site.proxy.addr(), 0, |socket| socket))
        .policy(policy())
        .seam(spec.seam)
        .on_event(site.fate.observer())
        .lazy();
    let mut reading = Reading::new(spec.seam);
    let mut writing = Writing::new(spec.seam, Put::Write, CHUNK);
    let (mut lost, mut at_rest) = (0, None);
    let is_enough = |reading: &Reading| {
        lost = site.fate.lost.load(SeqCst);
        let total = reading.checker.total();
        site.counts.bytes.store(total, SeqCst);
        if is_calm.load(SeqCst) {
            at_rest.get_or_insert(total);
        }
        let has_gone_on = at_rest.is_some_and(|before| total >= before + ENOUGH);
        has_gone_on && reading.checker.run() >= ENOUGH || server.check().is_err()
    };
    match spec.is_split {
        false => {
            let nudging = nudge(stream.handle(), writing.turns(), &site.counts);
            let talking = talk_whole(&mut stream, &mut reading, &mut writing, is_enough);
            tokio::select! {
                never = nudging => never,
                talked = talking => talked?,
            }
        }
        true => writing = talk_split(stream, &mut reading, writing, is_enough).await?,
    }
    server.check()?;
    check_told(spec.seam, lost, &reading, &writing)
}

/// Ends a write that waits into a silence. While nobody reads, an idle timeout sees nothing: who
/// writes and reads by turns needs a deadline for his writes.
async fn nudge(handle: Handle, turns: Arc<AtomicU64>, counts: &Counts) {
    loop {
        let turn = turns.load(SeqCst);
        sleep(PATIENCE).await;
        if turn % 2 == 1 && turns.load(SeqCst) == turn {
            counts.nudges.fetch_add(1, SeqCst);
            handle.reconnect();
        }
    }
}
