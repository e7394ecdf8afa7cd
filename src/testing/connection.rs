//! One connection through the proxy.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::select;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::task::yield_now;

use super::flow::{Flow, Pace, Step};
use super::plan::{Direction, Fault, Plan};
use super::shared::{Shared, after};
use super::socket::{close, dial, finish, gone, register_again, reset};

/// A command to one connection, and the sender by which it says that it has carried it out.
#[derive(Debug)]
pub(super) struct Request(pub(super) Command, pub(super) oneshot::Sender<()>);

#[derive(Clone, Copy, Debug)]
pub(super) enum Command {
    Inject(Fault),
    Resume,
}

/// The sockets that there are.
enum State {
    Dialing {
        client: TcpStream,
        /// Kept, since the server may have accepted it before the proxy knows.
        server: Dial,
    },
    Relaying {
        client: TcpStream,
        server: TcpStream,
    },
    /// Nothing is relayed until it is told to resume.
    Stalled {
        client: TcpStream,
        server: Option<TcpStream>,
    },
    HalfOpen {
        client: TcpStream,
    },
    Ended,
}

type Dial = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

enum Event {
    Dialed(io::Result<TcpStream>),
    Step(io::Result<Step>),
    /// The client has gone, as far as can be told without reading.
    Gone,
    Requested(Option<Request>),
}

pub(super) struct Connection {
    shared: Arc<Shared>,
    pace: Pace,
    /// `None` before it begins and after its end.
    up: Option<Flow>,
    down: Option<Flow>,
}

impl Connection {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        shared.count(|stats| {
            stats.accepted += 1;
            stats.open += 1;
        });
        Self {
            shared,
            pace: Pace::default(),
            up: None,
            down: None,
        }
    }

    pub(super) async fn run(
        mut self,
        client: TcpStream,
        plan: Plan,
        mut requests: UnboundedReceiver<Request>,
    ) {
        // Without it nothing would go byte by byte. If it fails, the client is gone already.
        let _ = client.set_nodelay(true);
        let flow = |direction| Some(Flow::new(direction, plan.later(direction)));
        (self.up, self.down) = (flow(Direction::ToServer), flow(Direction::ToClient));
        let mut state = State::dialing(client, self.shared.upstream);
        for fault in plan.faults_on_accept() {
            state = self.inject(*fault, state);
        }
        while !matches!(state, State::Ended) {
            let event = select! {
                event = self.event(&mut state) => event,
                request = requests.recv() => Event::Requested(request),
            };
            state = self.next(state, event);
            // A busy connection leaves time for the rest of its runtime.
            yield_now().await;
        }
    }

    /// What happens to the sockets. Cancel safe.
    async fn event(&mut self, state: &mut State) -> Event {
        match state {
            State::Dialing { server, .. } => Event::Dialed(server.await),
            State::Relaying { client, server } => {
                let up = step(&mut self.up, client, server, self.pace);
                let down = step(&mut self.down, server, client, self.pace);
                Event::Step(select! { step = up => step, step = down => step })
            }
            State::Stalled { client, .. } | State::HalfOpen { client } => {
                gone(client).await;
                Event::Gone
            }
            State::Ended => Event::Gone,
        }
    }

    fn next(&mut self, state: State, event: Event) -> State {
        match (state, event) {
            (State::Dialing { client, .. }, Event::Dialed(Ok(server))) => {
                State::Relaying { client, server }
            }
            (state, Event::Dialed(Ok(_))) => state,
            (state, Event::Dialed(Err(_))) => {
                self.shared.count(|stats| stats.unreachable += 1);
                state.reset()
            }
            (state, Event::Step(Ok(Step::Moved(bytes, direction)))) => {
                self.shared.count(|stats| stats.relayed(bytes, direction));
                state
            }
            (state, Event::Step(Ok(Step::Due(fault)))) => self.inject(fault, state),
            (state, Event::Step(Ok(Step::Ended(direction)))) => self.end(direction, state),
            // A reset of one side is passed on to the other.
            (state, Event::Step(Err(_)) | Event::Gone) => state.reset(),
            (state, Event::Requested(None)) => state.reset(),
            (state, Event::Requested(Some(Request(command, done)))) => {
                let next = match command {
                    Command::Inject(fault) => self.inject(fault, state),
                    Command::Resume => state.resume(self.shared.upstream),
                };
                // It fails if the user does not wait.
                let _ = done.send(());
                next
            }
        }
    }

    /// One side has finished: so does the other, once both have.
    fn end(&mut self, direction: Direction, state: State) -> State {
        let State::Relaying { client, server } = state else {
            return state;
        };
        let (flow, receiver) = match direction {
            Direction::ToServer => (&mut self.up, &server),
            Direction::ToClient => (&mut self.down, &client),
        };
        *flow = None;
        finish(receiver);
        match (&self.up, &self.down) {
            (None, None) => State::Ended,
            (Some(_), _) | (_, Some(_)) => State::Relaying { client, server },
        }
    }

    fn inject(&mut self, fault: Fault, state: State) -> State {
        let next = match (fault, state) {
            (_, State::Ended) => return State::Ended,
            (Fault::Reset, state) => state.reset(),
            (Fault::Refuse(time), state) => {
                self.shared.refuse(Some(after(time)));
                state.reset()
            }
            (Fault::Fin, state) => state.close(),
            (_, State::HalfOpen { client }) => return State::HalfOpen { client },
            (Fault::HalfOpen, state) => state.lose_server(),
            (Fault::Stall, State::Stalled { client, server }) => {
                return State::Stalled { client, server };
            }
            (Fault::Stall, state) => state.stall(),
            (Fault::OneByteAtATime, state) => {
                self.pace.most = 1;
                state
            }
            (Fault::Delay(delay), state) => {
                self.pace.delay = delay;
                state
            }
        };
        self.shared.count(|stats| stats.injected(fault));
        next
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.count(|stats| stats.open -= 1);
    }
}

