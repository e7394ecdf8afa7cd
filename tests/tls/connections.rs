//! Connections over TLS: resumption, the end, resets.

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
        assert!(stream.write_u8(b'x').await.is_err(), "the writer's loss");
    }
    resumed
}

#[tokio::test]
async fn each_connection_has_a_handshake_and_resumes_the_session_after_20_resets() {
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
async fn sessions_are_not_resumed_if_the_configuration_says_so() {
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
async fn a_connection_that_ends_without_a_close_notify_is_lost_even_if_the_end_is_passed() {
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
async fn a_connection_that_ends_with_a_close_notify_has_ended_if_the_end_is_passed() {
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
async fn a_connection_that_ends_with_a_close_notify_is_replaced_by_default() {
    let (server, mut stream, mut io) = connect(quick()).await;
    io.shutdown().await.unwrap();
    let error = soon(stream.read_u8()).await.unwrap_err();
    assert_eq!(lost(&error).unwrap().cause.kind(), ErrorKind::UnexpectedEof);
    let (_, next) = soon(async { tokio::join!(server.accept(), stream.connected()) }).await;
    assert_eq!(next.unwrap(), 2);
}

#[tokio::test]
async fn a_connection_with_a_record_that_was_changed_on_the_way_is_lost() {
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
async fn a_message_whose_write_met_a_reset_goes_again_whole_to_the_next_tls_connection() {
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
async fn a_reset_of_a_tls_connection_wakes_a_writer_that_is_stuck() {
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
async fn after_resets_of_tls_connections_both_halves_continue_in_their_own_tasks() {
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
