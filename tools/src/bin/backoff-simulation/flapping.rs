//! A peer that accepts every connection and resets it immediately.

use std::time::Duration;

use reconnecting_stream::Backoff;

use crate::ROUND_TRIP;

const MINUTE: Duration = Duration::from_secs(60);

/// How many clients the means are of.
const CLIENTS: u32 = 100;

/// The default of [`Policy::max_attempts`](reconnecting_stream::Policy::max_attempts).
const MAX_ATTEMPTS: usize = 100;

/// The rule of `Policy::stable_after`: a connection that lived for this long ends the outage, and
/// the next one begins with the first delay. Here connections live for no time at all.
#[derive(Clone, Copy)]
enum StableAfter {
    Connect,
    Uptime,
}

pub(crate) fn print(seed: u64) {
    fastrand::seed(seed);
    println!("## A peer that accepts and resets immediately\n");
    println!("Connections a minute of one client, in the first minute and in the tenth.\n");
    println!("| full jitter | stable after | first minute | tenth minute |");
    println!("|---|---|---:|---:|");
    for seconds in [10, 30] {
        let backoff = Backoff::exponential(Duration::from_millis(100));
        let backoff = backoff.max(Duration::from_secs(seconds));
        for (rule, name) in [
            (StableAfter::Connect, "the connect"),
            (StableAfter::Uptime, "10 s of uptime"),
        ] {
            let [first, tenth] = [0, 9].map(|minute| connections(&backoff, rule, minute));
            println!("| 100 ms to {seconds} s | {name} | {first:.0} | {tenth:.0} |");
        }
    }
    let minutes = time_until_give_up(&Backoff::exponential(Duration::from_millis(100)));
    println!("\n{MAX_ATTEMPTS} attempts with the default backoff last for {minutes:.1} minutes.");
}

/// The mean over all clients, within a minute.
fn connections(backoff: &Backoff, rule: StableAfter, minute: u32) -> f64 {
    let within = |time: &Duration| *time >= MINUTE * minute && *time < MINUTE * (minute + 1);
    let count = |_| {
        let mut delays = backoff.delays(fastrand::f64);
        let mut now = Duration::ZERO;
        let times = std::iter::from_fn(|| {
            now += delays.next()? + Duration::from_millis(ROUND_TRIP);
            if let StableAfter::Connect = rule {
                delays = backoff.delays(fastrand::f64);
            }
            Some(now)
        });
        let times = times.take_while(|time| *time < MINUTE * (minute + 1));
        u32::try_from(times.filter(within).count()).unwrap_or(u32::MAX)
    };
    f64::from((0..CLIENTS).map(count).sum::<u32>()) / f64::from(CLIENTS)
}

/// The mean time that the delays take until the stream gives up, in minutes.
fn time_until_give_up(backoff: &Backoff) -> f64 {
    let outage = |_| -> Duration { backoff.delays(fastrand::f64).take(MAX_ATTEMPTS).sum() };
    let total: Duration = (0..CLIENTS).map(outage).sum();
    total.as_secs_f64() / 60.0 / f64::from(CLIENTS)
}
