//! The state that the proxy shares with its tasks.

use std::collections::VecDeque;
use std::future::{pending, poll_fn};
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::select;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::acceptor::{Accepted, retry_delay};
use super::plan::Plan;
use super::port::{BACKLOG, Port};
use super::relay::{Command, Relay, Request};
use super::stats::Stats;

/// How many times a command tries to listen, with a delay after each.
const TRIES: u32 = 100;

pub(super) struct ProxyState {
    pub(super) upstream: SocketAddr,
    /// The runtime of the tasks and sockets. A command may come from another one.
    runtime: Handle,
    stats: watch::Sender<Stats>,
    frontend: Mutex<Frontend>,
    /// Wakes the acceptor after the frontend was changed by another task.
    changed: Notify,
}

/// The client side of the proxy. While it is locked, no code of the user runs and no value of the
/// user is dropped.
struct Frontend {
    port: Port,
    scripted: VecDeque<Plan>,
    default_plan: DefaultPlan,
    /// The connections that the acceptor has not spawned yet.
    accepted: VecDeque<Accepted>,
    /// The senders to the connections, some of which have ended.
    connections: Vec<UnboundedSender<Request>>,
    /// The reason why every command panics.
    failure: Option<String>,
}

/// Makes the plan of a connection for which none is scripted.
pub(super) type DefaultPlan = Arc<Mutex<dyn FnMut(u64) -> Plan + Send>>;

type Done = oneshot::Receiver<()>;

impl ProxyState {
    pub(super) fn new(upstream: SocketAddr, port: Port) -> Self {
        Self {
            upstream,
            runtime: Handle::current(),
            stats: watch::Sender::default(),
            frontend: Mutex::new(Frontend {
                port,
                scripted: VecDeque::new(),
                default_plan: Arc::new(Mutex::new(|_| Plan::new())),
                accepted: VecDeque::new(),
                connections: Vec::new(),
                failure: None,
            }),
            changed: Notify::new(),
        }
    }

    pub(super) fn script(self: &Arc<Self>, plans: impl IntoIterator<Item = Plan>) {
        let plans: Vec<_> = plans.into_iter().collect();
        self.with_frontend(|frontend| frontend.scripted.extend(plans));
    }

    pub(super) fn set_default_plan(self: &Arc<Self>, plan: DefaultPlan) {
        let replace = |frontend: &mut Frontend| mem::replace(&mut frontend.default_plan, plan);
        drop(self.with_frontend(replace));
    }

    pub(super) fn stats(self: &Arc<Self>) -> watch::Receiver<Stats> {
        self.with_frontend(|_| ());
        self.stats.subscribe()
    }

    /// Changes the counters and wakes the tasks in `wait_for`. Call it without a lock, because their
    /// wakers are code of the user.
    pub(super) fn count(&self, count: impl FnOnce(&mut Stats)) {
        self.stats.send_modify(count);
    }

    /// Changes the counters without waking a task. A later `count` wakes them.
    pub(super) fn count_silently(&self, count: impl FnOnce(&mut Stats)) {
        self.stats.send_if_modified(|stats| {
            count(stats);
            false
        });
    }

    /// Sends the command to every connection, and returns how many have carried it out.
    pub(super) async fn command(self: &Arc<Self>, command: Command) -> usize {
        let mut count = 0;
        for (connection, mut done) in self.send(command) {
            let is_done = select! {
                result = &mut done => result.is_ok(),
                // A request that is sent while its receiver is dropped stays in the channel, so
                // it never completes.
                () = connection.closed() => done.try_recv().is_ok(),
            };
            count += usize::from(is_done);
        }
        self.check();
        count
    }

    fn send(self: &Arc<Self>, command: Command) -> Vec<(UnboundedSender<Request>, Done)> {
        let send = |connection: &UnboundedSender<Request>| {
            let (sender, done) = oneshot::channel();
            // An error means that the connection has ended.
            connection.send(Request(command, sender)).ok()?;
            Some((connection.clone(), done))
        };
        self.with_frontend(|frontend| frontend.connections.iter().filter_map(send).collect())
    }

    /// Refuses connections until that time, or until `listen` if there is none.
    pub(super) fn refuse(self: &Arc<Self>, until: Option<Instant>) {
        self.with_frontend(|frontend| frontend.port.refuse(until));
        self.changed.notify_one();
    }

