//! Handshakes that are cut off, hang, or are canceled.

use super::*;

/// The server's half of a handshake, and the client's, are cut after so many bytes.
#[tokio::test]
async fn a_handshake_that_is_reset_in_the_middle_is_retried() {
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
async fn a_tls_handshake_that_hangs_ends_with_the_attempt() {
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
async fn a_handshake_continues_if_the_task_that_waits_is_canceled_at_every_poll() {
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
async fn a_handshake_that_is_dropped_in_the_middle_leaves_no_connection() {
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
async fn a_tls_connector_leaves_the_errors_of_its_connector_as_they_are() {
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
async fn the_debug_of_a_tls_connector_and_its_attempt_shows_name_and_step() {
    let config = Authority::new().client();
    let dial = || pending::<io::Result<DuplexStream>>();
    let mut connector = TlsConnector::new(dial, name(), config);
    assert_eq!(
        format!("{connector:?} {:?}", connector.connect(&Attempt::first())),
        "TlsConnector { server_name: DnsName(\"server.test\"), .. } \
         TlsAttempt { step: Connecting, .. }"
    );
}
