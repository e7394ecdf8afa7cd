//! A stream beside its reference: whatever is done to one is done to the other.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use reconnecting_stream::{Connect, Handle, ReconnectingStream, State};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::yield_now;
use tokio::time::{Instant, advance};

use super::attempts::{Attempts, Dialed};
use super::outcome::{PollOutcome, ms};
use super::plan::{Begin, Ms, Op, Plan, ROLES, Role, Step, time};
use super::reference::{Command, MARKED, Reference};
use super::state::{ConnState, ObservedState};
use super::support::{Network, Outcome, Peer, Task, Wire};

pub struct Harness<C: Connect> {
    pub stream: ReconnectingStream<C>,
    pub handle: Handle,
    pub reference: Reference,
    pub network: Network,
    began: Instant,
    /// One for each role.
    tasks: [Task; 3],
    /// What each role was told `Pending` for, and waits for.
    waiting: [Option<Op>; 3],
    /// What each role was told last.
    told: [Option<PollOutcome>; 3],
    /// How many polls there were.
    pub polls: usize,
    next_byte: u8,
}

/// More than any history needs to come to rest at one moment.
const MAX_POLLS_PER_MOMENT: usize = 200;

pub async fn begin(plan: &Plan) -> Harness<impl Connect<Io = Wire> + use<>> {
    let network = Network::new();
    let began = Instant::now();
    let builder = ReconnectingStream::builder(network.connector())
        .policy(plan.rules.policy())
        .seam(plan.seam);
    let script = plan.script.iter().copied();
    let (stream, attempts) = match plan.begin {
        Begin::Lazy => (builder.lazy(), Attempts::new(plan.rules.clone(), script)),
        Begin::Connected => {
            let stream = builder.connect().await.expect("nothing is scripted yet");
            let first = std::iter::once(Outcome::Accepts);
            let mut attempts = Attempts::new(plan.rules.clone(), first.chain(script));
            attempts.connect_first();
            (stream, attempts)
        }
    };
    network.script(plan.script.iter().copied());
    let handle = stream.handle();
    Harness {
        stream,
        handle,
        reference: Reference::new(attempts, plan.seam),
        network,
        began,
        tasks: Default::default(),
        waiting: [None; 3],
        told: Default::default(),
        polls: 0,
        next_byte: 0,
    }
}

impl<C: Connect<Io = Wire>> Harness<C> {
    pub async fn apply(&mut self, step: Step) {
        match step {
            Step::Poll(op) => self.poll(op),
            Step::Run { writer_first } => self.run(writer_first),
            Step::Drop(role) => {
                self.tasks[role as usize] = Task::new();
                self.waiting[role as usize] = None;
            }
            Step::Reconnect => {
                self.handle.reconnect();
                self.reference.ask(Command::Reconnect);
            }
            Step::ReconnectNow => {
                self.stream.reconnect();
                self.reference.reconnect();
            }
            Step::MarkLost => {
                if let State::Connected { generation } = self.handle.state() {
                    self.reference.ask(Command::Lose(generation));
                }
                self.handle.mark_lost(MARKED.into());
            }
            Step::MarkLostNow => {
                self.stream.mark_lost(MARKED.into());
                self.reference.mark_lost();
            }
            Step::Close => {
                self.handle.close();
                self.reference.ask(Command::Close);
            }
            Step::Advance(by) => self.advance(by).await,
            Step::ToDeadline(offset) => self.advance_to_deadline(offset).await,
            Step::Send(_)
            | Step::Fault(_)
            | Step::UnnoticedFault(_)
            | Step::Heal
            | Step::Room(_)
            | Step::StallShutdown(_) => self.act_as_peer(step),
        }
        self.check();
        // Tokio lets a task poll only so many timers before it yields.
        yield_now().await;
    }

    /// Polls both, and compares.
    pub fn poll(&mut self, op: Op) {
        self.polls += 1;
        let expected = self.reference.poll(op);
        let role = op.role() as usize;
        let (stream, task) = (&mut self.stream, &self.tasks[role]);
        let polled = task.poll(|cx| {
            let poll = AssertUnwindSafe(|| poll(stream, op, cx));
            catch_unwind(poll).unwrap_or_else(|panic| Poll::Ready(PollOutcome::of_panic(&*panic)))
        });
        let answer = match polled {
            Poll::Ready(answer) => answer,
            Poll::Pending => PollOutcome::Pending,
        };
        assert_eq!(answer, expected, "the answer to {op:?}");
        self.waiting[role] = (answer == PollOutcome::Pending).then_some(op);
        self.told[role] = Some(answer);
    }

    /// Polls every task that was woken, as a runtime does.
    pub fn run(&mut self, writer_first: bool) {
        let mut order = ROLES;
        if writer_first {
            order.swap(0, 1);
        }
        for _ in 0..MAX_POLLS_PER_MOMENT {
            let woken = order.into_iter().find_map(|role| self.woken(role));
            let Some(op) = woken else { return };
            self.poll(op);
            self.check();
            order.rotate_left(1);
        }
        panic!("the tasks wake each other without end");
    }

