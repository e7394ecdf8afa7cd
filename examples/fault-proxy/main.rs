//! A proxy that injects faults, to point any program at:
//!
//! ```sh
//! cargo run --example fault-proxy --features testing -- --upstream localhost:6379 --latency 50ms --seed 7
//! ```
//!
//! `--help` lists the options. It ends on ctrl-c and prints what it did.

mod options;

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::process::ExitCode;

use futures::poll;
use options::{Options, USAGE};
use reconnecting_stream::testing::{FaultProxy, Stats};
use tokio::net::lookup_host;
use tokio::signal::ctrl_c;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("fault-proxy: {error}\n`--help` lists the options.");
            return ExitCode::from(2);
        }
    };
    match run(options).await {
        Ok(stats) => {
            print_summary(&stats);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("fault-proxy: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Relays until ctrl-c.
async fn run(options: Options) -> io::Result<Stats> {
    let (listen, seed) = (options.listen, options.seed);
    let upstream = resolve(&options.upstream).await?;
    let failed = |e: io::Error| io::Error::new(e.kind(), format!("cannot listen on {listen}: {e}"));
    let proxy = FaultProxy::bind(listen, upstream).await.map_err(failed)?;
    proxy.default_plan(move |connection| options.plan(connection));
    // The first poll registers the handler, so that a ctrl-c right after the line below ends with the
    // summary.
    let mut interrupted = pin!(ctrl_c());
    let _ = poll!(interrupted.as_mut());
    println!("listening on {}, relaying to {upstream}", proxy.addr());
    if let Some(seed) = seed {
        println!("random faults of the seed {seed}");
    }
    interrupted.await?;
    Ok(proxy.stats())
}

/// Returns the first address of the server. An IPv4 address is preferred.
async fn resolve(upstream: &str) -> io::Result<SocketAddr> {
    let failed = |e: io::Error| io::Error::new(e.kind(), format!("no address {upstream}: {e}"));
    let mut addrs: Vec<_> = lookup_host(upstream).await.map_err(failed)?.collect();
    addrs.sort_by_key(SocketAddr::is_ipv6);
    let first = addrs.first().copied();
    first.ok_or_else(|| io::Error::other(format!("{upstream} has no address")))
}

fn print_summary(stats: &Stats) {
    println!("connections: {}", stats.accepted);
    println!("without a server: {}", stats.unreachable);
    println!("bytes to the server: {}", stats.to_server);
    println!("bytes to clients: {}", stats.to_client);
    for (fault, count) in [
        ("resets", stats.resets),
        ("closes", stats.fins),
        ("stalls", stats.stalls),
        ("timeouts", stats.timeouts),
        ("half-open connections", stats.half_opens),
        ("refusals", stats.refusals),
        ("single bytes", stats.one_byte_at_a_time),
        ("slices", stats.slices),
        ("delays", stats.delays),
        ("latencies", stats.latencies),
        ("bandwidths", stats.bandwidths),
        ("slow closes", stats.slow_closes),
    ] {
        if count > 0 {
            println!("{fault}: {count}");
        }
    }
}
