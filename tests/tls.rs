//! TLS over real sockets: the handshake is a part of the attempt, sessions are resumed, and a
//! connection that ends without a goodbye is a loss.

#[path = "support/tls.rs"]
mod certificates;
mod support;

#[cfg(feature = "net")]
#[path = "tls/addresses.rs"]
mod addresses;
#[path = "tls/connections.rs"]
mod connections;
#[path = "tls/handshakes.rs"]
mod handshakes;
#[path = "tls/identities.rs"]
mod identities;
#[path = "tls/messages.rs"]
mod messages;
#[path = "tls/refusals.rs"]
mod refusals;

use std::future::pending;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use certificates::{Authority, FUTURE, NOW, PAST, name};
use futures::{FutureExt, SinkExt, StreamExt};
use reconnecting_stream::{
    Attempt, Backoff, Connect, Eof, Event, GaveUp, Permanent, Policy, ReconnectingFramed,
    ReconnectingStream, Seam, State, TlsConnector,
};
use support::{gave_up, lost, soon};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::rustls::{
    self, AlertDescription, CertificateError, ClientConfig, HandshakeKind, ServerConfig,
};
use tokio_rustls::{TlsAcceptor, client, server};
use tokio_util::codec::{Framed, LinesCodec};

const MS: Duration = Duration::from_millis(1);

fn quick() -> Policy {
    Policy::default()
        .backoff(Backoff::constant(MS))
        // A busy machine needs seconds to restart a server.
        .max_attempts(None)
}

/// A server that a test conducts by hand.
struct Server {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

type Accepted = server::TlsStream<TcpStream>;

impl Server {
    async fn new(config: ServerConfig) -> Self {
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            acceptor: Arc::new(config).into(),
        }
    }

    fn connector(&self, config: impl Into<Arc<ClientConfig>>) -> TlsConnector<ToAddress> {
        let address = self.listener.local_addr().unwrap();
        TlsConnector::new(ToAddress(address), name(), config)
    }

    async fn accept_raw(&self) -> TcpStream {
        self.listener.accept().await.unwrap().0
    }

    async fn try_accept(&self) -> io::Result<Accepted> {
        let io = self.accept_raw().await;
        self.acceptor.accept(io).await
    }

    async fn accept(&self) -> Accepted {
        self.try_accept().await.unwrap()
    }
}

#[derive(Clone, Copy)]
struct ToAddress(SocketAddr);

impl Connect for ToAddress {
    type Io = TcpStream;
    type Future = futures::future::BoxFuture<'static, io::Result<TcpStream>>;

    fn connect(&mut self, _attempt: &Attempt) -> Self::Future {
        let socket = TcpSocket::new_v4().unwrap();
        // So that a writer is soon stuck.
        socket.set_send_buffer_size(16 * 1024).unwrap();
        socket.connect(self.0).boxed()
    }
}

type Stream = ReconnectingStream<TlsConnector<ToAddress>>;

const _: () = {
    const fn assert_connector<T: Clone + std::fmt::Debug + Send + Sync>() {}
    const fn assert_stream<T: Send + Sync + Unpin + std::fmt::Debug>() {}
    const fn assert_attempt<T: Send + Unpin + std::fmt::Debug>() {}
    assert_connector::<TlsConnector<ToAddress>>();
    assert_stream::<Stream>();
    assert_attempt::<<TlsConnector<ToAddress> as Connect>::Future>();
};

fn reset(io: Accepted) {
    io.get_ref().0.set_zero_linger().unwrap();
    drop(io);
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// The error of TLS that the attempt of this number gave up for.
fn refusal(error: &io::Error, attempt: u32) -> rustls::Error {
    let GaveUp {
        attempts,
        last_error,
        ..
    } = gave_up(error).expect("it gave up");
    assert_eq!(*attempts, attempt, "trying again can't help");
    permanent(last_error)
}

fn permanent(error: &io::Error) -> rustls::Error {
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    let mark: &Permanent = error.get_ref().unwrap().downcast_ref().expect("marked");
    let source = std::error::Error::source(mark).unwrap();
    source.downcast_ref::<rustls::Error>().unwrap().clone()
}

fn kind(stream: &Stream) -> HandshakeKind {
    let tls: &client::TlsStream<TcpStream> = stream.get_ref().unwrap();
    tls.get_ref().1.handshake_kind().unwrap()
}

/// A stream that keeps trying, and what its attempts failed with.
fn patient(connector: TlsConnector<ToAddress>) -> (Stream, Arc<Mutex<Vec<Arc<io::Error>>>>) {
    let errors = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&errors);
    let stream = ReconnectingStream::builder(connector)
        .policy(quick())
        .on_event(move |event| {
            if let Event::AttemptFailed { error, .. } = event {
                seen.lock().unwrap().push(Arc::clone(error));
            }
        })
        .lazy();
    (stream, errors)
}
