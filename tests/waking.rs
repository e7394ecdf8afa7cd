//! Both halves of a split stream complete, whoever polled last, and whoever is gone.
//!
//! The halves are polled as an executor would: only when they were woken. A lost wake-up leaves
//! one unfinished.

mod support;

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use reconnecting_stream::{Backoff, Connect, Handle, Policy, ReconnectingStream, State};
use support::{Fault, Network, Outcome, Task, Wire, gave_up};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, ReadHalf, WriteHalf};
use tokio::time::advance;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    Reader,
    Writer,
}
use Half::{Reader, Writer};

type Split<C> = (
    ReadHalf<ReconnectingStream<C>>,
    WriteHalf<ReconnectingStream<C>>,
);

/// One half on its own task, with one operation to complete.
struct Side<H> {
    half: Option<H>,
    task: Task,
    result: Option<io::Result<()>>,
}

impl<H> Side<H> {
    fn new(half: H) -> Self {
        Self {
            half: Some(half),
            task: Task::new(),
            result: None,
        }
    }

    fn poll(&mut self, operation: impl FnOnce(Pin<&mut H>, &Task) -> Poll<io::Result<()>>)
    where
        H: Unpin,
    {
        if let (Some(half), None) = (&mut self.half, &self.result) {
            if let Poll::Ready(result) = operation(Pin::new(half), &self.task) {
                self.result = Some(result);
            }
        }
    }

    fn is_woken(&self) -> bool {
        !self.is_done() && self.task.is_woken()
    }

    fn is_done(&self) -> bool {
        self.half.is_none() || self.result.is_some()
    }
}

/// What is asked of the two halves: to read a byte, to write a byte.
struct Pair<C: Connect> {
    reader: Side<ReadHalf<ReconnectingStream<C>>>,
    writer: Side<WriteHalf<ReconnectingStream<C>>>,
}

impl<C: Connect<Io = Wire>> Pair<C> {
    fn new((reader, writer): Split<C>) -> Self {
        Self {
            reader: Side::new(reader),
            writer: Side::new(writer),
        }
    }

    fn poll(&mut self, half: Half) {
        match half {
            Reader => self.reader.poll(|reader, task| {
                let mut byte = [0];
                task.poll(|cx| reader.poll_read(cx, &mut ReadBuf::new(&mut byte)))
            }),
            Writer => self
                .writer
                .poll(|writer, task| task.poll(|cx| writer.poll_write(cx, b"x").map_ok(|_| ()))),
        }
    }

    fn abandon(&mut self, half: Half, how: Gone) {
        match (how, half) {
            (Gone::Not, _) => {}
            // Never polled again, as after a `select!`.
            (Gone::Cancelled, Reader) => self.reader.result = Some(Ok(())),
            (Gone::Cancelled, Writer) => self.writer.result = Some(Ok(())),
            (Gone::Dropped, Reader) => self.reader.half = None,
            (Gone::Dropped, Writer) => self.writer.half = None,
        }
    }

