//! A client that is no byte stream: what is lent out, and what a report of its loss does.

mod support;

#[path = "reconnecting/panics.rs"]
mod panics;
#[path = "reconnecting/shared.rs"]
mod shared;
#[path = "reconnecting/waking.rs"]
mod waking;

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt;
use reconnecting_stream::{
    Attempt, Backoff, Builder, Connect, Event, Permanent, Policy, Reconnecting, State, Supervised,
};
use support::{Task, gave_up};
use tokio::time::{Instant, sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);

/// What a client is: no byte stream.
#[derive(Clone, Debug)]
struct Client(Arc<u64>);

impl Client {
    /// How many clones there are, with the one that the crate has.
    fn clones(&self) -> usize {
        Arc::strong_count(&self.0)
    }
}

/// The servers that the next attempts meet; then a client each time.
#[derive(Clone, Default)]
struct Servers(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    next: Vec<Answer>,
    attempts: Vec<(Instant, Option<String>)>,
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    After(Duration),
    Refuses(ErrorKind),
    RefusesForGood,
    Panics,
    /// Panics when it is polled again.
    PanicsLater,
}

impl Servers {
    /// The answers to the next attempts, in this order.
    fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        let mut answers: Vec<_> = answers.into_iter().collect();
        answers.reverse();
        self.0.lock().unwrap().next = answers;
    }

    fn attempts(&self) -> Vec<(Instant, Option<String>)> {
        self.0.lock().unwrap().attempts.clone()
    }

    fn connector(&self) -> Dialer {
        Dialer(self.clone())
    }
}

struct Dialer(Servers);

impl Connect for Dialer {
    type Io = Client;
    type Future = futures::future::BoxFuture<'static, io::Result<Client>>;

    fn connect(&mut self, attempt: &Attempt) -> Self::Future {
        let mut script = self.0.0.lock().unwrap();
        let last = attempt.last_error.as_ref().map(ToString::to_string);
        script.attempts.push((Instant::now(), last));
        let (answer, generation) = (script.next.pop(), attempt.generation);
        async move {
            match answer {
                Some(Answer::After(delay)) => sleep(delay).await,
                Some(Answer::Refuses(kind)) => return Err(kind.into()),
                Some(Answer::RefusesForGood) => return Err(Permanent::new("password").into()),
                Some(Answer::Panics) => panic!("a bug of the connector"),
                Some(Answer::PanicsLater) => {
                    let mut polls = 0;
                    poll_fn(|_| {
                        polls += 1;
                        assert!(polls < 2, "a bug of the connector");
                        Poll::<()>::Pending
                    })
                    .await;
                }
                None => {}
            }
            Ok(Client(Arc::new(generation)))
        }
        .boxed()
    }
}

fn builder(servers: &Servers) -> Builder<Dialer, Supervised> {
    let policy = Policy::default()
        .backoff(Backoff::constant(SECOND))
        .max_attempts(3);
    Reconnecting::builder(servers.connector()).policy(policy)
}

fn broken() -> io::Error {
    io::Error::other("the reply has the wrong number")
}

#[tokio::test(start_paused = true)]
async fn a_client_is_lent_until_its_loss_is_reported() {
    let servers = Servers::default();
    let mut database = builder(&servers).lazy();
    assert_eq!(
        (database.generation(), database.get_ref().is_none()),
        (0, true)
    );
    for _ in 0..3 {
        assert_eq!(*database.get().await.unwrap().0, 1);
    }
    let begin = Instant::now();
    database.mark_lost(broken());
    assert!(database.get_ref().is_none(), "it is dropped now");
    assert_eq!(*database.get().await.unwrap().0, 2);
    assert_eq!(begin.elapsed(), SECOND, "the policy has a backoff");
    assert_eq!(servers.attempts().len(), 2);
    assert_eq!(*database.get_mut().unwrap().0, 2);
    assert_eq!(*database.into_inner().unwrap().0, 2);
}

#[tokio::test(start_paused = true)]
async fn a_loss_is_reported_with_its_cause_to_events_and_to_the_connector() {
    let servers = Servers::default();
    let mut database = builder(&servers).connect().await.unwrap();
    let mut events = database.handle().subscribe_events();
    database.mark_lost(broken());
    database.mark_lost(io::Error::other("there is no client"));
    database.connected().await.unwrap();
    let Some(Ok(Event::Lost {
        generation: 1,
        cause,
        ..
    })) = events.recv().await
    else {
        panic!("no loss");
    };
    assert_eq!(cause.to_string(), broken().to_string());
    assert_eq!(servers.attempts()[1].1, Some(broken().to_string()));
    let retrying = events.recv().await.unwrap().unwrap();
    assert!(
        matches!(retrying, Event::Retrying { attempt: 1, .. }),
        "{retrying:?}"
    );
    let connected = events.recv().await.unwrap().unwrap();
    assert!(
        matches!(connected, Event::Connected { generation: 2, .. }),
        "{connected:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_reconnect_is_made_without_a_delay() {
    let servers = Servers::default();
    let mut database = builder(&servers).connect().await.unwrap();
    let begin = Instant::now();
    database.reconnect();
    assert_eq!(database.connected().await.unwrap(), 2);
    assert_eq!(begin.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_policy_gives_up_and_a_handle_starts_again() {
    let servers = Servers::default();
    let mut database = builder(&servers).connect().await.unwrap();
    servers.answer([Answer::Refuses(ErrorKind::ConnectionRefused); 3]);
    database.mark_lost(broken());
    for _ in 0..2 {
        let error = database.get().await.unwrap_err();
        assert_eq!(gave_up(&error).unwrap().attempts, 3);
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    }
    assert_eq!(database.state(), State::GaveUp);
    database.handle().reconnect();
    assert_eq!(*database.get().await.unwrap().0, 2);
}

#[tokio::test(start_paused = true)]
async fn a_permanent_error_and_a_close_are_final() {
    let servers = Servers::default();
    let mut database = builder(&servers).connect().await.unwrap();
    servers.answer([Answer::RefusesForGood]);
    database.mark_lost(broken());
    let error = database.get().await.unwrap_err();
    assert_eq!(gave_up(&error).unwrap().attempts, 1);
    database.handle().close();
    let error = database.get().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotConnected);
    assert!(database.get_mut().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_get_that_is_dropped_leaves_its_attempt_to_the_next() {
    let servers = Servers::default();
    servers.answer([Answer::After(3 * SECOND)]);
    let mut database = builder(&servers).lazy();
    for _ in 0..2 {
        assert!(timeout(SECOND, database.get()).await.is_err());
    }
    let begin = Instant::now();
    assert_eq!(*database.get().await.unwrap().0, 1);
    assert_eq!(begin.elapsed(), SECOND);
    assert_eq!(servers.attempts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_first_client_is_one_attempt_unless_it_is_retried() {
    let servers = Servers::default();
    servers.answer([Answer::Refuses(ErrorKind::ConnectionRefused)]);
    let error = builder(&servers).connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    servers.answer([Answer::Refuses(ErrorKind::ConnectionRefused)]);
    let retrying = builder(&servers).retry_initial_connect(true);
    assert_eq!(retrying.connect().await.unwrap().generation(), 1);
    let wrapped = builder(&servers).wrap(Client(Arc::new(7)));
    assert_eq!(*wrapped.get_ref().unwrap().0, 7);
    assert_eq!(wrapped.generation(), 1);
}
