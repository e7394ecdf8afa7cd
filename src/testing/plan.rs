//! The plans that say which faults happen and when.

use std::time::Duration;

use fastrand::Rng;

use super::fault::{Direction, Fault};

/// The faults of one connection, and when they happen.
///
/// A plan may have several faults. A fault that ends the connection ends its plan, too.
///
/// # Examples
///
/// A slow connection that is reset in the middle of the second kilobyte of the answer:
///
/// ```
/// use std::time::Duration;
/// use reconnecting_stream::testing::{Direction, Fault, Plan};
///
/// let plan = Plan::new()
///     .on_accept(Fault::Delay(Duration::from_millis(5)))
///     .after(1500, Direction::ToClient, Fault::Reset);
/// # let _ = plan;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Plan {
    on_accept: Vec<Fault>,
    scheduled: Vec<ScheduledFault>,
    /// Of the jitter.
    seed: u64,
}

/// A fault that happens once so many bytes were relayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ScheduledFault {
    pub(super) direction: Direction,
    pub(super) bytes: u64,
    pub(super) fault: Fault,
}

impl Plan {
    /// Returns a plan without faults: everything is relayed, ends and resets of either side
    /// included.
    pub const fn new() -> Self {
        Self {
            on_accept: Vec::new(),
            scheduled: Vec::new(),
            seed: 0,
        }
    }

    /// Sets the seed of the jitter of a [`Latency`](Fault::Latency), 0 by default. With the same
    /// version of this crate and of `fastrand`, the same seed delays the first read of a direction by
    /// the same time, the second one, and so on. How many bytes a read returns is up to the kernel.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Adds a fault that happens when the connection is accepted, before the proxy connects to the
    /// server.
    pub fn on_accept(mut self, fault: Fault) -> Self {
        self.on_accept.push(fault);
        self
    }

    /// Adds a fault that happens when exactly so many bytes were relayed in this direction. A reset
    /// may overtake the last of them if the receiver is slow.
    pub fn after(mut self, bytes: u64, direction: Direction, fault: Fault) -> Self {
        self.scheduled.push(ScheduledFault {
            direction,
            bytes,
            fault,
        });
        self
    }

