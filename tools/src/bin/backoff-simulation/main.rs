//! A herd of clients that comes back after an outage, and what the backoff makes of it.
//!
//! `cargo run --release --bin backoff-simulation` takes their server away from 100,000 and from 1,000,000
//! clients for a minute, with many a [`Backoff`](reconnecting_stream::Backoff), and prints how
//! hard they come and how soon they are all back; with a file name it draws the curves, too.
//! `--help` lists the options. There is neither a socket nor a clock: the delays are those of
//! [`Backoff::delays`](reconnecting_stream::Backoff::delays), the milliseconds are counted. The
//! same seed gives the same figures.
//!
//! The model: all clients lose their connection in the same moment, and see it at once. An attempt
//! takes 1 ms. The server refuses all of them for a while; then it accepts so many a second, spread
//! evenly, and what comes beyond that in a millisecond waits in the backlog or, if that is full,
//! is refused at once.
//!
//! The backoffs are in `contender.rs`, the server in `server.rs`, the run in `simulation.rs` over
//! the queue in `wheel.rs` and the counters in `tally.rs`; a peer that accepts and resets is in
//! `flapping.rs`.

mod chart;
mod contender;
mod flapping;
mod options;
mod server;
mod simulation;
mod table;
mod tally;
mod wheel;

use std::error::Error;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::contender::{Contender, contenders};
use crate::options::{Command, HELP, Options};
use crate::server::Server;
use crate::simulation::simulate;
use crate::tally::Outcome;

/// How long an attempt takes. Without it a client that doesn't wait would try for ever in the same
/// moment.
const ROUND_TRIP: u64 = 1;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(Command::Simulate(options)) => options,
        Ok(Command::Help) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(wrong) => {
            eprintln!("herd: {wrong} (try --help)");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("herd: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let contenders = contenders();
    let mut drawn = None;
    for &clients in &options.clients {
        let herd = Herd {
            clients,
            rate: options.rate.unwrap_or((u64::from(clients) / 20).max(1)),
            backlog: options.backlog,
            outage: options.outage,
            seed: options.seed,
        };
        let outcomes = in_parallel(contenders.len(), |n| herd.outcome(n, &contenders[n]));
        table::print(&herd, &contenders, &outcomes);
        drawn = Some((herd, outcomes));
    }
    flapping::print(options.seed);
    if let (Some(file), Some((herd, outcomes))) = (&options.chart, drawn) {
        chart::draw(file, &herd, &contenders, &outcomes)?;
    }
    Ok(())
}

/// Who comes back, and to what.
pub(crate) struct Herd {
    pub(crate) clients: u32,
    /// Connections a second.
    pub(crate) rate: u64,
    pub(crate) backlog: u64,
    /// How many milliseconds nobody gets a connection.
    pub(crate) outage: u64,
    pub(crate) seed: u64,
}

impl Herd {
    fn outcome(&self, number: usize, contender: &Contender) -> Outcome {
        fastrand::seed(self.seed.wrapping_add(number as u64));
        let server = Server::new(self.outage, self.rate, self.backlog);
        simulate(contender, self.clients, server)
    }

    /// The milliseconds that the server needs for all of them.
    pub(crate) fn ideal(&self) -> u64 {
        u64::from(self.clients) * 1000 / self.rate
    }
}

/// The results in their order, whichever thread they come from.
fn in_parallel<T: Send>(jobs: usize, run: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let work = || {
        let numbers = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
        let mine = numbers.take_while(|&number| number < jobs);
        mine.map(|number| (number, run(number))).collect::<Vec<_>>()
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut done: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let results = workers.into_iter().map(thread::ScopedJoinHandle::join);
        results
            .flat_map(|result| result.expect("a thread panicked"))
            .collect()
    });
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}
