//! Losses that nothing will replace, on sockets with a real RST: TCP behind a buffer, and TLS.

use super::support::soon;
use reconnecting_stream::{Connect, ReconnectingStream, Seam, State};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream, Interest};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// A TCP socket under the buffer of a connection, or under the peer's end of it.
trait OverTcp: AsyncRead + AsyncWrite + Unpin {
    fn tcp(&self) -> &TcpStream;
}

impl OverTcp for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

/// A stream whose connections have a buffer, and the peer of the first one.
struct Pair<C: Connect<Io = BufStream<I>>, I: OverTcp, P: OverTcp> {
    stream: ReconnectingStream<C>,
    peer: P,
}

impl<C: Connect<Io = BufStream<I>>, I: OverTcp, P: OverTcp> Pair<C, I, P> {
    /// The peer resets the connection; the RST has arrived.
    async fn reset(self) -> ReconnectingStream<C> {
        self.peer.tcp().set_zero_linger().unwrap();
        drop(self.peer);
        let tcp = self.stream.get_ref().unwrap().get_ref().tcp();
        soon(tcp.ready(Interest::READABLE)).await.unwrap();
        self.stream
    }

    /// By the flush of the shutdown, since there is something in the buffer.
    async fn tells_of_a_loss_met_by_the_flush(mut self) {
        self.stream.write_all(b"in the buffer").await.unwrap();
        let mut stream = self.reset().await;
        assert!(is_lost(&soon(stream.shutdown()).await));
        assert!(is_lost(&soon(stream.shutdown()).await));
        assert_eq!(stream.state(), State::Closed);
    }

    /// By the shutdown of the socket, which some systems and Tokio answer with `Ok`.
    async fn tells_of_a_loss_met_by_the_shutdown(self) {
        let mut stream = self.reset().await;
        let shut_down = soon(stream.shutdown()).await;
        let read = soon(read(&mut stream)).await;
        assert!(
            is_lost(&shut_down) || is_lost(&read),
            "{shut_down:?}, {read:?}"
        );
    }

    async fn tells_of_a_loss_after_the_shutdown(mut self) {
        soon(self.stream.shutdown()).await.unwrap();
        self.peer.write_all(b"half").await.unwrap();
        self.peer.flush().await.unwrap();
        let mut half = [0; 4];
        soon(self.stream.read_exact(&mut half)).await.unwrap();
        let mut stream = self.reset().await;
        assert!(is_lost(&soon(read(&mut stream)).await));
        assert_eq!(soon(read(&mut stream)).await.unwrap(), b"");
    }

    async fn tells_of_a_loss_during_an_outage(self) {
        let mut stream = self.reset().await;
        let met = futures::poll!(Box::pin(read(&mut stream)));
        assert!(matches!(stream.state(), State::Backoff { .. }));
        let is_told = matches!(met, Poll::Ready(met) if is_lost(&met));
        // A loss that the writer was not told of is the first answer.
        let shut_down = soon(stream.shutdown()).await;
        soon(stream.shutdown()).await.unwrap();
        let read = soon(read(&mut stream)).await;
        assert!(
            is_told || is_lost(&shut_down) || is_lost(&read),
            "{shut_down:?}, {read:?}"
        );
    }
}

/// An outage that lasts for longer than the test.
fn long() -> Policy {
    Policy::default().backoff(Backoff::constant(HOUR))
}

async fn over_tcp(
    seam: Seam,
) -> Pair<impl Connect<Io = BufStream<TcpStream>>, TcpStream, TcpStream> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connector = (move || TcpStream::connect(address)).map(BufStream::new);
    let builder = ReconnectingStream::builder(connector);
    let stream = builder.policy(long()).seam(seam).connect().await.unwrap();
    let (peer, _) = listener.accept().await.unwrap();
    Pair { stream, peer }
}

#[tokio::test]
async fn a_reset_met_by_the_flush_of_a_shutdown_over_tcp_is_told_whatever_the_seam() {
    for seam in SEAMS {
        over_tcp(seam)
            .await
            .tells_of_a_loss_met_by_the_flush()
            .await;
    }
}

#[tokio::test]
async fn a_reset_met_by_a_shutdown_over_tcp_is_told_whatever_the_seam() {
    for seam in SEAMS {
        let pair = over_tcp(seam).await;
        pair.tells_of_a_loss_met_by_the_shutdown().await;
    }
}

#[tokio::test]
async fn a_reset_after_a_shutdown_over_tcp_is_told_whatever_the_seam() {
    for seam in SEAMS {
        let pair = over_tcp(seam).await;
        pair.tells_of_a_loss_after_the_shutdown().await;
    }
}

