//! A proxy that resets every connection sooner or later, from a seed.

use std::net::SocketAddr;

use fastrand::Rng;
use reconnecting_stream::testing::{Direction, Fault, FaultProxy, Plan};

use crate::program::tell;

/// Sets another seed than 1.
const SEED: &str = "RESET_SEED";

/// Starts a proxy in front of a server. Each of its connections is reset after up to
/// `2^magnitude` bytes in one direction or the other. Prints the seed.
pub async fn resetting_proxy(server: SocketAddr, magnitude: u32) -> FaultProxy {
    let seed = std::env::var(SEED).map_or(1, |seed| seed.parse().unwrap());
    let test = std::thread::current().name().unwrap_or("?").to_owned();
    tell(format_args!("{test}: {SEED}={seed}"));
    let proxy = FaultProxy::start(server).await.unwrap();
    proxy.default_plan(move |connection| plan(seed, connection, magnitude));
    proxy
}

/// Plans a reset and nothing else. A connection that falls silent would need a timeout of the
/// client's.
fn plan(seed: u64, connection: u64, magnitude: u32) -> Plan {
    let mut rng = Rng::with_seed(seed.wrapping_add(connection.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
    let direction = match rng.bool() {
        true => Direction::ToServer,
        false => Direction::ToClient,
    };
    // Every order of magnitude is as likely as another: logins are worth a reset, too.
    let most = 1 << rng.u32(0..=magnitude);
    Plan::new().after(rng.u64(0..=most), direction, Fault::Reset)
}
