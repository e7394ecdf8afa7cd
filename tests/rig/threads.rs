//! The same histories with a second thread that injects what happens meanwhile.
//!
//! Each round has a few acts. The second thread does them while the first polls; then it is
//! silence, and a task that waits for something that is there was not woken.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::harness::Rig;
use super::hook::Act;
use super::messages::{Client, Plan, pass};
use super::random::Random;
use super::run::Failure;
use super::settings::Stats;

/// Without progress for so long, the threads have locked each other out.
const WATCHDOG: Duration = Duration::from_secs(120);

struct Job {
    rig: Arc<Rig>,
    acts: Vec<Act>,
    random: Random,
}

#[derive(Default)]
struct Mailbox {
    job: Mutex<Option<Job>>,
    is_busy: AtomicBool,
    is_over: AtomicBool,
    rounds: AtomicU64,
}

/// The second thread.
pub struct Injector {
    mailbox: Arc<Mailbox>,
    threads: Vec<JoinHandle<()>>,
}

impl Injector {
    pub fn new() -> Self {
        let mailbox = Arc::new(Mailbox::default());
        let (of_jobs, of_watch) = (Arc::clone(&mailbox), Arc::clone(&mailbox));
        let threads = vec![
            thread::spawn(move || inject(&of_jobs)),
            thread::spawn(move || watch(&of_watch)),
        ];
        Self { mailbox, threads }
    }

    fn start(&self, job: Job) {
        self.mailbox.is_busy.store(true, Ordering::SeqCst);
        *self.mailbox.job.lock().unwrap() = Some(job);
        self.threads[0].thread().unpark();
    }

    fn is_done(&self) -> bool {
        !self.mailbox.is_busy.load(Ordering::SeqCst)
    }
}

impl Drop for Injector {
    fn drop(&mut self) {
        self.mailbox.is_over.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            thread.thread().unpark();
            thread.join().unwrap();
        }
    }
}

fn inject(mailbox: &Mailbox) {
    let mut idle = 0;
    while !mailbox.is_over.load(Ordering::SeqCst) {
        let job = mailbox.job.lock().unwrap().take();
        let Some(mut job) = job else {
            idle += 1;
            // A thread that was parked comes too late for the polls: so it spins for a while.
            if idle > 2_000 {
                thread::park_timeout(Duration::from_millis(1));
            }
            std::hint::spin_loop();
            continue;
        };
        idle = 0;
        for act in job.acts {
            for _ in 0..job.random.below(300) {
                std::hint::spin_loop();
            }
            job.rig.act(act);
        }
        mailbox.rounds.fetch_add(1, Ordering::SeqCst);
        mailbox.is_busy.store(false, Ordering::SeqCst);
    }
}

fn watch(mailbox: &Mailbox) {
    let mut last = u64::MAX;
    while !mailbox.is_over.load(Ordering::SeqCst) {
        thread::park_timeout(WATCHDOG);
        let rounds = mailbox.rounds.load(Ordering::SeqCst);
        let is_stuck = rounds == last && mailbox.is_busy.load(Ordering::SeqCst);
        if is_stuck && !mailbox.is_over.load(Ordering::SeqCst) {
            eprintln!("the threads have locked each other out");
            std::process::abort();
        }
        last = rounds;
    }
}

/// Runs the history of a seed, as far as two threads can repeat one.
pub async fn history(seed: u64, injector: &Injector) -> Result<Stats, Failure> {
    let mut random = Random::new(seed);
    let mut plan = Plan::of(&mut random);
    (plan.has_hooks, plan.may_burst) = (false, false);
    let mut client = Client::new(plan, random);
    client.rig.harness().checks_epochs = false;
    let rounds = 10 + client.random.below(30);
    for _ in 0..rounds {
        client.round(injector);
        client.check()?;
        if client.random.one_in(4) {
            pass(1 + client.random.below(20) as u64).await;
        }
    }
    client.tear_down().await?;
    Ok(client.stats())
}

impl Client {
    fn round(&mut self, injector: &Injector) {
        self.steps += 1;
        if self.random.one_in(4) {
            self.cancel();
        }
        self.step_writer();
        self.step_reader();
        let acts = (0..=self.random.below(4))
            .map(|_| self.act_of_the_peer())
            .collect();
        injector.start(Job {
            rig: Arc::clone(&self.rig),
            acts,
            random: Random::new(self.random.next()),
        });
        for extra in 0.. {
            if injector.is_done() {
                break;
            }
            if extra < 3 {
                self.step_writer();
            }
            if self.all_wait() {
                // The wakers unpark this thread.
                thread::park_timeout(Duration::from_micros(20));
            }
            self.run();
        }
        self.run();
    }
}