#[tokio::test]
async fn a_reset_in_an_outage_that_a_shutdown_over_tcp_ends_is_told_whatever_the_seam() {
    for seam in SEAMS {
        over_tcp(seam)
            .await
            .tells_of_a_loss_during_an_outage()
            .await;
    }
}

#[cfg(feature = "rustls")]
mod tls {
    use std::io::ErrorKind;
    use std::net::SocketAddr;
    use std::sync::Arc;

    use reconnecting_stream::{Attempt, TlsConnector};
    use tokio_rustls::{TlsAcceptor, client, server};

    use super::super::certificates::{Authority, NOW, name};
    use super::*;

    impl OverTcp for client::TlsStream<TcpStream> {
        fn tcp(&self) -> &TcpStream {
            self.get_ref().0
        }
    }

    impl OverTcp for server::TlsStream<TcpStream> {
        fn tcp(&self) -> &TcpStream {
            self.get_ref().0
        }
    }

    #[derive(Clone, Copy)]
    struct ToAddress(SocketAddr);

    impl Connect for ToAddress {
        type Io = TcpStream;
        type Future = futures::future::BoxFuture<'static, io::Result<TcpStream>>;

        fn connect(&mut self, _attempt: &Attempt) -> Self::Future {
            TcpStream::connect(self.0).boxed()
        }
    }

    type Client = client::TlsStream<TcpStream>;

    async fn over_tls(
        seam: Seam,
    ) -> Pair<impl Connect<Io = BufStream<Client>>, Client, server::TlsStream<TcpStream>> {
        let authority = Authority::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = ToAddress(listener.local_addr().unwrap());
        let connector = TlsConnector::new(address, name(), authority.client());
        let builder = ReconnectingStream::builder(connector.map(BufStream::new));
        let connecting = builder.policy(long()).seam(seam).connect();
        let accepting = async {
            let (tcp, _) = listener.accept().await.unwrap();
            let acceptor = TlsAcceptor::from(Arc::new(authority.server(NOW)));
            acceptor.accept(tcp).await.unwrap()
        };
        let (stream, peer) = soon(async { tokio::join!(connecting, accepting) }).await;
        let mut pair = Pair {
            stream: stream.unwrap(),
            peer,
        };
        // What the handshake leaves (session tickets) is read, so that only the RST is left.
        pair.peer.write_all(b"ready").await.unwrap();
        pair.peer.flush().await.unwrap();
        let mut ready = [0; 5];
        soon(pair.stream.read_exact(&mut ready)).await.unwrap();
        pair
    }

    #[tokio::test]
    async fn a_reset_met_by_the_flush_of_a_shutdown_over_tls_is_told_whatever_the_seam() {
        for seam in SEAMS {
            over_tls(seam)
                .await
                .tells_of_a_loss_met_by_the_flush()
                .await;
        }
    }

    #[tokio::test]
    async fn a_reset_met_by_a_shutdown_over_tls_is_told_whatever_the_seam() {
        for seam in SEAMS {
            let pair = over_tls(seam).await;
            pair.tells_of_a_loss_met_by_the_shutdown().await;
        }
    }

    #[tokio::test]
    async fn a_reset_after_a_shutdown_over_tls_is_told_whatever_the_seam() {
        for seam in SEAMS {
            let pair = over_tls(seam).await;
            pair.tells_of_a_loss_after_the_shutdown().await;
        }
    }

    #[tokio::test]
    async fn a_reset_in_an_outage_that_a_shutdown_over_tls_ends_is_told_whatever_the_seam() {
        for seam in SEAMS {
            over_tls(seam)
                .await
                .tells_of_a_loss_during_an_outage()
                .await;
        }
    }

    #[tokio::test]
    async fn an_end_without_a_close_notify_after_a_shutdown_is_told_whatever_the_seam() {
        for seam in SEAMS {
            let Pair {
                mut stream,
                mut peer,
            } = over_tls(seam).await;
            soon(stream.shutdown()).await.unwrap();
            peer.write_all(b"half").await.unwrap();
            peer.flush().await.unwrap();
            // A FIN of TCP, which is no end of TLS.
            peer.get_mut().0.shutdown().await.unwrap();
            assert_eq!(soon(read(&mut stream)).await.unwrap(), b"half");
            let error = soon(read(&mut stream)).await.unwrap_err();
            assert!(support::lost(&error).is_some(), "{seam:?}: {error}");
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        }
    }
}
