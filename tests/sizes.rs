//! How large the types are, and which auto traits they have.

use std::any::Any;
use std::cell::Cell;
use std::error::Error;
use std::fmt::Debug;
use std::future::{Future, ready};
use std::io;
use std::marker::{PhantomData, PhantomPinned};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::MutexGuard;
use std::task::{Context, Poll};

use reconnecting_stream::{
    Attempt, Connect, ConnectionLost, GaveUp, Handle, Permanent, Policy, ReconnectingReadHalf,
    ReconnectingStream, ReconnectingWriteHalf,
};
use stubborn_io::StubbornTcpStream;
use tokio::net::TcpStream;

type Everything = ();
type NotSync = Cell<()>;
type NotSend = MutexGuard<'static, ()>;
type Neither = *const ();
type NotUnpin = PhantomPinned;

/// Whether a type implements a trait. The compiler prefers an inherent constant to that of a
/// trait, and the inherent one is there only if the bound holds.
macro_rules! implements {
    ($type:ty: $($bound:tt)+) => {{
        #[allow(dead_code)]
        trait Otherwise {
            const ANSWER: bool = false;
        }
        impl<T: ?Sized> Otherwise for Ask<T> {}
        struct Ask<T: ?Sized>(PhantomData<T>);
        impl<T: ?Sized + $($bound)+> Ask<T> {
            #[allow(dead_code)]
            const ANSWER: bool = true;
        }
        Ask::<$type>::ANSWER
    }};
}

macro_rules! assert_impl {
    ($type:ty: $($bound:tt)+) => { const { assert!(implements!($type: $($bound)+)) } };
}

macro_rules! assert_not_impl {
    ($type:ty: $($bound:tt)+) => { const { assert!(!implements!($type: $($bound)+)) } };
}

/// A stream whose connector, connection and attempt have the auto traits of these three.
type Stream<Connector, Connection, Attempt> =
    ReconnectingStream<Connects<Connector, Connection, Attempt>>;

struct Connects<Connector, Connection, Attempt> {
    _auto: PhantomData<Connector>,
    _makes: PhantomData<fn() -> (Connection, Attempt)>,
}

struct Attempted<Connection, Attempt> {
    _auto: PhantomData<Attempt>,
    _makes: PhantomData<fn() -> Connection>,
}

impl<Connector, Connection, Trait> Connect for Connects<Connector, Connection, Trait> {
    type Io = Connection;
    type Future = Attempted<Connection, Trait>;

    fn connect(&mut self, _attempt: &Attempt) -> Self::Future {
        Attempted {
            _auto: PhantomData,
            _makes: PhantomData,
        }
    }
}

impl<Connection, Trait> Future for Attempted<Connection, Trait> {
    type Output = io::Result<Connection>;

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Pending
    }
}

fn size_over_a_socket<C: Connect<Io = TcpStream>>(_connector: &C) -> usize {
    size_of::<ReconnectingStream<C>>() - size_of::<TcpStream>()
}

#[test]
fn a_stream_is_at_most_as_large_as_that_of_stubborn_io() {
    let address = SocketAddr::from(([127, 0, 0, 1], 1));
    let ours = size_over_a_socket(&move || TcpStream::connect(address));
    let theirs = size_of::<StubbornTcpStream<SocketAddr>>() - size_of::<TcpStream>();
    println!("a stream is {ours} bytes larger than its socket, that of stubborn-io {theirs}");
    assert!(ours <= theirs.min(152), "{ours}");
}

#[test]
fn the_connector_and_its_future_do_not_count_into_the_size() {
    let large = [0_u8; 4096];
    let connector = move || async move {
        let socket = TcpStream::connect("127.0.0.1:1").await;
        std::hint::black_box(large);
        socket
    };
    assert_eq!(
        size_over_a_socket(&connector),
        size_over_a_socket(&|| TcpStream::connect("127.0.0.1:1"))
    );
}

#[test]
fn a_stream_is_unpin_whenever_its_connection_is() {
    assert_impl!(Stream<NotUnpin, Everything, NotUnpin>: Unpin);
    assert_not_impl!(Stream<Everything, NotUnpin, Everything>: Unpin);
    assert_not_impl!(Attempted<Everything, NotUnpin>: Unpin);
}

#[test]
fn a_stream_is_send_when_connector_connection_and_attempt_are() {
    assert_impl!(Stream<Everything, Everything, Everything>: Send);
    assert_impl!(Stream<NotSync, NotSync, NotSync>: Send);
    assert_not_impl!(Stream<NotSend, Everything, Everything>: Send);
    assert_not_impl!(Stream<Everything, NotSend, Everything>: Send);
    assert_not_impl!(Stream<Everything, Everything, NotSend>: Send);
}

#[test]
fn a_stream_is_sync_when_connector_and_connection_are() {
    assert_impl!(Stream<Everything, Everything, Everything>: Sync);
    assert_impl!(Stream<NotSend, NotSend, Neither>: Sync);
    assert_not_impl!(Stream<NotSync, Everything, Everything>: Sync);
    assert_not_impl!(Stream<Everything, NotSync, Everything>: Sync);
}

#[test]
fn halves_are_send_and_sync_when_their_stream_is_send() {
    assert_impl!(ReconnectingReadHalf<Connects<NotSync, NotSync, NotSync>>: Send + Sync);
    assert_impl!(ReconnectingWriteHalf<Connects<NotSync, NotSync, NotSync>>: Send + Sync);
    assert_not_impl!(ReconnectingReadHalf<Connects<Everything, NotSend, Everything>>: Send);
    assert_not_impl!(ReconnectingWriteHalf<Connects<Everything, NotSend, Everything>>: Send);
}

#[test]
fn a_stream_is_debug_whatever_it_is_made_of() {
    assert_not_impl!(Connects<Neither, Neither, Neither>: Debug);
    assert_impl!(Stream<Neither, Neither, Neither>: Debug);

    struct Plain;
    let stream = ReconnectingStream::builder(|| ready(Ok(Plain))).wrap(Plain);
    assert!(format!("{stream:?}").starts_with("ReconnectingStream {"));
}

#[test]
fn handles_policies_and_errors_are_send_and_sync() {
    assert_impl!(Handle: Clone + Debug + Send + Sync + Any);
    assert_impl!(Policy: Clone + Debug + Send + Sync + Any);
    assert_impl!(ConnectionLost: Error + Send + Sync + Any);
    assert_impl!(GaveUp: Error + Send + Sync + Any);
    assert_impl!(Permanent: Error + Send + Sync + Any);
}