    /// Returns a random plan for the connection of this number. With the same version of this
    /// crate and of `fastrand`, the same seed and number give the same plan.
    ///
    /// Of 16 plans, about 6 reset, 4 close gracefully, 1 stalls, 1 is half-open, 2 reset and
    /// refuse for up to 50 ms, and 2 have no such fault. One in 8 of these faults happens on
    /// accept, the others after up to 64 KiB in either direction, mostly much fewer. One in 8
    /// plans also delays by up to 5 ms, and one in 8 sends single bytes. Some connections stay
    /// silent for ever, so the client needs an [idle timeout](crate::Policy::idle_timeout) or a
    /// deadline of its own. The other faults are not drawn. Add them with
    /// [`on_accept`](Self::on_accept). The [seed](Self::seed) of their jitter is set.
    ///
    /// # Examples
    ///
    /// ```
    /// use reconnecting_stream::testing::{FaultProxy, Plan};
    ///
    /// # async fn example(service: std::net::SocketAddr) -> std::io::Result<()> {
    /// let seed = 42; // print it, so that a failure can be replayed
    /// let proxy = FaultProxy::start(service).await?;
    /// proxy.default_plan(move |connection| Plan::from_seed(seed, connection));
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_seed(seed: u64, connection: u64) -> Self {
        // The seeds of neighbours differ by an odd number with well mixed bits: 2^64 / golden ratio.
        let seed = seed.wrapping_add(connection.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut rng = Rng::with_seed(seed);
        let plan = Self::new().seed(seed);
        let plan = match rng.u8(0..8) {
            0 => plan.on_accept(Fault::Delay(Duration::from_millis(rng.u64(1..=5)))),
            1 => plan.on_accept(Fault::OneByteAtATime),
            _ => plan,
        };
        let fault = match rng.u8(0..16) {
            0..6 => Fault::Reset,
            6..10 => Fault::Fin,
            10 => Fault::Stall,
            11 => Fault::HalfOpen,
            12..14 => Fault::Refuse(Duration::from_millis(rng.u64(1..=50))),
            _ => return plan,
        };
        if rng.u8(0..8) == 0 {
            return plan.on_accept(fault);
        }
        let direction = match rng.bool() {
            true => Direction::ToServer,
            false => Direction::ToClient,
        };
        // All orders of magnitude are equally likely, so that handshakes get faults, too.
        let magnitude = rng.u32(0..=16);
        plan.after(rng.u64(0..=1 << magnitude), direction, fault)
    }

    pub(super) fn faults_on_accept(&self) -> &[Fault] {
        &self.on_accept
    }

    /// Returns the seed of the jitter of a direction. The two differ.
    pub(super) const fn seed_of(&self, direction: Direction) -> u64 {
        match direction {
            Direction::ToServer => self.seed,
            Direction::ToClient => !self.seed,
        }
    }

    /// Returns the faults of a direction, the last one first.
    pub(super) fn scheduled(&self, direction: Direction) -> Vec<ScheduledFault> {
        let mut scheduled: Vec<_> = self.scheduled.clone();
        scheduled.retain(|fault| fault.direction == direction);
        scheduled.sort_by_key(|fault| fault.bytes);
        scheduled.reverse();
        scheduled
    }
}

/// A plan with this fault, on accept.
impl From<Fault> for Plan {
    fn from(fault: Fault) -> Self {
        Self::new().on_accept(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_plan_again() {
        for connection in 0..1000 {
            let plan = Plan::from_seed(7, connection);
            assert_eq!(plan, Plan::from_seed(7, connection));
        }
    }

    #[test]
    fn another_seed_and_another_connection_have_another_plan() {
        // Without the seed of the jitter, which always differs.
        let plan = |seed, connection| Plan::from_seed(seed, connection).seed(0);
        let plans = |seed| (0..100).map(move |connection| plan(seed, connection));
        assert!(plans(1).zip(plans(2)).filter(|(a, b)| a == b).count() < 10);
        assert!(
            plans(1)
                .zip(plans(1).skip(1))
                .filter(|(a, b)| a == b)
                .count()
                < 10
        );
    }

    #[test]
    fn a_seed_draws_every_fault_as_often_as_it_says() {
        let mut drawn = [0_u32; 7];
        for connection in 0..16_000 {
            let plan = Plan::from_seed(3, connection);
            let scheduled = plan.scheduled.iter().map(|fault| fault.fault);
            for fault in plan.on_accept.iter().copied().chain(scheduled) {
                drawn[match fault {
                    Fault::Reset => 0,
                    Fault::Fin => 1,
                    Fault::Stall => 2,
                    Fault::HalfOpen => 3,
                    Fault::OneByteAtATime => 4,
                    Fault::Delay(_) => 5,
                    Fault::Refuse(_) => 6,
                    other => panic!("{other:?} is not drawn"),
                }] += 1;
            }
        }
        let expected = [6000, 4000, 1000, 1000, 2000, 2000, 2000];
        for (drawn, expected) in drawn.into_iter().zip(expected) {
            assert!(
                drawn.abs_diff(expected) < expected / 5,
                "{drawn} of {expected}"
            );
        }
    }

    #[test]
    fn faults_come_in_the_order_of_their_bytes_whatever_the_order_of_calls() {
        let plan = Plan::new()
            .after(9, Direction::ToClient, Fault::Reset)
            .after(3, Direction::ToClient, Fault::Stall)
            .after(5, Direction::ToServer, Fault::Fin);
        let bytes = |direction| {
            plan.scheduled(direction)
                .iter()
                .map(|l| l.bytes)
                .collect::<Vec<_>>()
        };
        assert_eq!(bytes(Direction::ToClient), [9, 3]);
        assert_eq!(bytes(Direction::ToServer), [5]);
    }
}
