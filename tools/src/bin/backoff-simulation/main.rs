//! Simulates many clients that reconnect after an outage, under different backoffs.
//!
//! `cargo run --release --bin backoff-simulation` takes the server away from
//! 100,000 and from 1,000,000 clients for a minute, under each [`Backoff`](reconnecting_stream::Backoff),
//! and prints how many attempts arrive and how soon all clients are connected. With a file name it
//! also draws the curves.
//! `--help` lists the options. There is no socket and no clock. The delays are those of
//! [`Backoff::delays`](reconnecting_stream::Backoff::delays), the milliseconds are counted. The
//! same seed gives the same figures.
//!
//! The model: all clients lose their connection in the same moment, and notice it immediately. An attempt
//! takes 1 ms. The server refuses all of them for a while; then it accepts a number of connections a second, spread
//! evenly, and what comes beyond that in a millisecond waits in the backlog or, if that is full,
//! is refused immediately.
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

/// How long an attempt takes. Without it a client that doesn't wait would retry for ever in the same
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
            eprintln!("backoff-simulation: {wrong} (try --help)");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("backoff-simulation: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let contenders = contenders();
    let mut drawn = None;
    for &clients in &options.clients {
        let scenario = Scenario {
            clients,
            rate: options.rate.unwrap_or((u64::from(clients) / 20).max(1)),
            backlog: options.backlog,
            outage: options.outage,
            seed: options.seed,
        };
        let outcomes = in_parallel(contenders.len(), |n| scenario.outcome(n, &contenders[n]));
        table::print(&scenario, &contenders, &outcomes);
        drawn = Some((scenario, outcomes));
    }
    flapping::print(options.seed);
    if let (Some(file), Some((scenario, outcomes))) = (&options.chart, drawn) {
        chart::draw(file, &scenario, &contenders, &outcomes)?;
    }
    Ok(())
}

/// The clients, and the server that they reconnect to.
pub(crate) struct Scenario {
    pub(crate) clients: u32,
    /// Connections a second.
    pub(crate) rate: u64,
    pub(crate) backlog: u64,
    /// How many milliseconds the server accepts no connection.
    pub(crate) outage: u64,
    pub(crate) seed: u64,
}

impl Scenario {
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
