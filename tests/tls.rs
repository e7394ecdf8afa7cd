//! TLS over real sockets: the handshake is a part of the attempt, sessions are resumed, and a
//! connection that ends without a goodbye is a loss.

#[path = "support/tls.rs"]
mod certificates;
mod support;

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
use support::{gave_up, lost};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::rustls::{
    self, AlertDescription, CertificateError, ClientConfig, HandshakeKind, ServerConfig,
};
use tokio_rustls::{TlsAcceptor, client, server};
use tokio_util::codec::{Framed, LinesCodec};

/// Long enough for a busy machine; nothing waits for it unless it fails.
const DEADLINE: Duration = Duration::from_secs(60);
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

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.expect("it hangs")
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

mod connections {
    use super::*;

    /// With one that is reset after each answer; how many were resumed, as both sides saw it.
    async fn count_resumed(server: &Server, config: ClientConfig, resets: usize) -> [usize; 2] {
        let mut stream: Stream = ReconnectingStream::builder(server.connector(config))
            .policy(quick())
            .seam(Seam::Error)
            .lazy();
        let mut resumed = [0, 0];
        for generation in 1..=resets + 1 {
            let (mut io, connected) = tokio::join!(server.accept(), stream.connected());
            assert_eq!(connected.unwrap(), generation as u64);
            let kinds = [kind(&stream), io.get_ref().1.handshake_kind().unwrap()];
            for (count, kind) in resumed.iter_mut().zip(kinds) {
                *count += usize::from(kind == HandshakeKind::Resumed);
            }
            stream.write_all(b"?").await.unwrap();
            stream.flush().await.unwrap();
            assert_eq!(io.read_u8().await.unwrap(), b'?');
            io.write_all(b"!").await.unwrap();
            io.flush().await.unwrap();
            assert_eq!(stream.read_u8().await.unwrap(), b'!');
            reset(io);
            let error = stream.read_u8().await.unwrap_err();
            assert_eq!(lost(&error).unwrap().generation, generation as u64);
            assert!(stream.write_u8(b'x').await.is_err(), "the writer's news");
        }
        resumed
    }

