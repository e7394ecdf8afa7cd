//! The relay of one connection: the sockets of its client and of its server.

mod state;

use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::select;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

use super::fault::{Direction, Fault};
use super::flow::{Flow, Step};
use super::plan::Plan;
use super::socket::{HALF_CLOSE_GRACE, failure, peer_closed, shutdown_write};
use super::state::{ProxyState, after};
use state::RelayState;

/// A command to one connection, and the sender that reports its completion.
#[derive(Debug)]
pub(super) struct Request(pub(super) Command, pub(super) oneshot::Sender<()>);

#[derive(Clone, Copy, Debug)]
pub(super) enum Command {
    Inject(Fault),
    Resume,
}

enum RelayEvent {
    Connected(io::Result<TcpStream>),
    Step(io::Result<Step>),
    /// The client closed its side or reset the connection, as far as a poll without a read shows.
    PeerClosed,
    /// The time of a `Timeout` is over.
    TimedOut,
    Requested(Option<Request>),
}

pub(super) struct Relay {
    proxy: Arc<ProxyState>,
    /// `None` before `run` and after the end of the direction.
    up: Option<Flow>,
    down: Option<Flow>,
    /// When a stalled or half-open connection is reset, because its client has closed its side.
    reset_at: Option<Instant>,
}

impl Relay {
    /// Counts the connection silently, because the frontend is locked.
    pub(super) fn new(proxy: Arc<ProxyState>) -> Self {
        proxy.count_silently(|stats| {
            stats.accepted += 1;
            stats.open += 1;
        });
        Self {
            proxy,
            up: None,
            down: None,
            reset_at: None,
        }
    }

    pub(super) async fn run(
        mut self,
        client: TcpStream,
        plan: Plan,
        mut requests: UnboundedReceiver<Request>,
    ) {
        // Without it the kernel would merge single bytes. An error means that the client is gone.
        let _ = client.set_nodelay(true);
        let flow = |direction| Some(Flow::new(direction, &plan));
        (self.up, self.down) = (flow(Direction::ToServer), flow(Direction::ToClient));
        let mut state = RelayState::connecting(client, self.proxy.upstream);
        for fault in plan.faults_on_accept() {
            state = self.inject(*fault, state);
        }
        while !matches!(state, RelayState::Ended) {
            let event = select! {
                event = self.event(&mut state) => event,
                request = requests.recv() => RelayEvent::Requested(request),
            };
            state = self.next(state, event);
            // Lets the other tasks of the runtime run while this connection is busy.
            yield_now().await;
        }
    }

    /// Waits for the next event of the sockets. Cancel safe.
    async fn event(&mut self, state: &mut RelayState) -> RelayEvent {
        match state {
            RelayState::Connecting { client, server } => select! {
                connected = server => RelayEvent::Connected(connected),
                _ = failure(client) => RelayEvent::PeerClosed,
            },
            RelayState::Relaying { client, server } => {
                let up = step(&mut self.up, client, server);
                let down = step(&mut self.down, server, client);
                RelayEvent::Step(select! { step = up => step, step = down => step })
            }
            RelayState::Stalled {
                until: Some(time), ..
            } => {
                sleep_until(*time).await;
                RelayEvent::TimedOut
            }
            RelayState::Stalled {
                client,
                until: None,
                ..
            }
            | RelayState::HalfOpen { client } => {
                peer_closed(client).await;
                let reset_at = self.reset_at.get_or_insert_with(|| after(HALF_CLOSE_GRACE));
                sleep_until(*reset_at).await;
                RelayEvent::PeerClosed
            }
            RelayState::Ended => RelayEvent::PeerClosed,
        }
    }

    fn next(&mut self, state: RelayState, event: RelayEvent) -> RelayState {
        match (state, event) {
            (RelayState::Connecting { client, .. }, RelayEvent::Connected(Ok(server))) => {
                RelayState::Relaying { client, server }
            }
            (state, RelayEvent::Connected(Ok(_))) => state,
            (state, RelayEvent::Connected(Err(_))) => {
                self.proxy.count(|stats| stats.unreachable += 1);
                state.reset()
            }
            (state, RelayEvent::Step(Ok(Step::Relayed(bytes, direction)))) => {
                self.proxy.count(|stats| stats.relayed(bytes, direction));
                state
            }
            (state, RelayEvent::Step(Ok(Step::Due(fault)))) => self.inject(fault, state),
            (state, RelayEvent::Step(Ok(Step::Ended(direction)))) => self.end(direction, state),
            // A reset of one side resets the other side, too.
            (state, RelayEvent::Step(Err(_)) | RelayEvent::PeerClosed) => state.reset(),
            (state, RelayEvent::Requested(None)) => state.reset(),
            (state, RelayEvent::TimedOut) => state.close(),
            (state, RelayEvent::Requested(Some(Request(command, done)))) => {
                let next = match command {
                    Command::Inject(fault) => self.inject(fault, state),
                    Command::Resume => self.resume(state),
                };
                // An error means that the caller dropped its future.
                let _ = done.send(());
                next
            }
        }
    }

    /// Ends one direction, and the connection once both directions have ended.
    fn end(&mut self, direction: Direction, state: RelayState) -> RelayState {
        let RelayState::Relaying { client, server } = state else {
            return state;
        };
        let (flow, receiver) = match direction {
            Direction::ToServer => (&mut self.up, &server),
            Direction::ToClient => (&mut self.down, &client),
        };
        *flow = None;
        shutdown_write(receiver);
        match (&self.up, &self.down) {
            (None, None) => RelayState::Ended,
            (Some(_), _) | (_, Some(_)) => RelayState::Relaying { client, server },
        }
    }

    /// Ends a stall. A later one has a time of its own.
    fn resume(&mut self, state: RelayState) -> RelayState {
        if let RelayState::Stalled { .. } = state {
            self.reset_at = None;
        }
        state.resume()
    }

    fn inject(&mut self, fault: Fault, state: RelayState) -> RelayState {
        let next = match (fault, state) {
            (_, RelayState::Ended) => return RelayState::Ended,
            (Fault::Reset, state) => state.reset(),
            (Fault::Refuse(time), state) => {
                self.proxy.refuse(Some(after(time)));
                state.reset()
            }
            (Fault::Fin, state) => state.close(),
            (_, RelayState::HalfOpen { client }) => return RelayState::HalfOpen { client },
            (Fault::HalfOpen, state) => state.drop_server(),
            (Fault::Stall, state @ RelayState::Stalled { until: None, .. }) => return state,
            (Fault::Stall, state) => state.stall(None),
            (Fault::Timeout(time), state) => state.stall(Some(after(time))),
            (
                Fault::OneByteAtATime
                | Fault::Slice(_)
                | Fault::Delay(_)
                | Fault::Latency { .. }
                | Fault::Bandwidth { .. }
                | Fault::SlowClose(_),
                state,
            ) => {
                let flows = self.up.iter_mut().chain(&mut self.down);
                flows.for_each(|flow| flow.shape(fault));
                state
            }
        };
        self.proxy.count(|stats| stats.injected(fault));
        next
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.proxy.count(|stats| stats.open -= 1);
    }
}

async fn step(flow: &mut Option<Flow>, from: &TcpStream, to: &TcpStream) -> io::Result<Step> {
    match flow {
        Some(flow) => flow.step(from, to).await,
        // Only a reset follows the end of a stream.
        None => Err(failure(from).await),
    }
}