    /// An executor with a clock: polls whoever was woken, for a quarter of a minute.
    async fn run(&mut self) {
        for _ in 0..60 {
            for _ in 0..20 {
                if self.reader.is_woken() {
                    self.poll(Reader);
                }
                if self.writer.is_woken() {
                    self.poll(Writer);
                }
            }
            if self.reader.is_done() && self.writer.is_done() {
                return;
            }
            advance(SECOND / 4).await;
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gone {
    Not,
    Cancelled,
    Dropped,
}

/// How the outage ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    AtOnce,
    AfterAWhile,
    AfterTimeouts,
    GivenUp,
    Closed,
    Redialed,
}

impl End {
    const ALL: [Self; 6] = [
        Self::AtOnce,
        Self::AfterAWhile,
        Self::AfterTimeouts,
        Self::GivenUp,
        Self::Closed,
        Self::Redialed,
    ];

    fn outcomes(self) -> Vec<Outcome> {
        match self {
            Self::AtOnce => vec![],
            Self::AfterAWhile => vec![Outcome::AcceptsAfter(2 * SECOND)],
            Self::AfterTimeouts => vec![Outcome::Hangs, Outcome::Hangs],
            Self::GivenUp => vec![Outcome::Refuses(io::ErrorKind::ConnectionRefused); 3],
            Self::Closed => vec![Outcome::Hangs; 3],
            Self::Redialed => vec![Outcome::Hangs; 3],
        }
    }

    fn command(self, handle: &Handle) {
        match self {
            Self::Closed => handle.close(),
            Self::Redialed => handle.reconnect(),
            Self::AtOnce | Self::AfterAWhile | Self::AfterTimeouts | Self::GivenUp => {}
        }
    }

    fn check(self, result: &io::Result<()>, half: Half) {
        match (self, half) {
            (Self::GivenUp | Self::Redialed, _) => {
                assert!(gave_up(result.as_ref().unwrap_err()).is_some());
            }
            (Self::Closed, Writer) => {
                assert_eq!(
                    result.as_ref().unwrap_err().kind(),
                    io::ErrorKind::BrokenPipe
                );
            }
            (Self::Closed, Reader)
            | (Self::AtOnce | Self::AfterAWhile | Self::AfterTimeouts, _) => {
                result.as_ref().unwrap();
            }
        }
    }
}

fn policy() -> Policy {
    Policy::default()
        .backoff(Backoff::constant(SECOND))
        .attempt_timeout(3 * SECOND)
        .max_attempts(3)
}

/// Every order of so many polls.
fn orders(polls: u32) -> impl Iterator<Item = Vec<Half>> {
    (0..2u32.pow(polls)).map(move |bits| {
        (0..polls)
            .map(|i| if bits >> i & 1 == 0 { Reader } else { Writer })
            .collect()
    })
}

/// One case: both halves wait, the connection dies, they are polled in `order` while time
/// passes, the half that polled last goes, the outage ends.
async fn case(end: End, order: &[Half], gone: Gone, command_at: usize) {
    let network = Network::new();
    network.script([Outcome::Accepts]).script(end.outcomes());
    let stream = ReconnectingStream::builder(network.connector())
        .policy(policy())
        .connect()
        .await
        .unwrap();
    let handle = stream.handle();
    let mut pair = Pair::new(tokio::io::split(stream));
    network.peer(1).set_room(0);
    pair.poll(Reader);
    pair.poll(Writer);
    // Whoever is polled next finds it out; the other one has to be woken by the stream.
    network.peer(1).fault_unnoticed(Fault::Reset);

    for (i, half) in order.iter().enumerate() {
        if i == command_at {
            end.command(&handle);
        }
        pair.poll(*half);
        advance(SECOND / 2).await;
    }
    let last = *order.last().unwrap();
    pair.abandon(last, gone);
    if command_at >= order.len() {
        end.command(&handle);
    }
    // The bytes that let a read complete, on whichever connection there will be.
    for _ in 0..2 {
        pair.run().await;
        for generation in 2..=network.connections() {
            network.peer(generation).send(b"y");
        }
    }
    for (half, result, is_there) in [
        (Reader, &pair.reader.result, pair.reader.half.is_some()),
        (Writer, &pair.writer.result, pair.writer.half.is_some()),
    ] {
        let is_asked = gone == Gone::Not || half != last;
        if is_asked && is_there {
            let result = result.as_ref();
            end.check(
                result.unwrap_or_else(|| {
                    panic!("{half:?} sleeps: {end:?} {order:?} {gone:?} {command_at}")
                }),
                half,
            );
        }
    }
}

async fn all_orders(end: End, gone: Gone) -> usize {
    let mut cases = 0;
    for polls in 1..=5 {
        for order in orders(polls) {
            for command_at in 0..=order.len() {
                case(end, &order, gone, command_at).await;
                cases += 1;
            }
        }
    }
    cases
}

/// 320 orders and moments for each way in which an outage ends.
macro_rules! both_halves_complete {
    ($($name:ident: $gone:expr;)*) => {$(
        #[tokio::test(start_paused = true)]
        async fn $name() {
            for end in End::ALL {
                assert_eq!(all_orders(end, $gone).await, 320, "{end:?}");
            }
        }
    )*};
}

both_halves_complete! {
    in_every_order_of_polls: Gone::Not;
    after_the_half_that_polled_last_was_cancelled: Gone::Cancelled;
    after_the_half_that_polled_last_was_dropped: Gone::Dropped;
}

#[tokio::test(start_paused = true)]
async fn a_command_wakes_halves_that_wait_for_a_healthy_connection() {
    for close in [true, false] {
        let network = Network::new();
        let stream = ReconnectingStream::builder(network.connector())
            .policy(policy())
            .connect()
            .await
            .unwrap();
        let handle = stream.handle();
        let mut pair = Pair::new(tokio::io::split(stream));
        network.peer(1).set_room(0);
        pair.poll(Reader);
        pair.poll(Writer);
        if close {
            handle.close();
        } else {
            handle.reconnect();
        }
        pair.run().await;
        if !close {
            network.peer(2).send(b"y");
            pair.run().await;
        }
        assert!(pair.reader.result.is_some() && pair.writer.result.is_some());
        assert!(network.peer(1).is_dropped());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_well_wakes_nobody() {
    let network = Network::new();
    let stream = ReconnectingStream::connect(network.connector())
        .await
        .unwrap();
    let mut pair = Pair::new(tokio::io::split(stream));
    pair.poll(Reader);
    advance(3600 * SECOND).await;
    assert!(!pair.reader.is_woken());
}

/// A pair that waits on a connection that is dead without anybody knowing.
async fn unnoticed_loss(network: &Network, policy: Policy) -> Pair<impl Connect<Io = Wire>> {
    let stream = ReconnectingStream::builder(network.connector())
        .policy(policy)
        .connect()
        .await
        .unwrap();
    let mut pair = Pair::new(tokio::io::split(stream));
    network.peer(1).set_room(0);
    pair.poll(Reader);
    pair.poll(Writer);
    network.peer(1).fault_unnoticed(Fault::Reset);
    pair
}

#[tokio::test(start_paused = true)]
async fn giving_up_at_the_loss_itself_wakes_the_other_half() {
    for (finder, other) in [(Reader, Writer), (Writer, Reader)] {
        let network = Network::new();
        let mut pair = unnoticed_loss(&network, policy().max_attempts(0)).await;
        pair.poll(finder);
        assert!(pair.reader.is_done() != pair.writer.is_done());
        pair.run().await;
        assert!(
            pair.reader.is_done() && pair.writer.is_done(),
            "{other:?} sleeps"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_during_an_outage_wakes_the_reader() {
    let network = Network::new();
    network.otherwise(Outcome::Hangs).script([Outcome::Accepts]);
    let mut pair = unnoticed_loss(&network, policy()).await;
    pair.poll(Reader);
    let writer = pair.writer.half.as_mut().unwrap();
    let task = Task::new();
    let shutdown = task.poll(|cx| Pin::new(writer).poll_shutdown(cx));
    assert!(matches!(shutdown, Poll::Ready(Ok(()))));
    assert!(pair.reader.is_woken());
    pair.poll(Reader);
    pair.reader.result.unwrap().unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_loss_wakes_the_other_half_at_once() {
    for (finder, other) in [(Reader, Writer), (Writer, Reader)] {
        let network = Network::new();
        let mut pair = unnoticed_loss(&network, policy()).await;
        pair.poll(finder);
        let is_woken = match other {
            Reader => pair.reader.is_woken(),
            Writer => pair.writer.is_woken(),
        };
        assert!(is_woken, "the connection took {other:?}'s waker with it");
    }
}

/// The same with tasks of both runtimes, sockets, and resets that come from a peer.
mod on_a_runtime {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::Mutex;
    use tokio::time::timeout;

    use super::*;

    /// A peer that resets every other connection after its first byte, and echoes on the rest.
    async fn moody_echo(listener: TcpListener) {
        for n in 0.. {
            let (mut socket, _) = listener.accept().await.unwrap();
            if n % 2 == 0 {
                socket.read_u8().await.unwrap();
                socket.set_zero_linger().unwrap();
                continue;
            }
            tokio::spawn(async move {
                let (mut from, mut to) = socket.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    }

    async fn connect(
        address: SocketAddr,
    ) -> ReconnectingStream<impl Connect<Io = TcpStream, Future: Send> + Send> {
        ReconnectingStream::builder(move || TcpStream::connect(address))
            .policy(Policy::default().backoff(Backoff::constant(SECOND / 200)))
            .connect()
            .await
            .unwrap()
    }

    /// Writes until an answer has come: the peer's reset may have taken any byte with it. The
    /// reader that was there first may be aborted; the next one has its place.
    async fn both_halves_complete(abort_first_reader: bool) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let peer = tokio::spawn(moody_echo(listener));
        let (reader, mut writer) = tokio::io::split(connect(address).await);
        let reader = Arc::new(Mutex::new(reader));
        let read = || {
            let reader = Arc::clone(&reader);
            tokio::spawn(async move { reader.lock().await.read_u8().await.unwrap() })
        };
        let mut waiting = read();
        tokio::task::yield_now().await;
        writer.write_u8(b'?').await.unwrap();
        if abort_first_reader {
            waiting.abort();
            let _ = (&mut waiting).await;
            waiting = read();
        }
        let writing = tokio::spawn(async move {
            loop {
                writer.write_u8(b'!').await.unwrap();
                tokio::time::sleep(SECOND / 1000).await;
            }
        });
        let answer = timeout(30 * SECOND, waiting)
            .await
            .expect("the reader sleeps");
        assert!(matches!(answer.unwrap(), b'?' | b'!'));
        writing.abort();
        peer.abort();
    }

    #[tokio::test]
    async fn current_thread() {
        for run in 0..40 {
            both_halves_complete(run % 2 == 0).await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn multi_thread() {
        for run in 0..40 {
            both_halves_complete(run % 2 == 0).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_goes_on_does_not_wake_its_own_task() {
    let network = Network::new();
    let mut stream = ReconnectingStream::builder(network.connector())
        .policy(Policy::default().backoff(Backoff::none()))
        .connect()
        .await
        .unwrap();
    let task = Task::new();
    let mut buf = [0; 8];
    let mut read = || {
        let mut buf = ReadBuf::new(&mut buf);
        task.poll(|cx| Pin::new(&mut stream).poll_read(cx, &mut buf))
    };
    assert!(read().is_pending());
    network.peer(1).fault(Fault::Reset);
    assert_eq!(task.take_wakes(), 1);
    // It yields before it dials again: that is the one wake-up.
    assert!(read().is_pending());
    assert_eq!(task.take_wakes(), 1);
    // It dials, connects and reads, and has nothing to wake itself for.
    assert!(read().is_pending());
    assert_eq!(task.take_wakes(), 0);
    network.peer(2).send(b"x");
    assert!(read().is_ready());
}

/// A connection that closes its own stream while it is read, and has nothing to read.
struct Meddler(Arc<OnceLock<Handle>>);

impl AsyncRead for Meddler {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(handle) = self.0.get() {
            handle.close();
        }
        Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn a_command_that_comes_during_a_read_is_obeyed_by_that_read() {
    let handle = Arc::default();
    let meddler = Meddler(Arc::clone(&handle));
    let connector = || std::future::pending::<io::Result<Meddler>>();
    let mut stream = ReconnectingStream::builder(connector).wrap(meddler);
    handle.set(stream.handle()).unwrap();
    let (task, mut bytes) = (Task::new(), [0; 4]);
    let mut buf = ReadBuf::new(&mut bytes);
    let read = task.poll(|cx| Pin::new(&mut stream).poll_read(cx, &mut buf));
    assert!(read.is_ready());
    assert!(buf.filled().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_handle_keeps_no_task_alive_when_its_stream_is_gone() {
    struct Nobody;
    impl Wake for Nobody {
        fn wake(self: Arc<Self>) {}
    }

    let connector = || std::future::pending::<io::Result<Wire>>();
    let mut stream = ReconnectingStream::builder(connector).lazy();
    let handle = stream.handle();
    let task = Arc::new(Nobody);
    let waker = Waker::from(Arc::clone(&task));
    let mut bytes = [0; 4];
    let mut buf = ReadBuf::new(&mut bytes);
    // The first poll yields, and wakes; the second waits for the attempt.
    for _ in 0..2 {
        let read = Pin::new(&mut stream).poll_read(&mut Context::from_waker(&waker), &mut buf);
        assert!(read.is_pending());
    }
    drop(waker);
    assert_eq!(Arc::strong_count(&task), 2);
    drop(stream);
    assert_eq!(Arc::strong_count(&task), 1);
    assert_eq!(handle.state(), State::Closed);
}
