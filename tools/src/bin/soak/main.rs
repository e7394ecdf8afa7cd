//! Random faults for as long as you like, against conversations whose every byte and message is
//! checked.
//!
//! `cargo run --release --bin soak -- --minutes 60 --seed 7` runs ten clients in parallel, each
//! through a `FaultProxy` of its own whose every connection has a plan drawn from the seed:
//!
//! | clients | what is checked |
//! |---|---|
//! | bytes, at each seam, whole and split | that no byte is wrong, twice, out of order, or missing within a connection; a client that gets errors at seams sends whole streams only |
//! | messages, `Resend::Torn`, at two seams | that each is whole, in order, and comes once or not at all |
//! | messages, `Resend::Unconfirmed`, at two seams | that each is whole, that none is missing, and that what comes twice comes in order |
//!
//! `--sessions 64` runs 64 clients with sessions instead, one session after another in each, with a cut
//! every 50 ms on average beside the faults of the plans. It is checked that both ends of each session
//! get every byte and the end of the other one, or its reset if it was dropped.
//!
//! It also checks that each client continues within half a minute, that the work is done once the faults are
//! over, and that no task and no descriptor is left in the end. It prints the
//! counts now and then. If something is wrong the soak ends with status 1, and says what, where, and
//! with which seed: the same seed draws the same plans again.

mod bytes;
mod messages;
mod options;
mod report;
mod sessions;
mod worker;

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::sleep;

use crate::options::Options;
use crate::report::Resources;
use crate::worker::Worker;
use reconnecting_stream_tools::lab::Failure;

/// A worker that makes no progress for so long hangs.
const STALL_LIMIT: Duration = Duration::from_secs(30);
/// Between two checks of the workers.
const PACE: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(complaint) => {
            eprintln!("soak: {complaint}");
            return ExitCode::from(2);
        }
    };
    println!("seed {}, {:?}", options.seed, options.time);
    match soak(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("WRONG with seed {}: {failure}", options.seed);
            ExitCode::FAILURE
        }
    }
}

fn soak(options: Options) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    Ok(runtime.block_on(run(options))?)
}

async fn run(options: Options) -> Result<(), Failure> {
    let before = Resources::now();
    let begun = Instant::now();
    let (is_over, stop) = watch::channel(false);
    let mut workers = start(options, &stop).await?;
    let mut next_report = options.report_every();
    while begun.elapsed() < options.time {
        sleep(PACE).await;
        for worker in &mut workers {
            worker.check(STALL_LIMIT).await?;
        }
        if begun.elapsed() >= next_report {
            println!("{}", report::line(begun.elapsed(), &workers));
            next_report += options.report_every();
            // A stalled connection does not notice that its client has closed it, if there are unread
            // bytes before the end.
            for worker in &workers {
                worker.setup.proxy.resume().await;
            }
            Resources::now().check(workers.len())?;
        }
    }
    is_over.send_replace(true);
    for worker in &mut workers {
        worker.end(STALL_LIMIT).await?;
    }
    println!("\n{}", report::table(begun.elapsed(), &workers));
    drop(workers);
    before.check_left(STALL_LIMIT).await
}

/// Each worker has its own seed.
async fn start(options: Options, stop: &watch::Receiver<bool>) -> Result<Vec<Worker>, Failure> {
    let seed = options.seed;
    let mut workers = Vec::new();
    for number in 0..options.sessions {
        let seed = worker::seed(seed, workers.len());
        workers.push(sessions::start(number, seed, stop.clone()).await?);
    }
    if !workers.is_empty() {
        return Ok(workers);
    }
    for spec in bytes::SPECS {
        workers.push(bytes::start(spec, worker::seed(seed, workers.len()), stop.clone()).await?);
    }
    for spec in messages::SPECS {
        workers.push(messages::start(spec, worker::seed(seed, workers.len()), stop.clone()).await?);
    }
    Ok(workers)
}