    #[tokio::test]
    async fn have_a_handshake_each_and_resume_the_session_after_20_resets() {
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let authority = Authority::new();
            let server = Server::new(authority.server(NOW)).await;
            let config = authority.client_of(version);
            let resumed = soon(count_resumed(&server, config, 20)).await;
            println!("{:?}: 21 handshakes, resumed {resumed:?}", version.version);
            assert_eq!(resumed, [20, 20]);
        }
    }

    /// The control of the test above.
    #[tokio::test]
    async fn do_not_resume_if_the_configuration_says_so() {
        let authority = Authority::new();
        let server = Server::new(authority.server(NOW)).await;
        let mut config = authority.client();
        config.resumption = rustls::client::Resumption::disabled();
        assert_eq!(soon(count_resumed(&server, config, 3)).await, [0, 0]);
    }

    async fn connect(policy: Policy) -> (Server, Stream, Accepted) {
        connect_with(policy, Seam::Error).await
    }

    async fn connect_with(policy: Policy, seam: Seam) -> (Server, Stream, Accepted) {
        let authority = Authority::new();
        let server = Server::new(authority.server(NOW)).await;
        let builder = ReconnectingStream::builder(server.connector(authority.client()))
            .policy(policy)
            .seam(seam);
        let (io, stream) = soon(async { tokio::join!(server.accept(), builder.connect()) }).await;
        (server, stream.unwrap(), io)
    }

    #[tokio::test]
    async fn that_end_without_a_close_notify_are_lost_even_if_the_end_is_passed() {
        for eof in [Eof::Reconnect, Eof::Pass] {
            let (server, mut stream, mut io) = connect(quick().eof(eof)).await;
            io.write_all(b"half").await.unwrap();
            io.flush().await.unwrap();
            let mut half = [0; 4];
            stream.read_exact(&mut half).await.unwrap();
            // Of TCP, which is no goodbye of TLS.
            io.get_mut().0.shutdown().await.unwrap();
            let error = soon(stream.read_u8()).await.unwrap_err();
            assert_eq!(lost(&error).unwrap().cause.kind(), ErrorKind::UnexpectedEof);
            let (_, next) = soon(async { tokio::join!(server.accept(), stream.connected()) }).await;
            assert_eq!(next.unwrap(), 2);
        }
    }

    #[tokio::test]
    async fn that_end_with_a_close_notify_have_ended_if_the_end_is_passed() {
        let (_server, mut stream, mut io) = connect(quick().eof(Eof::Pass)).await;
        io.write_all(b"all").await.unwrap();
        io.shutdown().await.unwrap();
        let mut all = Vec::new();
        soon(stream.read_to_end(&mut all)).await.unwrap();
        assert_eq!(all, b"all");
        assert_eq!(stream.state(), State::Connected { generation: 1 });
        // It is half of a connection yet.
        stream.write_all(b"thanks").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut thanks = Vec::new();
        soon(io.read_to_end(&mut thanks)).await.unwrap();
        assert_eq!(thanks, b"thanks");
    }

    #[tokio::test]
    async fn that_end_with_a_close_notify_are_replaced_otherwise() {
        let (server, mut stream, mut io) = connect(quick()).await;
        io.shutdown().await.unwrap();
        let error = soon(stream.read_u8()).await.unwrap_err();
        assert_eq!(lost(&error).unwrap().cause.kind(), ErrorKind::UnexpectedEof);
        let (_, next) = soon(async { tokio::join!(server.accept(), stream.connected()) }).await;
        assert_eq!(next.unwrap(), 2);
    }

    #[tokio::test]
    async fn with_a_record_that_was_changed_on_the_way_are_lost() {
        let (server, mut stream, mut io) = connect(quick()).await;
        let record = [&[0x17, 3, 3, 0, 32][..], &[0; 32]].concat();
        io.get_mut().0.write_all(&record).await.unwrap();
        let error = soon(stream.read_u8()).await.unwrap_err();
        let cause = &lost(&error).unwrap().cause;
        assert_eq!(tls_error(cause), Some(&rustls::Error::DecryptError));
        // Told why, as RFC 8446 demands.
        let told = soon(io.read_u8()).await.unwrap_err();
        let bad_record = rustls::Error::AlertReceived(AlertDescription::BadRecordMac);
        assert_eq!(tls_error(&told), Some(&bad_record));
        let (_, next) = soon(async { tokio::join!(server.accept(), stream.connected()) }).await;
        assert_eq!(next.unwrap(), 2);
    }

    #[tokio::test]
    async fn of_which_a_peer_resets_one_in_a_write_get_the_message_again_and_whole() {
        const MESSAGE: usize = 1 << 20;
        let message: Vec<u8> = (0..MESSAGE).map(|i| (i % 251).to_le_bytes()[0]).collect();
        let (server, mut stream, mut io) = connect(quick()).await;
        let receiving = async {
            let mut part = vec![0; 100_000];
            io.read_exact(&mut part).await.unwrap();
            reset(io);
            let mut io = server.accept().await;
            let mut all = vec![0; MESSAGE];
            io.read_exact(&mut all).await.unwrap();
            (part, all)
        };
        let sending = async {
            let error = stream.write_all(&message).await.unwrap_err();
            assert_eq!(lost(&error).unwrap().generation, 1);
            // Exactly one error a seam: now it goes through.
            stream.write_all(&message).await.unwrap();
            stream.flush().await.unwrap();
        };
        let ((part, all), ()) = soon(async { tokio::join!(receiving, sending) }).await;
        assert_eq!(part, message[..part.len()]);
        assert!(all == message);
    }

    #[tokio::test]
    async fn that_are_reset_wake_a_writer_that_is_stuck() {
        let (server, mut stream, io) = connect_with(quick(), Seam::Hidden).await;
        let (stuck, mut is_stuck) = mpsc::channel(1);
        let writing = tokio::spawn(async move {
            let chunk = [7; 16 * 1024];
            loop {
                let write = stream.write_all(&chunk);
                tokio::pin!(write);
                if futures::poll!(write.as_mut()).is_pending() {
                    let _ = stuck.try_send(());
                    write.await.unwrap();
                    if stream.generation() == 2 {
                        break;
                    }
                }
            }
        });
        is_stuck.recv().await.unwrap();
        tokio::task::yield_now().await;
        reset(io);
        let receiving = async {
            let mut io = server.accept().await;
            let _ = tokio::io::copy(&mut io, &mut tokio::io::sink()).await;
        };
        let (written, ()) = soon(async { tokio::join!(writing, receiving) }).await;
        written.unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn that_are_reset_let_both_halves_go_on_in_their_own_tasks() {
        let (server, stream, first) = connect_with(quick(), Seam::Hidden).await;
        let (mut reading, mut writing) = split(stream);
        let reader = tokio::spawn(async move {
            let mut seen = 0;
            while reading.read_u8().await.unwrap() != b'.' {
                seen += 1;
            }
            seen
        });
        let (stop, mut is_over) = mpsc::channel::<()>(1);
        let writer = tokio::spawn(async move {
            while is_over.try_recv().is_err() {
                writing.write_all(&[7; 1024]).await.unwrap();
                writing.flush().await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let mut io = first;
        for _ in 0..20 {
            // Both halves use this one, and then it is gone.
            soon(io.read_u8()).await.unwrap();
            io.write_all(b"x").await.unwrap();
            io.flush().await.unwrap();
            reset(io);
            io = soon(server.accept()).await;
        }
        io.write_all(b".").await.unwrap();
        io.flush().await.unwrap();
        println!(
            "{} of 20 bytes arrived before a reset",
            soon(reader).await.unwrap()
        );
        stop.send(()).await.unwrap();
        let draining = async {
            let _ = tokio::io::copy(&mut io, &mut tokio::io::sink()).await;
        };
        let (written, ()) = soon(async { tokio::join!(writer, draining) }).await;
        written.unwrap();
    }
}

mod handshakes {
    use super::*;

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

    async fn final_error(server: Server, connector: TlsConnector<ToAddress>) -> rustls::Error {
        let (mut stream, _) = patient(connector);
        let (_refused, error) =
            soon(async { tokio::join!(server.try_accept(), stream.connected()) }).await;
        assert_eq!(stream.state(), State::GaveUp);
        refusal(&error.unwrap_err(), 1)
    }

    #[tokio::test]
    async fn with_a_certificate_of_an_unknown_issuer_are_final() {
        let server = Server::new(Authority::new().server(NOW)).await;
        let connector = server.connector(Authority::new().client());
        let error = final_error(server, connector).await;
        assert_eq!(error, CertificateError::UnknownIssuer.into());
    }

    #[tokio::test]
    async fn with_a_certificate_for_another_name_are_final() {
        let authority = Authority::new();
        let server = Server::new(authority.server(NOW)).await;
        let address = ToAddress(server.listener.local_addr().unwrap());
        let other = "other.test".try_into().unwrap();
        let connector = TlsConnector::new(address, other, authority.client());
        let error = final_error(server, connector).await;
        assert!(matches!(
            error,
            rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. })
        ));
    }

    #[tokio::test]
    async fn with_a_wrong_certificate_are_final_in_the_middle_of_a_streams_life_too() {
        let authority = Authority::new();
        let mut server = Server::new(authority.server(NOW)).await;
        let (mut stream, _) = patient(server.connector(authority.client()));
        let (io, connected) = tokio::join!(server.accept(), stream.connected());
        connected.unwrap();
        server.acceptor = Arc::new(Authority::new().server(NOW)).into();
        reset(io);
        let (_, error) = soon(async { tokio::join!(server.try_accept(), stream.read_u8()) }).await;
        // The one after the first, whose connection was not stable.
        let error = refusal(&error.unwrap_err(), 2);
        assert_eq!(error, CertificateError::UnknownIssuer.into());
    }

    #[tokio::test]
    async fn with_a_certificate_out_of_its_time_are_retried_until_it_is_renewed() {
        for years in [PAST, FUTURE] {
            let authority = Authority::new();
            let mut server = Server::new(authority.server(years)).await;
            let (mut stream, errors) = patient(server.connector(authority.client()));
            let serving = async {
                for _ in 0..3 {
                    assert!(server.try_accept().await.is_err());
                }
                server.acceptor = Arc::new(authority.server(NOW)).into();
                server.accept().await
            };
            let (_io, connected) = soon(async { tokio::join!(serving, stream.connected()) }).await;
            assert_eq!(connected.unwrap(), 1);
            let errors = errors.lock().unwrap();
            assert_eq!(errors.len(), 3);
            for error in errors.iter() {
                assert!(matches!(
                    tls_error(error),
                    Some(rustls::Error::InvalidCertificate(_))
                ));
            }
        }
    }

    #[tokio::test]
    async fn are_retried_as_the_users_own_judge_says() {
        let authority = Authority::new();
        let mut server = Server::new(Authority::new().server(NOW)).await;
        let connector = server
            .connector(authority.client())
            .retry_if(|error| *error == CertificateError::UnknownIssuer.into());
        let (mut stream, errors) = patient(connector.clone());
        let serving = async {
            assert!(server.try_accept().await.is_err());
            server.acceptor = Arc::new(authority.server(NOW)).into();
            server.accept().await
        };
        let (_io, connected) = soon(async { tokio::join!(serving, stream.connected()) }).await;
        assert_eq!(connected.unwrap(), 1);
        assert_eq!(errors.lock().unwrap().len(), 1);

        server.acceptor = Arc::new(authority.server(PAST)).into();
        assert!(matches!(
            final_error(server, connector).await,
            rustls::Error::InvalidCertificate(_)
        ));
    }

    #[tokio::test]
    async fn that_our_own_verifier_fails_are_final() {
        let server = Server::new(Authority::new().server(NOW)).await;
        let mut config = Authority::new().client();
        config.dangerous().set_certificate_verifier(Arc::new(Pins));
        let connector = server.connector(config);
        let error = final_error(server, connector).await;
        assert_eq!(error, rustls::Error::General("not pinned".into()));
    }

    /// Trusts nobody.
    #[derive(Debug)]
    struct Pins;

    impl rustls::client::danger::ServerCertVerifier for Pins {
        fn verify_server_cert(
            &self,
            _: &rustls::pki_types::CertificateDer<'_>,
            _: &[rustls::pki_types::CertificateDer<'_>],
            _: &rustls::pki_types::ServerName<'_>,
            _: &[u8],
            _: rustls::pki_types::UnixTime,
        ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
            Err(rustls::Error::General("not pinned".into()))
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &rustls::pki_types::CertificateDer<'_>,
            _: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            unreachable!("the certificate comes first")
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &rustls::pki_types::CertificateDer<'_>,
            _: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            unreachable!("the certificate comes first")
        }

        fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
            vec![rustls::SignatureScheme::ECDSA_NISTP256_SHA256]
        }
    }

    /// In TLS 1.3 the server sees our certificate after we have finished.
    #[tokio::test]
    async fn whose_client_is_refused_are_final_in_both_versions() {
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let authority = Authority::new();
            let server = Server::new(authority.strict_server()).await;
            let (mut stream, _) = patient(server.connector(authority.client_of(version)));
            let refusing = async {
                let refused = server.try_accept().await;
                assert_eq!(
                    tls_error(&refused.unwrap_err()),
                    Some(&rustls::Error::NoCertificatesPresented)
                );
            };
            let ((), error) = soon(async { tokio::join!(refusing, stream.read_u8()) }).await;
            let error = error.unwrap_err();
            let last = &gave_up(&error).expect("it gave up").last_error;
            let alert = tls_error(last).cloned().unwrap_or_else(|| permanent(last));
            assert!(
                matches!(alert, rustls::Error::AlertReceived(_)),
                "{version:?}: {alert:?}"
            );
        }
    }

    #[tokio::test]
    async fn with_something_else_than_tls_or_an_accident_are_retried() {
        let internal_error = [0x15, 3, 3, 0, 2, 2, 80];
        for answer in [
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            &internal_error,
            b"\0",
            b"",
        ] {
            let authority = Authority::new();
            let server = Server::new(authority.server(NOW)).await;
            let (mut stream, errors) = patient(server.connector(authority.client()));
            let serving = async {
                for _ in 0..2 {
                    let mut io = server.accept_raw().await;
                    io.write_all(answer).await.unwrap();
                    io.shutdown().await.unwrap();
                    let _ = tokio::io::copy(&mut io, &mut tokio::io::sink()).await;
                }
                server.accept().await
            };
            let (_io, connected) = soon(async { tokio::join!(serving, stream.connected()) }).await;
            assert_eq!(connected.unwrap(), 1);
            assert_eq!(errors.lock().unwrap().len(), 2, "{answer:?}");
        }
    }

    #[tokio::test]
    async fn that_the_peer_refuses_are_final() {
        let server = Server::new(Authority::new().server(NOW)).await;
        let (mut stream, _) = patient(server.connector(Authority::new().client()));
        let refusing = async {
            let mut io = server.accept_raw().await;
            let handshake_failure = [0x15, 3, 3, 0, 2, 2, 40];
            io.write_all(&handshake_failure).await.unwrap();
            let _ = tokio::io::copy(&mut io, &mut tokio::io::sink()).await;
        };
        let ((), error) = soon(async { tokio::join!(refusing, stream.connected()) }).await;
        assert_eq!(
            refusal(&error.unwrap_err(), 1),
            rustls::Error::AlertReceived(AlertDescription::HandshakeFailure)
        );
    }

    /// The server's half of a handshake, and the client's, are cut after so many bytes.
    #[tokio::test]
    async fn that_are_reset_in_the_middle_are_retried() {
        let authority = Authority::new();
        let server = Server::new(authority.server(NOW)).await;
        let mut config = authority.client();
        // As long every time.
        config.resumption = rustls::client::Resumption::disabled();
        let config = Arc::new(config);
        let whole = {
            let (mut stream, _) = patient(server.connector(Arc::clone(&config)));
            let accepting = cut(&server, usize::MAX, usize::MAX);
            let (passed, _) = soon(async { tokio::join!(accepting, stream.connected()) }).await;
            passed
        };
        println!("a handshake of {whole:?} bytes from the client, from the server");
        let cuts = (0..8).flat_map(|i| {
            let [up, down] = whole.map(|bytes| bytes * i / 8);
            [[up, usize::MAX], [usize::MAX, down]]
        });
        for [up, down] in cuts {
            let (mut stream, errors) = patient(server.connector(Arc::clone(&config)));
            let serving = async {
                cut(&server, up, down).await;
                let mut io = server.accept().await;
                io.write_all(b"!").await.unwrap();
                io.flush().await.unwrap();
                io
            };
            let (_io, read) = soon(async { tokio::join!(serving, stream.read_u8()) }).await;
            assert_eq!(read.unwrap(), b'!');
            let failed = errors.lock().unwrap().len() as u64;
            // The client may have finished before the server knows.
            assert_eq!(failed + stream.generation(), 2, "{up} {down}");
            assert!(down == usize::MAX || failed == 1, "{up} {down}");
        }
    }

    /// Accepts, and resets after so many bytes from the client, or from the server; how many
    /// have passed when the handshake is over.
    async fn cut(server: &Server, up: usize, down: usize) -> [usize; 2] {
        let mut client = server.accept_raw().await;
        let (near, mut far) = duplex(1 << 16);
        let accepting = server.acceptor.accept(near);
        tokio::pin!(accepting);
        let mut passed = [0, 0];
        let mut buffers = [[0; 4096], [0; 4096]];
        let [from_client, from_server] = &mut buffers;
        while passed[0] < up && passed[1] < down {
            tokio::select! {
                biased;
                _ = &mut accepting => return passed,
                n = far.read(from_server) => {
                    let n = n.unwrap().min(down - passed[1]);
                    client.write_all(&from_server[..n]).await.unwrap();
                    passed[1] += n;
                }
                n = client.read(from_client) => {
                    let n = n.unwrap().min(up - passed[0]);
                    far.write_all(&from_client[..n]).await.unwrap();
                    passed[0] += n;
                }
            }
        }
        client.set_zero_linger().unwrap();
        passed
    }

    /// A peer that accepts, and says nothing.
    #[tokio::test(start_paused = true)]
    async fn that_hang_are_over_with_the_attempt() {
        let (dialed, mut arriving) = mpsc::unbounded_channel();
        let authority = Authority::new();
        let dial = move || {
            let (near, far) = duplex(1 << 16);
            dialed.send(far).unwrap();
            async { Ok::<DuplexStream, io::Error>(near) }
        };
        let connector = TlsConnector::new(dial, name(), authority.client());
        let mut stream = ReconnectingStream::builder(connector)
            .policy(quick().attempt_timeout(Duration::from_secs(3)))
            .lazy();
        let handle = stream.handle();
        let serving = async {
            let mut silent = arriving.recv().await.unwrap();
            let begun = tokio::time::Instant::now();
            let mut hello = Vec::new();
            silent.read_to_end(&mut hello).await.unwrap();
            assert!(!hello.is_empty());
            assert_eq!(begun.elapsed(), Duration::from_secs(3));
            assert!(matches!(handle.state(), State::Backoff { attempt: 2, .. }));
            let io = arriving.recv().await.unwrap();
            TlsAcceptor::from(Arc::new(authority.server(NOW)))
                .accept(io)
                .await
                .unwrap()
        };
        let (_io, connected) = tokio::join!(serving, stream.connected());
        assert_eq!(connected.unwrap(), 1);
    }

    #[tokio::test]
    async fn go_on_if_whoever_waits_for_them_is_cancelled_at_every_poll() {
        let authority = Authority::new();
        let server = Server::new(authority.server(NOW)).await;
        let (mut stream, errors) = patient(server.connector(authority.client()));
        let waiting = async {
            while stream.generation() == 0 {
                // Polled once, and dropped.
                let _ = stream.read_u8().now_or_never();
                tokio::task::yield_now().await;
            }
        };
        soon(async { tokio::join!(server.accept(), waiting) }).await;
        assert_eq!(stream.generation(), 1);
        assert!(errors.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn that_are_dropped_in_the_middle_leave_no_connection() {
        let authority = Authority::new();
        let server = Server::new(authority.server(NOW)).await;
        let (mut stream, _) = patient(server.connector(authority.client()));
        let mut io = {
            let waiting = stream.connected();
            tokio::pin!(waiting);
            let mut io = soon(async {
                tokio::select! {
                    _ = &mut waiting => panic!("without an answer"),
                    io = server.accept_raw() => io,
                }
            })
            .await;
            let mut byte = [0];
            soon(async {
                tokio::select! {
                    _ = &mut waiting => panic!("without an answer"),
                    read = io.read_exact(&mut byte) => read.unwrap(),
                }
            })
            .await;
            io
        };
        assert_eq!(stream.state(), State::Connecting { attempt: 1 });
        drop(stream);
        let mut rest = Vec::new();
        soon(io.read_to_end(&mut rest)).await.unwrap();
    }

    #[tokio::test]
    async fn leave_the_errors_of_the_other_connector_as_they_are() {
        let config = Arc::new(Authority::new().client());
        let errors = [
            io::Error::from(ErrorKind::ConnectionRefused),
            ErrorKind::InvalidData.into(),
            Permanent::new("wrong proxy").into(),
        ];
        for error in errors {
            let expected = (error.kind(), error.to_string());
            let mut error = Some(error);
            let dial = move || {
                let error = error.take().unwrap();
                async { Err::<DuplexStream, _>(error) }
            };
            let mut connector = TlsConnector::new(dial, name(), Arc::clone(&config));
            let error = connector.connect(&Attempt::first()).await.unwrap_err();
            assert_eq!((error.kind(), error.to_string()), expected);
        }
    }

    #[tokio::test]
    async fn are_debug() {
        let config = Authority::new().client();
        let dial = || pending::<io::Result<DuplexStream>>();
        let mut connector = TlsConnector::new(dial, name(), config);
        assert_eq!(
            format!("{connector:?} {:?}", connector.connect(&Attempt::first())),
            "TlsConnector { server_name: DnsName(\"server.test\"), .. } \
             TlsAttempt { step: Connecting, .. }"
        );
    }
}

mod messages {
    use super::*;

    const RESETS: usize = 10;
    const LINES: usize = 50;

    /// The server resets after some lines, in the middle of one that it writes.
    async fn serve(server: Server) {
        loop {
            let Ok(io) = server.try_accept().await else {
                continue;
            };
            let mut lines = Framed::new(io, LinesCodec::new());
            for _ in 0..LINES / RESETS {
                let Some(Ok(line)) = lines.next().await else {
                    break;
                };
                lines.send(line).await.unwrap();
            }
            let io = lines.get_mut();
            io.write_all(b"torn").await.unwrap();
            io.flush().await.unwrap();
            io.get_ref().0.set_zero_linger().unwrap();
        }
    }

    #[tokio::test]
    async fn are_never_torn() {
        let authority = Authority::new();
        let server = Server::new(authority.server(NOW)).await;
        let connector = server.connector(authority.client());
        let server = tokio::spawn(serve(server));
        let mut lines = ReconnectingFramed::builder(connector, LinesCodec::new())
            .policy(quick())
            .seam(Seam::Error)
            .connect()
            .await
            .unwrap();
        let (mut seams, mut twice, mut again) = (0, 0, 0);
        for number in 0..LINES {
            while lines.feed(number.to_string()).await.is_err() {
                seams += 1;
            }
            loop {
                // Its error is one of the seam, which does not take away what is queued.
                while SinkExt::<String>::flush(&mut lines).await.is_err() {
                    seams += 1;
                }
                match soon(lines.next()).await.unwrap() {
                    Ok(echo) if echo == number.to_string() => break,
                    Ok(echo) => {
                        let echo: usize = echo.parse().expect("torn");
                        assert!(echo < number);
                        twice += 1;
                    }
                    Err(_) => {
                        seams += 1;
                        again += 1;
                        while lines.feed(number.to_string()).await.is_err() {
                            seams += 1;
                        }
                    }
                }
            }
        }
        println!("{LINES} lines answered, {seams} seams, {again} asked again, {twice} twice");
        assert!(seams >= RESETS - 1);
        server.abort();
    }
}