impl State {
    fn dialing(client: TcpStream, server: SocketAddr) -> Self {
        let server = Box::pin(dial(server));
        Self::Dialing { client, server }
    }

    fn into_sides(self) -> (Option<TcpStream>, Option<TcpStream>) {
        match self {
            Self::Dialing { client, .. } | Self::HalfOpen { client } => (Some(client), None),
            Self::Relaying { client, server } => (Some(client), Some(server)),
            Self::Stalled { client, server } => (Some(client), server),
            Self::Ended => (None, None),
        }
    }

    fn reset(self) -> Self {
        let (client, server) = self.into_sides();
        client.into_iter().chain(server).for_each(reset);
        Self::Ended
    }

    fn close(self) -> Self {
        let (client, server) = self.into_sides();
        client.into_iter().chain(server).for_each(close);
        Self::Ended
    }

    fn lose_server(self) -> Self {
        let (client, server) = self.into_sides();
        server.into_iter().for_each(reset);
        client.map_or(Self::Ended, |client| Self::HalfOpen { client })
    }

    fn stall(self) -> Self {
        let (client, server) = self.into_sides();
        client.map_or(Self::Ended, |client| Self::Stalled { client, server })
    }

    fn resume(self, upstream: SocketAddr) -> Self {
        let Self::Stalled { client, server } = self else {
            return self;
        };
        let Ok(client) = register_again(client) else {
            return Self::Ended;
        };
        match server.map(register_again) {
            None => Self::dialing(client, upstream),
            Some(Ok(server)) => Self::Relaying { client, server },
            Some(Err(_)) => Self::Ended,
        }
    }
}

async fn step(
    flow: &mut Option<Flow>,
    from: &TcpStream,
    to: &TcpStream,
    pace: Pace,
) -> io::Result<Step> {
    match flow {
        Some(flow) => flow.step(from, to, pace).await,
        None => std::future::pending().await,
    }
}
