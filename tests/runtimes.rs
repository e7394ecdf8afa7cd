//! A stream whose tasks are on several runtimes, one after the other.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use reconnecting_stream::{
    Backoff, Connect, Event, Policy, Reconnecting, ReconnectingStream, State,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{advance, timeout};

const MS: Duration = Duration::from_millis(1);
/// Nothing takes so long.
const LIMIT: Duration = Duration::from_secs(20);

/// Returns a runtime whose clock is paused.
fn runtime() -> Runtime {
    let mut runtime = Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().unwrap()
}

/// How the first runtime continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    /// It is not driven any more.
    Stands,
    Ends,
}

impl First {
    const BOTH: [Self; 2] = [Self::Stands, Self::Ends];

    /// Returns the first runtime if it is to stay.
    fn apply(self, runtime: Runtime) -> Option<Runtime> {
        (self == Self::Stands).then_some(runtime)
    }
}

fn policy() -> Policy {
    let policy = Policy::default().backoff(Backoff::constant(100 * MS));
    policy.max_attempts(None)
}

/// A connector that refuses until it is told to connect, and keeps the servers' ends.
#[derive(Clone, Default)]
struct Server {
    is_up: Arc<AtomicBool>,
    ends: Arc<Mutex<Vec<DuplexStream>>>,
}

impl Server {
    fn connect(&self) -> io::Result<DuplexStream> {
        if !self.is_up.load(Ordering::SeqCst) {
            return Err(ErrorKind::ConnectionRefused.into());
        }
        let (client, server) = duplex(64);
        self.ends.lock().unwrap().push(server);
        Ok(client)
    }

    fn go_up(&self) {
        self.is_up.store(true, Ordering::SeqCst);
    }

    /// Returns a connector for a stream.
    fn connector(
        &self,
    ) -> impl FnMut() -> std::future::Ready<io::Result<DuplexStream>> + Send + use<> {
        let server = self.clone();
        move || std::future::ready(server.connect())
    }
}

/// Polls a future on a runtime until it waits for the backoff.
fn waits(runtime: &Runtime, future: impl Future) {
    let waited = runtime.block_on(async { timeout(20 * MS, future).await });
    assert!(waited.is_err(), "there is no connection");
}

#[test]
fn a_backoff_that_began_on_one_runtime_ends_on_another() {
    for first in First::BOTH {
        let (server, runtime_one, runtime_two) = (Server::default(), runtime(), runtime());
        let builder = ReconnectingStream::builder(server.connector());
        let mut stream = builder.policy(policy()).lazy();
        waits(&runtime_one, stream.connected());
        let _one = first.apply(runtime_one);
        server.go_up();
        let connected = runtime_two.block_on(async { timeout(LIMIT, stream.connected()).await });
        assert_eq!(connected.unwrap().unwrap(), 1, "{first:?}");
    }
}

#[test]
fn a_client_that_tasks_share_is_made_on_the_runtime_that_still_runs() {
    for first in First::BOTH {
        let (runtime_one, runtime_two) = (runtime(), runtime());
        let is_up = Arc::new(AtomicBool::new(false));
        let up = Arc::clone(&is_up);
        let connector = move || {
            let refused = || Err(ErrorKind::ConnectionRefused.into());
            std::future::ready(
                up.load(Ordering::SeqCst)
                    .then_some(())
                    .map_or_else(refused, Ok),
            )
        };
        let builder = Reconnecting::builder(connector).policy(policy());
        let database = builder.lazy().shared();
        waits(&runtime_one, database.get());
        let _one = first.apply(runtime_one);
        is_up.store(true, Ordering::SeqCst);
        let client = runtime_two.block_on(async { timeout(LIMIT, database.get()).await });
        assert_eq!(client.unwrap().unwrap().generation(), 1, "{first:?}");
    }
}

#[test]
fn a_half_continues_on_its_runtime_after_that_of_the_other_half() {
    for first in First::BOTH {
        let (server, runtime_one, runtime_two) = (Server::default(), runtime(), runtime());
        server.go_up();
        let builder = ReconnectingStream::builder(server.connector()).policy(policy());
        let (mut reader, mut writer) = builder.lazy().into_split();
        waits(&runtime_one, reader.read_u8());
        server.ends.lock().unwrap().clear();
        waits(&runtime_one, reader.read_u8());
        let _one = first.apply(runtime_one);
        let written = runtime_two.block_on(async { timeout(LIMIT, writer.write_all(b"x")).await });
        written.unwrap().unwrap();
    }
}

/// Counts how often its task was woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Asserts that the task of this future is woken at the end of the backoff, on a runtime that runs,
/// although another task polled later, on a runtime that is not driven any more.
fn is_woken(waiting: impl Future, later: impl Future) {
    let (runs, stands) = (runtime(), runtime());
    let mut waiting = pin!(waiting);
    waits(&runs, waiting.as_mut());
    let wakes = Arc::new(Wakes::default());
    {
        let _runs = runs.enter();
        let waker = Waker::from(Arc::clone(&wakes));
        let polled = waiting.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
    }
    waits(&stands, later);
    wakes.0.store(0, Ordering::SeqCst);
    runs.block_on(advance(100 * MS));
    assert!(wakes.0.load(Ordering::SeqCst) > 0);
}

#[test]
fn a_half_is_woken_by_its_runtime_though_the_other_half_has_left_one_that_stands() {
    let server = Server::default();
    let builder = ReconnectingStream::builder(server.connector()).policy(policy());
    let (mut reader, mut writer) = builder.lazy().into_split();
    is_woken(reader.read_u8(), writer.write_all(b"x"));
}

