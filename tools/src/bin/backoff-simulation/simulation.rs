//! The run: every attempt of every client, in the order of time.

use std::time::Duration;

use crate::ROUND_TRIP;
use crate::contender::Contender;
use crate::server::Server;
use crate::tally::{Outcome, Tally};
use crate::wheel::Wheel;

/// How long the return of the last client is waited for, in milliseconds since the server's.
pub(crate) const LIMIT: u64 = 3600 * 1000;

/// Clients that do the same in the same moment: one, or all of them if there is no chance in
/// their delays.
struct Group<D> {
    clients: u32,
    delays: D,
}

pub(crate) fn simulate(contender: &Contender, clients: u32, server: Server) -> Outcome {
    let (groups, size) = match contender.is_lockstep() {
        true => (1, clients),
        false => (clients, 1),
    };
    let group = || Group {
        clients: size,
        delays: contender.delays(),
    };
    let turn = milliseconds(contender.limit()) + ROUND_TRIP + 1;
    let turn = usize::try_from(turn).expect("a turn of the wheel fits into memory");
    let mut wheel = Wheel::new(turn);
    for _ in 0..groups {
        wait(&mut wheel, 0, group());
    }
    run(wheel, Tally::new(clients, server.opens), server)
}

fn run<D>(mut wheel: Wheel<Group<D>>, mut tally: Tally, mut server: Server) -> Outcome
where
    D: Iterator<Item = Duration>,
{
    let mut now = 0;
    while !tally.is_complete() && now < server.opens + LIMIT {
        let mut attempts = 0;
        server.advance(now);
        for mut group in wheel.take(now) {
            attempts += u64::from(group.clients);
            group.clients -= server.admit(group.clients);
            if group.clients > 0 {
                wait(&mut wheel, now, group);
            }
        }
        tally.count(now, attempts, server.accept());
        now = if server.is_idle() {
            wheel.due_after(now).unwrap_or(u64::MAX)
        } else {
            now + 1
        };
    }
    tally.finish()
}

/// Lines a group up for its next attempt, if it has more delays.
fn wait<D>(wheel: &mut Wheel<Group<D>>, now: u64, mut group: Group<D>)
where
    D: Iterator<Item = Duration>,
{
    if let Some(delay) = group.delays.next() {
        wheel.push(now + milliseconds(delay) + ROUND_TRIP, group);
    }
}

fn milliseconds(delay: Duration) -> u64 {
    u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)
}
