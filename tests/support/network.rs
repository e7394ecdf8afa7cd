use std::collections::VecDeque;
use std::future::{Future, pending};
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use reconnecting_stream::{Attempt, Connect, Permanent};
use tokio::time::{Instant, sleep};

use super::{Fault, Peer, Wire};

/// What an attempt meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A connection, immediately.
    Accepts,
    /// A connection, after this time.
    AcceptsAfter(Duration),
    /// A connection that has this fault from the beginning.
    AcceptsThen(Fault),
    Refuses(ErrorKind),
    RefusesForGood,
    /// Neither yes nor no.
    Hangs,
    /// The future panics.
    Panics,
    /// The connector panics before there is a future.
    ConnectorPanics,
}

/// A place to connect to: attempts meet the scripted outcomes, then `Accepts`.
#[derive(Clone, Default)]
pub struct Network(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    script: VecDeque<Outcome>,
    otherwise: Option<Outcome>,
    attempts: Vec<Dialed>,
    peers: Vec<Peer>,
    greeting: Option<Greeting>,
    running: usize,
}

type Greeting = Box<dyn FnMut(usize, &Peer) + Send>;

/// What the network remembers of an attempt.
#[derive(Clone, Debug)]
pub struct Dialed {
    pub at: Instant,
    pub attempt: Attempt,
}

impl Network {
    pub fn new() -> Self {
        Self::default()
    }

    /// The next attempts meet these.
    pub fn script(&self, outcomes: impl IntoIterator<Item = Outcome>) -> &Self {
        self.state().script.extend(outcomes);
        self
    }

    /// All attempts after the scripted ones meet this.
    pub fn otherwise(&self, outcome: Outcome) -> &Self {
        self.state().otherwise = Some(outcome);
        self
    }

    /// What the peer does with each connection before the stream has it.
    pub fn greet(&self, greeting: impl FnMut(usize, &Peer) + Send + 'static) -> &Self {
        self.state().greeting = Some(Box::new(greeting));
        self
    }

    pub fn connector(&self) -> impl Connect<Io = Wire, Future: Send> + Send + Sync + use<> {
        Dialer(self.clone())
    }

    pub fn attempts(&self) -> Vec<Dialed> {
        self.state().attempts.clone()
    }

    /// The peer of a generation, from 1.
    pub fn peer(&self, generation: usize) -> Peer {
        self.state().peers[generation - 1].clone()
    }

    pub fn connections(&self) -> usize {
        self.state().peers.len()
    }

    /// Attempts whose future is alive.
    pub fn running(&self) -> usize {
        self.state().running
    }

    /// Connections that have not been dropped.
    pub fn open(&self) -> usize {
        self.state()
            .peers
            .iter()
            .filter(|peer| !peer.is_dropped())
            .count()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn accept(&self) -> (Wire, Peer) {
        let (wire, peer) = Wire::new();
        let mut state = self.state();
        state.peers.push(peer.clone());
        let generation = state.peers.len();
        if let Some(greeting) = &mut state.greeting {
            greeting(generation, &peer);
        }
        drop(state);
        (wire, peer)
    }
}

struct Dialer(Network);

impl Connect for Dialer {
    type Io = Wire;
    type Future = Pin<Box<dyn Future<Output = io::Result<Wire>> + Send>>;

    fn connect(&mut self, attempt: &Attempt) -> Self::Future {
        let network = self.0.clone();
        let outcome = {
            let mut state = network.state();
            state.attempts.push(Dialed {
                at: Instant::now(),
                attempt: attempt.clone(),
            });
            let otherwise = state.otherwise.unwrap_or(Outcome::Accepts);
            state.script.pop_front().unwrap_or(otherwise)
        };
        assert_ne!(outcome, Outcome::ConnectorPanics, "scripted");
        network.state().running += 1;
        let running = Running(network.clone());
        Box::pin(async move {
            let _running = running;
            match outcome {
                Outcome::Accepts => Ok(network.accept().0),
                Outcome::AcceptsAfter(time) => {
                    sleep(time).await;
                    Ok(network.accept().0)
                }
                Outcome::AcceptsThen(fault) => {
                    let (wire, peer) = network.accept();
                    peer.fault(fault);
                    Ok(wire)
                }
                Outcome::Refuses(kind) => Err(kind.into()),
                Outcome::RefusesForGood => Err(Permanent::new("wrong password").into()),
                Outcome::Hangs => pending().await,
                Outcome::Panics | Outcome::ConnectorPanics => panic!("scripted"),
            }
        })
    }
}

struct Running(Network);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.state().running -= 1;
    }
}
