//! A place to connect to whose connections are [`Socket`]s.

use std::collections::VecDeque;
use std::future::{Future, pending};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use reconnecting_stream::{Attempt, Connect, Permanent};
use tokio::time::{Instant, sleep};

use super::socket::{Remote, Socket};
use crate::support::Outcome;

/// Attempts meet the scripted outcomes, then `Accepts`.
#[derive(Clone, Default)]
pub struct Net(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    script: VecDeque<Outcome>,
    otherwise: Option<Outcome>,
    attempts: Vec<(Instant, Attempt)>,
    remotes: Vec<Remote>,
    greeting: Option<Greeting>,
    attempt_panics_on_drop: bool,
}

type Greeting = Box<dyn FnMut(usize, &Remote) + Send>;

impl Net {
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

    /// What the peer does with each connection before the client has it.
    pub fn greet(&self, greeting: impl FnMut(usize, &Remote) + Send + 'static) -> &Self {
        self.state().greeting = Some(Box::new(greeting));
        self
    }

    /// The future of the next attempt panics when it is dropped.
    pub fn panic_on_drop_of_attempt(&self) -> &Self {
        self.state().attempt_panics_on_drop = true;
        self
    }

    pub fn connector(&self) -> impl Connect<Io = Socket, Future: Send> + Send + Sync + use<> {
        Dialer(self.clone())
    }

    /// The peer of a generation, from 1.
    pub fn peer(&self, generation: usize) -> Remote {
        self.state().remotes[generation - 1].clone()
    }

    pub fn connections(&self) -> usize {
        self.state().remotes.len()
    }

    pub fn attempts(&self) -> Vec<(Instant, Attempt)> {
        self.state().attempts.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn accept(&self) -> Socket {
        let (socket, remote) = Socket::new();
        let mut state = self.state();
        state.remotes.push(remote.clone());
        let generation = state.remotes.len();
        if let Some(greeting) = &mut state.greeting {
            greeting(generation, &remote);
        }
        socket
    }
}

struct Dialer(Net);

impl Connect for Dialer {
    type Io = Socket;
    type Future = Pin<Box<dyn Future<Output = io::Result<Socket>> + Send>>;

    fn connect(&mut self, attempt: &Attempt) -> Self::Future {
        let net = self.0.clone();
        let (outcome, panics) = {
            let mut state = net.state();
            state.attempts.push((Instant::now(), attempt.clone()));
            let otherwise = state.otherwise.unwrap_or(Outcome::Accepts);
            let outcome = state.script.pop_front().unwrap_or(otherwise);
            (outcome, std::mem::take(&mut state.attempt_panics_on_drop))
        };
        assert_ne!(outcome, Outcome::ConnectorPanics, "scripted");
        let attempt = async move {
            match outcome {
                Outcome::Accepts => Ok(net.accept()),
                Outcome::AcceptsAfter(time) => {
                    sleep(time).await;
                    Ok(net.accept())
                }
                Outcome::Refuses(kind) => Err(kind.into()),
                Outcome::RefusesForGood => Err(Permanent::new("wrong password").into()),
                Outcome::Hangs => pending().await,
                Outcome::AcceptsThen(_) | Outcome::Panics | Outcome::ConnectorPanics => {
                    panic!("scripted")
                }
            }
        };
        Box::pin(Running(Box::pin(attempt), PanicsOnDrop(panics)))
    }
}

/// An attempt. It is dropped after it has completed, not within its last poll.
struct Running(
    Pin<Box<dyn Future<Output = io::Result<Socket>> + Send>>,
    PanicsOnDrop,
);

impl Future for Running {
    type Output = io::Result<Socket>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

struct PanicsOnDrop(bool);

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        assert!(!self.0 || std::thread::panicking(), "scripted");
    }
}
