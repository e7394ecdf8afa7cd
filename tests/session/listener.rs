//! The end of a listener.

use std::io::ErrorKind;
use std::pin::pin;
use std::time::Duration;

use reconnecting_stream::SessionLostReason::{Closed, Expired, PeerReset};
use reconnecting_stream::{Policy, ResumableListener, ResumableStream, SessionOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::coop::consume_budget;
use tokio::time::{sleep, timeout};

use crate::support::{quick, reason};
use crate::task::Task;

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

/// Begins so many sessions, which wait for `accept`.
async fn begin(listener: &ResumableListener, number: usize) -> Vec<ResumableStream> {
    let address = listener.local_addr().unwrap();
    let mut clients = Vec::new();
    while clients.len() < number {
        let connector = move || TcpStream::connect(address);
        clients.push(ResumableStream::connect(connector).await.unwrap());
    }
    while listener.sessions().len() < number {
        sleep(Duration::from_millis(1)).await;
    }
    clients
}

#[tokio::test]
async fn streams_that_wait_are_accepted_before_the_error_of_a_shutdown() {
    for consumed in [0, 1] {
        let listener = ResumableListener::bind("127.0.0.1:0").await.unwrap();
        // Fewer would not use up the budget of a task.
        let clients = begin(&listener, 200).await;
        let sessions = listener.sessions().clone();
        let shut_down = tokio::spawn(async move { sessions.shutdown(Duration::MAX).await });
        let accepting = tokio::spawn(async move {
            let mut accepted = Vec::new();
            for _ in 0..consumed {
                consume_budget().await;
            }
            while let Ok(stream) = listener.accept().await {
                accepted.push(stream);
            }
            accepted.len()
        });
        assert_eq!(accepting.await.unwrap(), clients.len());
        shut_down.abort();
    }
}

#[tokio::test]
async fn an_accept_that_is_not_polled_keeps_no_other_one_waiting() {
    let listener = ResumableListener::bind("127.0.0.1:0").await.unwrap();
    let (mut first, mut second) = (pin!(listener.accept()), pin!(listener.accept()));
    let (task, other) = (Task::new(), Task::new());
    assert!(task.poll_future(first.as_mut()).is_pending());
    assert!(other.poll_future(second.as_mut()).is_pending());
    let _clients = begin(&listener, 2).await;
    assert!(task.is_woken() && other.is_woken());
    let limit = Duration::from_secs(60);
    let third = timeout(limit, listener.accept()).await;
    third.expect("it does not wait for the first").unwrap();
    let second = timeout(limit, second).await;
    second.expect("it does not wait for the first").unwrap();
    // There is none left.
    assert!(task.poll_future(first).is_pending());
}

#[test]
fn an_accept_fails_once_the_runtime_of_its_listener_is_gone() {
    let build = || -> Runtime {
        let mut builder = Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    };
    let (first, second) = (build(), build());
    let bound = first.block_on(ResumableListener::bind("127.0.0.1:0"));
    let listener = bound.unwrap();
    second.block_on(async {
        let mut waiting = pin!(listener.accept());
        let task = Task::new();
        assert!(task.poll_future(waiting.as_mut()).is_pending());
        first.shutdown_background();
        while !task.is_woken() {
            sleep(Duration::from_millis(1)).await;
        }
        let error = waiting.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotConnected);
        let error = listener.accept().await.unwrap_err();
        assert_eq!(error.to_string(), "the listener's task is gone");
    });
}
