//! What the proxy and its tasks share.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::order::{Command, Order};
use super::plan::Plan;
use super::port::Wanted;
use super::stats::Stats;

/// What the proxy and its tasks have in common.
pub(super) struct Shared {
    upstream: SocketAddr,
    plans: Mutex<Plans>,
    /// To the connections, some of which have ended.
    orders: Mutex<Vec<mpsc::UnboundedSender<Order>>>,
    stats: watch::Sender<Stats>,
    wanted: watch::Sender<Wanted>,
    /// The last of `wanted` that the port has obeyed.
    obeyed: watch::Sender<Wanted>,
}

struct Plans {
    scripted: VecDeque<Plan>,
    otherwise: Otherwise,
}

/// The plan of a connection that has none scripted.
type Otherwise = Box<dyn FnMut(u64) -> Plan + Send>;

impl Shared {
    pub(super) fn new(upstream: SocketAddr) -> Self {
        Self {
            upstream,
            plans: Mutex::new(Plans {
                scripted: VecDeque::new(),
                otherwise: Box::new(|_| Plan::new()),
            }),
            orders: Mutex::default(),
            stats: watch::Sender::default(),
            wanted: watch::Sender::new(Wanted::Listen),
            obeyed: watch::Sender::new(Wanted::Listen),
        }
    }

    pub(super) fn upstream(&self) -> SocketAddr {
        self.upstream
    }

    pub(super) fn script(&self, plans: impl IntoIterator<Item = Plan>) {
        self.plans().scripted.extend(plans);
    }

    pub(super) fn otherwise(&self, plan: Otherwise) {
        self.plans().otherwise = plan;
    }

    pub(super) fn stats(&self) -> watch::Receiver<Stats> {
        self.stats.subscribe()
    }

    pub(super) fn wanted(&self) -> watch::Receiver<Wanted> {
        self.wanted.subscribe()
    }

    pub(super) fn obeyed(&self, wanted: Wanted) {
        self.obeyed.send_replace(wanted);
    }

    pub(super) fn count(&self, count: impl FnOnce(&mut Stats)) {
        self.stats.send_modify(count);
    }

    /// A connection was accepted: its plan, and where its orders come from.
    pub(super) fn register(&self) -> (Plan, mpsc::UnboundedReceiver<Order>) {
        self.count(|stats| stats.accepted += 1);
        let number = self.stats.borrow().accepted;
        let mut plans = self.plans();
        let plan = match plans.scripted.pop_front() {
            Some(plan) => plan,
            None => (plans.otherwise)(number),
        };
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut orders = self.orders();
        orders.retain(|sender| !sender.is_closed());
        orders.push(sender);
        (plan, receiver)
    }

    /// The longest of several faults counts, and a command of the user before them.
    pub(super) fn refuse_for(&self, time: Duration) {
        let until = after(time);
        self.wanted.send_modify(|wanted| {
            *wanted = match *wanted {
                Wanted::Listen => Wanted::RefuseUntil(until),
                Wanted::RefuseUntil(other) => Wanted::RefuseUntil(until.max(other)),
                Wanted::Refuse => Wanted::Refuse,
            };
        });
    }

    /// The time of a refusal is over, unless something else is wanted meanwhile.
    pub(super) fn refused(&self, until: Instant) {
        self.wanted.send_if_modified(|wanted| {
            let is_over = *wanted == Wanted::RefuseUntil(until);
            if is_over {
                *wanted = Wanted::Listen;
            }
            is_over
        });
    }

    pub(super) async fn want(&self, wanted: Wanted) {
        let mut obeyed = self.obeyed.subscribe();
        self.wanted.send_replace(wanted);
        // It fails without a sender, and the sender is ours.
        let _ = obeyed.wait_for(|obeyed| *obeyed == wanted).await;
    }

    /// Returns how many connections have obeyed.
    pub(super) async fn order(&self, command: Command) -> usize {
        let (obeyed, mut obedient) = mpsc::unbounded_channel();
        for connection in self.orders().iter() {
            // It fails if the connection has ended.
            let _ = connection.send(Order(command, obeyed.clone()));
        }
        drop(obeyed);
        let mut count = 0;
        while obedient.recv().await.is_some() {
            count += 1;
        }
        count
    }

    fn plans(&self) -> MutexGuard<'_, Plans> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn orders(&self) -> MutexGuard<'_, Vec<mpsc::UnboundedSender<Order>>> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Never, if that is beyond the clock.
pub(super) fn after(time: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
    let now = Instant::now();
    now.checked_add(time).unwrap_or_else(|| now + FAR)
}
