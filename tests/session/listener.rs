//! The end of a listener.

use std::io::ErrorKind;
use std::time::Duration;

use reconnecting_stream::SessionLostReason::{Closed, Expired, PeerReset};
use reconnecting_stream::{Policy, ResumableListener, ResumableStream, SessionOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{quick, reason};

#[tokio::test]
async fn sessions_stay_on_their_connections_after_the_drop_of_their_listener() {
    let listener = ResumableListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = ResumableStream::builder(move || TcpStream::connect(address));
    let mut client = client
        .policy(quick().max_attempts(3))
        .connect()
        .await
        .unwrap();
    let mut stream = listener.accept().await.unwrap();
    drop(listener);

    client.write_all(b"x").await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'x');
    stream.write_all(b"y").await.unwrap();
    assert_eq!(client.read_u8().await.unwrap(), b'y');

    // It can't be resumed.
    client.handle().reconnect();
    assert_eq!(reason(&client.read_u8().await.unwrap_err()), Expired);
}

#[tokio::test]
async fn a_session_that_was_not_accepted_ends_with_its_listener() {
    let listener = ResumableListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connector = move || TcpStream::connect(address);
    let mut client = ResumableStream::connect(connector).await.unwrap();
    client.write_all(b"x").await.unwrap();
    client.acknowledged().await.unwrap();
    drop(listener);
    assert_eq!(reason(&client.read_u8().await.unwrap_err()), PeerReset);
}

#[tokio::test]
async fn handshakes_that_have_begun_end_with_the_listener() {
    let options = SessionOptions::new().handshake_timeout(Duration::from_secs(1));
    let listener = ResumableListener::builder().options(options);
    let listener = listener.bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let sessions = listener.sessions().clone();
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(b"half a").await.unwrap();
    drop(listener);
    // The server closes the connection, with a reset if it has not read everything.
    let mut rest = Vec::new();
    match socket.read_to_end(&mut rest).await {
        Ok(_) => assert_eq!(rest, []),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    assert!(sessions.is_empty());
    let dial = ResumableStream::builder(move || TcpStream::connect(address));
    let refused = dial.policy(Policy::default()).connect().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_loop_that_ends_at_a_shutdown_takes_no_resume_from_the_sessions_that_are_left() {
    let listener = ResumableListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let sessions = listener.sessions().clone();
    let connect = async || {
        let client = ResumableStream::builder(move || TcpStream::connect(address));
        client.policy(quick().max_attempts(3)).connect().await
    };
    let mut client = connect().await.unwrap();
    let mut stream = listener.accept().await.unwrap();
    client.write_all(b"x").await.unwrap();
    client.acknowledged().await.unwrap();

    let shut_down = tokio::spawn(async move { sessions.shutdown(Duration::MAX).await });
    let error = listener.accept().await.unwrap_err();
    assert_eq!(error.to_string(), "the sessions were shut down");
    drop(listener);
    let refused = connect().await.unwrap_err();
    assert_eq!(reason(&refused), Closed);
    for _ in 0..3 {
        client.handle().reconnect();
        client.write_all(b"y").await.unwrap();
        client.acknowledged().await.unwrap();
    }
    client.shutdown().await.unwrap();
    let mut received = String::new();
    stream.read_to_string(&mut received).await.unwrap();
    assert_eq!(received, "xyyy");
    stream.shutdown().await.unwrap();
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    drop((client, stream));

    // The port is closed with the last session.
    shut_down.await.unwrap();
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}