    /// What the last poll of this role answered.
    pub fn told(&self, role: Role) -> Option<&PollOutcome> {
        self.told[role as usize].as_ref()
    }

    pub async fn advance(&mut self, by: Ms) {
        self.reference.attempts.now += by;
        advance(time(by)).await;
        yield_now().await;
    }

    pub async fn advance_to_deadline(&mut self, offset: i64) {
        let now = self.reference.attempts.now;
        if let Some(deadline) = self.reference.deadline() {
            let by = (deadline - now).saturating_add_signed(offset);
            self.advance(by).await;
        }
    }

    pub fn act_as_peer(&mut self, step: Step) {
        if !self.reference.attempts.is_connected() {
            return;
        }
        let (peer, connection) = (self.peer(), &mut self.reference.connection);
        match step {
            Step::Send(len) => {
                let first = self.next_byte;
                let bytes: Vec<u8> = (0..len).map(|n| first.wrapping_add(n)).collect();
                self.next_byte = first.wrapping_add(len);
                peer.send(&bytes);
                connection.arriving.extend(bytes);
            }
            Step::Fault(fault) => {
                peer.fault(fault);
                (connection.fault, connection.is_unnoticed) = (Some(fault), false);
            }
            Step::UnnoticedFault(fault) => {
                peer.fault_unnoticed(fault);
                (connection.fault, connection.is_unnoticed) = (Some(fault), true);
            }
            Step::Heal => {
                peer.heal();
                connection.fault = None;
            }
            Step::Room(room) => {
                peer.set_room(room);
                connection.room = room;
            }
            Step::StallShutdown(stalls) => {
                peer.stall_shutdown(stalls);
                connection.stalls_shutdown = stalls;
            }
            other => unreachable!("not for a peer: {other:?}"),
        }
    }

    fn woken(&self, role: Role) -> Option<Op> {
        let is_woken = self.tasks[role as usize].is_woken();
        self.waiting[role as usize].filter(|_| is_woken)
    }

    fn peer(&self) -> Peer {
        let generation = usize::try_from(self.reference.attempts.generation).unwrap();
        self.network.peer(generation)
    }

    fn check(&self) {
        let attempts = &self.reference.attempts;
        assert_eq!(ms(self.began.elapsed()), attempts.now, "the clock");
        assert_eq!(
            ObservedState::from(self.stream.state()),
            attempts.observed_state()
        );
        assert_eq!(
            ObservedState::from(self.handle.state()),
            attempts.observed_state(),
            "handle"
        );
        assert_eq!(self.stream.generation(), attempts.generation, "generation");
        assert_eq!(self.stream.get_ref().is_some(), attempts.is_connected());
        self.check_network();
        for op in self.waiting.into_iter().flatten() {
            let is_stranded = self.woken(op.role()).is_none() && self.reference.would_progress(op);
            assert!(!is_stranded, "{op:?} could continue, and no task was woken");
        }
    }

    fn check_network(&self) {
        let (network, attempts) = (&self.network, &self.reference.attempts);
        assert_eq!(network.open(), usize::from(attempts.is_connected()), "open");
        let running = usize::from(attempts.is_connecting());
        assert_eq!(network.running(), running, "running attempts");
        let dialed = network.attempts().into_iter().map(|dialed| Dialed {
            at: ms(dialed.at - self.began),
            number: dialed.attempt.number,
            generation: dialed.attempt.generation,
            downtime: ms(dialed.attempt.downtime),
            last_error: dialed.attempt.last_error.map(|error| error.kind()),
        });
        assert!(dialed.eq(attempts.dialed.iter().copied()), "attempts");
        for generation in 1..=network.connections() {
            let was_touched = network.peer(generation).was_touched_when_dead();
            assert!(!was_touched, "connection {generation} was used when dead");
        }
        if let ConnState::Connected { .. } = attempts.state {
            assert_eq!(
                self.peer().received().len(),
                self.reference.connection.taken
            );
        }
    }
}

fn poll<C: Connect<Io = Wire>>(
    stream: &mut ReconnectingStream<C>,
    op: Op,
    cx: &mut Context<'_>,
) -> Poll<PollOutcome> {
    const BYTES: [u8; 8] = [7; 8];
    match op {
        Op::Read(room) => {
            let mut bytes = [0; 8];
            let mut buf = ReadBuf::new(&mut bytes[..room]);
            let polled = Pin::new(stream).poll_read(cx, &mut buf);
            PollOutcome::of(polled, |()| PollOutcome::Read(buf.filled().to_vec()))
        }
        Op::Write(len) => {
            let polled = Pin::new(stream).poll_write(cx, &BYTES[..len]);
            PollOutcome::of(polled, PollOutcome::Wrote)
        }
        Op::Flush => PollOutcome::of(Pin::new(stream).poll_flush(cx), |()| PollOutcome::Done),
        Op::Shutdown => PollOutcome::of(Pin::new(stream).poll_shutdown(cx), |()| PollOutcome::Done),
        Op::Connected => {
            let polled = pin!(stream.connected()).poll(cx);
            PollOutcome::of(polled, PollOutcome::Generation)
        }
    }
}