#[test]
fn a_task_that_shares_a_client_is_woken_by_its_runtime_though_another_has_left_one_that_stands() {
    let refuses = || std::future::ready(io::Result::<()>::Err(ErrorKind::ConnectionRefused.into()));
    let builder = Reconnecting::builder(refuses).policy(policy());
    let database = builder.lazy().shared();
    is_woken(database.get(), database.get());
}

#[test]
fn an_idle_timeout_holds_on_the_runtime_that_reads() {
    for first in First::BOTH {
        let (server, runtime_one, runtime_two) = (Server::default(), runtime(), runtime());
        server.go_up();
        let mut stream = ReconnectingStream::builder(server.connector())
            .policy(policy().idle_timeout(300 * MS).stable_after(Duration::ZERO))
            .lazy();
        waits(&runtime_one, stream.read_u8());
        let _one = first.apply(runtime_one);
        runtime_two.block_on(async {
            let read = timeout(LIMIT, stream.read_u8());
            let second = async {
                while server.ends.lock().unwrap().len() < 2 {
                    tokio::time::sleep(MS).await;
                }
            };
            tokio::select! {
                byte = read => panic!("{first:?}: {byte:?}"),
                second = timeout(LIMIT, second) => second.unwrap(),
            }
        });
    }
}

#[test]
fn an_attempt_that_hangs_on_a_runtime_that_is_gone_times_out_on_another() {
    for first in First::BOTH {
        let (runtime_one, runtime_two) = (runtime(), runtime());
        let attempts = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&attempts);
        let connector = move || {
            let number = counted.fetch_add(1, Ordering::SeqCst);
            async move {
                if number == 0 {
                    std::future::pending::<()>().await;
                }
                io::Result::Ok(duplex(64).0)
            }
        };
        let mut stream = ReconnectingStream::builder(connector)
            .policy(policy().attempt_timeout(200 * MS))
            .lazy();
        waits(&runtime_one, stream.connected());
        let _one = first.apply(runtime_one);
        let connected = runtime_two.block_on(async { timeout(LIMIT, stream.connected()).await });
        assert_eq!(connected.unwrap().unwrap(), 1, "{first:?}");
        assert_eq!(attempts.load(Ordering::SeqCst), 2);
    }
}

#[test]
fn a_step_that_hangs_on_a_runtime_that_is_gone_times_out_on_another() {
    for first in First::BOTH {
        let (runtime_one, runtime_two) = (runtime(), runtime());
        let attempts = AtomicUsize::new(0);
        let connector = move || {
            let number = attempts.fetch_add(1, Ordering::SeqCst);
            async move {
                if number == 0 {
                    std::future::pending::<()>().await;
                }
                io::Result::Ok(duplex(64).0)
            }
        };
        let failures = Arc::new(Mutex::new(Vec::new()));
        let failed = Arc::clone(&failures);
        let mut stream = ReconnectingStream::builder(connector.timeout(200 * MS))
            .policy(policy())
            .on_event(move |event: &Event| {
                if let Event::AttemptFailed { error, .. } = event {
                    failed.lock().unwrap().push(error.to_string());
                }
            })
            .lazy();
        waits(&runtime_one, stream.connected());
        let _one = first.apply(runtime_one);
        let connected = runtime_two.block_on(async { timeout(LIMIT, stream.connected()).await });
        assert_eq!(connected.unwrap().unwrap(), 1, "{first:?}");
        let failures = failures.lock().unwrap();
        assert_eq!(*failures, ["the step did not complete within 200ms"]);
    }
}

#[cfg(feature = "net")]
#[test]
fn a_tcp_connect_that_began_on_one_runtime_is_made_again_on_another() {
    let real = || Builder::new_current_thread().enable_all().build().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for first in First::BOTH {
        let (runtime_one, runtime_two) = (real(), real());
        let address = listener.local_addr().unwrap();
        let connector = reconnecting_stream::TcpConnector::new(address);
        let mut stream = ReconnectingStream::builder(connector)
            .policy(policy().attempt_timeout(200 * MS))
            .lazy();
        {
            // Polled by hand, so that no reactor tells the socket that it is connected.
            let _one = runtime_one.enter();
            let mut connected = pin!(stream.connected());
            let mut cx = Context::from_waker(Waker::noop());
            for _ in 0..2 {
                assert!(connected.as_mut().poll(&mut cx).is_pending());
            }
        }
        assert_eq!(stream.state(), State::Connecting { attempt: 1 });
        let _one = first.apply(runtime_one);
        let connected = runtime_two.block_on(async { timeout(LIMIT, stream.connected()).await });
        assert_eq!(connected.unwrap().unwrap(), 1, "{first:?}");
    }
}

#[test]
fn a_loss_can_be_reported_without_a_runtime() {
    let runtime = runtime();
    let clients = AtomicUsize::new(0);
    let connector = move || {
        let number = clients.fetch_add(1, Ordering::SeqCst);
        std::future::ready(io::Result::Ok(number))
    };
    let builder = Reconnecting::builder(connector).policy(policy());
    let database = builder.lazy().shared();
    let lease = runtime.block_on(database.get()).unwrap();
    let report = std::thread::spawn(move || lease.mark_lost(ErrorKind::BrokenPipe.into()));
    report.join().unwrap();
    assert!(matches!(database.state(), State::Backoff { .. }));
    let next = runtime.block_on(async { timeout(LIMIT, database.get()).await });
    assert_eq!(*next.unwrap().unwrap(), 1);
}
