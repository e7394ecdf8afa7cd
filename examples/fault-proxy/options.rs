//! The options of the command line, and the plan that they make.

use std::net::SocketAddr;
use std::time::Duration;

use reconnecting_stream::testing::{Direction, Fault, Plan};

pub(crate) const USAGE: &str = "\
Relays TCP connections to a server and injects faults. Ends on ctrl-c, with a summary.

Usage: fault-proxy --upstream HOST:PORT [OPTIONS]

  --upstream HOST:PORT   the server
  --listen ADDRESS:PORT  where clients connect [default: 127.0.0.1:0, any free port]

Faults of every connection:
  --latency TIME         every byte arrives so late, in each direction
  --jitter TIME          the latency varies by so much, at most by itself
  --bandwidth BYTES      bytes per second, in each direction
  --slice BYTES          writes have at most so many bytes
  --slow-close TIME      the end of a stream arrives so late
  --timeout TIME         nothing is relayed, and the connection is closed after so long
  --reset-after BYTES    a reset after so many bytes from the server
  --close-after BYTES    a close after so many bytes from the server
  --stall-after BYTES    nothing is relayed after so many bytes from the server

Random faults:
  --seed NUMBER          each connection is reset, closed, stalled, ... or not; the same
                         number gives the same faults again

  --help                 prints this

TIME is a number with the unit us, ms, s or m, as in 50ms. BYTES is a number, also with k or M
(1024, 1024 * 1024), as in 64k.
";

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) listen: SocketAddr,
    pub(crate) upstream: String,
    pub(crate) seed: Option<u64>,
    /// When each fault of every connection begins: on accept, or after so many bytes.
    faults: Vec<(Option<u64>, Fault)>,
}

impl Options {
    /// Returns `None` if the user asks for help.
    pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let (mut upstream, mut seed, mut faults) = (None, None, Vec::new());
        let (mut latency, mut jitter) = (Duration::ZERO, Duration::ZERO);
        while let Some(option) = args.next() {
            if option == "--help" || option == "-h" {
                return Ok(None);
            }
            let mut value = || args.next().ok_or(format!("{option} needs a value"));
            match option.as_str() {
                "--listen" => listen = parse(&option, &value()?, "an address like 127.0.0.1:4000")?,
                "--upstream" => upstream = Some(value()?),
                "--seed" => seed = Some(parse(&option, &value()?, "a number")?),
                "--latency" => latency = time(&option, &value()?)?,
                "--jitter" => jitter = time(&option, &value()?)?,
                _ => faults.extend(faults_of(&option, value)?),
            }
        }
        if jitter > latency {
            let error = format!("--jitter {jitter:?} is longer than --latency {latency:?}");
            return Err(error);
        }
        if !latency.is_zero() {
            let delay = latency;
            faults.push((None, Fault::Latency { delay, jitter }));
        }
        Ok(Some(Self {
            listen,
            upstream: upstream.ok_or("--upstream is missing")?,
            seed,
            faults,
        }))
    }

    /// Returns the plan of the connection of this number.
    pub(crate) fn plan(&self, connection: u64) -> Plan {
        let plan = match self.seed {
            Some(seed) => Plan::from_seed(seed, connection),
            None => Plan::new().seed(connection),
        };
        let faults = self.faults.iter().copied();
        faults.fold(plan, |plan, (bytes, fault)| match bytes {
            Some(bytes) => plan.after(bytes, Direction::ToClient, fault),
            None => plan.on_accept(fault),
        })
    }
}

fn faults_of(
    option: &str,
    value: impl FnOnce() -> Result<String, String>,
) -> Result<Vec<(Option<u64>, Fault)>, String> {
    let positive = |value: String| match bytes(option, &value)? {
        0 => Err(format!("{option} must be at least 1")),
        bytes => Ok(bytes),
    };
    let after = |value: String, fault| Ok(vec![(Some(bytes(option, &value)?), fault)]);
    match option {
        "--bandwidth" => {
            let bytes_per_second = positive(value()?)?;
            let limit = |direction| Fault::Bandwidth {
                direction,
                bytes_per_second,
            };
            let directions = [Direction::ToServer, Direction::ToClient];
            Ok(directions.map(|side| (None, limit(side))).into())
        }
        "--slice" => {
            let bytes = usize::try_from(positive(value()?)?).unwrap_or(usize::MAX);
            Ok(vec![(None, Fault::Slice(bytes))])
        }
        "--slow-close" => Ok(vec![(None, Fault::SlowClose(time(option, &value()?)?))]),
        "--timeout" => Ok(vec![(None, Fault::Timeout(time(option, &value()?)?))]),
        "--reset-after" => after(value()?, Fault::Reset),
        "--close-after" => after(value()?, Fault::Fin),
        "--stall-after" => after(value()?, Fault::Stall),
        _ => Err(format!("there is no option {option}")),
    }
}

fn parse<T: std::str::FromStr>(option: &str, value: &str, expected: &str) -> Result<T, String> {
    let error = || format!("{option} needs {expected}, not {value:?}");
    value.parse().map_err(|_| error())
}

/// Splits a number from its unit.
fn split(value: &str) -> (&str, &str) {
    value.split_at(
        value
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(value.len()),
    )
}

fn time(option: &str, value: &str) -> Result<Duration, String> {
    let error = || format!("{option} needs a time like 50ms, not {value:?}");
    let (number, unit) = split(value);
    let number: u64 = number.parse().map_err(|_| error())?;
    match unit {
        "us" => Ok(Duration::from_micros(number)),
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(
            number.checked_mul(60).ok_or_else(error)?,
        )),
        _ => Err(error()),
    }
}

fn bytes(option: &str, value: &str) -> Result<u64, String> {
    let error = || format!("{option} needs a number of bytes like 64k, not {value:?}");
    let (number, unit) = split(value);
    let number: u64 = number.parse().map_err(|_| error())?;
    let factor = match unit {
        "" => 1,
        "k" => 1024,
        "M" => 1024 * 1024,
        _ => return Err(error()),
    };
    number.checked_mul(factor).ok_or_else(error)
}