    pub(super) async fn listen(&self) {
        for _ in 0..TRIES {
            let result = self.try_listen();
            self.check();
            if result.is_ok() {
                return;
            }
            retry_delay().await;
        }
        if let Err(error) = self.try_listen() {
            self.fail(format!("the proxy can't listen again: {error}"));
        }
        self.check();
    }

    fn try_listen(&self) -> io::Result<()> {
        let _context = self.runtime.enter();
        let result = self.lock().port.listen();
        self.changed.notify_one();
        result
    }

    /// Closes the port and the connections that were not spawned yet.
    pub(super) fn close(&self) {
        let accepted = {
            let mut frontend = self.lock();
            frontend.port.close();
            mem::take(&mut frontend.accepted)
        };
        drop(accepted);
    }

    /// Makes every later command panic. The first reason counts.
    pub(super) fn fail(&self, reason: String) {
        self.lock().failure.get_or_insert(reason);
        self.publish();
    }

    /// Panics if the proxy has failed.
    #[expect(clippy::panic, reason = "it fails the test that waits")]
    pub(super) fn check(&self) {
        let failure = self.lock().failure.clone();
        if let Some(failure) = failure {
            panic!("{failure}");
        }
    }

    pub(super) fn next_accepted(&self) -> Option<Accepted> {
        self.lock().accepted.pop_front()
    }

    /// Accepts a connection, or listens when a refusal ends, or returns after a change.
    pub(super) async fn drive_port(self: &Arc<Self>) {
        let until = self.lock().port.refuses_until();
        let refused = async {
            match until {
                Some(time) => sleep_until(time).await,
                None => pending().await,
            }
            self.try_listen()
        };
        let result = select! {
            () = self.changed.notified() => Ok(()),
            result = refused => result,
            result = poll_fn(|cx| self.poll_accept(cx)) => result,
        };
        if result.is_err() {
            // The system has no descriptors left, for example.
            retry_delay().await;
        }
    }

    fn poll_accept(self: &Arc<Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        {
            let mut frontend = self.lock();
            let client = ready!(frontend.port.poll_accept(cx))?;
            self.admit(&mut frontend, client);
        }
        self.publish();
        Poll::Ready(Ok(()))
    }

    /// Adds a connection, and counts it silently. Call `publish` without the lock.
    fn admit(self: &Arc<Self>, frontend: &mut Frontend, client: TcpStream) {
        let (sender, requests) = unbounded_channel();
        frontend.connections.retain(|sender| !sender.is_closed());
        frontend.connections.push(sender);
        let relay = Relay::new(Arc::clone(self));
        let number = self.stats.borrow().accepted;
        let plan = frontend.plan_of(number);
        frontend.accepted.push_back(Accepted {
            client,
            number,
            plan,
            relay,
            requests,
        });
        self.changed.notify_one();
    }

    /// Wakes the tasks in `wait_for`.
    fn publish(&self) {
        self.count(|_| {});
    }

    /// Calls `f` with the locked frontend, after it has admitted every connection whose `connect` has
    /// returned. The kernel established those before the call.
    fn with_frontend<T>(self: &Arc<Self>, f: impl FnOnce(&mut Frontend) -> T) -> T {
        let (result, has_admitted) = {
            let _context = self.runtime.enter();
            let mut frontend = self.lock();
            let has_admitted = self.admit_all(&mut frontend);
            (f(&mut frontend), has_admitted)
        };
        if has_admitted {
            self.publish();
        }
        result
    }

    fn admit_all(self: &Arc<Self>, frontend: &mut Frontend) -> bool {
        // The kernel queues no more than this.
        for admitted in 0..=BACKLOG {
            let Some(client) = frontend.port.try_accept() else {
                return admitted > 0;
            };
            self.admit(frontend, client);
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Frontend> {
        lock(&self.frontend)
    }
}

impl Frontend {
    fn plan_of(&mut self, number: u64) -> Box<dyn FnOnce() -> Plan + Send> {
        if let Some(plan) = self.scripted.pop_front() {
            return Box::new(|| plan);
        }
        let default_plan = Arc::clone(&self.default_plan);
        Box::new(move || lock(&default_plan)(number))
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the instant after this time, or a far one if the clock can't represent it.
pub(super) fn after(time: Duration) -> Instant {
    later(Instant::now(), time)
}

/// Returns the instant this long after `instant`, or a far one if the clock can't represent it.
pub(super) fn later(instant: Instant, time: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
    let far = || instant.checked_add(FAR).unwrap_or(instant);
    instant.checked_add(time).unwrap_or_else(far)
}
