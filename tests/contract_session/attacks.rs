//! Peers that are hostile.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use reconnecting_stream::{Accepted, SessionLostReason, SessionOptions, Sessions, State};
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex,
};
use tokio::time::advance;

use crate::support::{accepting, reason, settle, small, soon};
use crate::wire::{ACK, Credentials, Flood, PONG, RESET, answer, begin, hello, say, welcomed};

#[tokio::test]
async fn a_peer_that_floods_does_not_keep_a_session_that_has_ended() {
    tokio::time::pause();
    let sessions = Sessions::new(small());
    let mut first = hello();
    first.extend_from_slice(&ACK);
    first.extend_from_slice(&RESET);
    let flood = Flood {
        first,
        then: &PONG,
        reads: usize::MAX,
    };
    let accepted = soon(sessions.accept(flood)).await.unwrap();
    let Accepted::New(mut stream) = accepted else {
        panic!("{accepted:?}")
    };
    let error = stream.read_u8().await.unwrap_err();
    assert_eq!(reason(&error), Some(SessionLostReason::PeerReset));
    for _ in 0..100 {
        advance(Duration::from_millis(100)).await;
        settle().await;
    }
    assert_eq!(sessions.len(), 0);
}

#[tokio::test]
async fn a_peer_that_floods_leaves_the_thread_to_other_sessions() {
    let sessions = Sessions::new(small());
    let mut first = hello();
    first.extend_from_slice(&ACK);
    let flood = Flood {
        first,
        then: &PONG,
        reads: 1_000_000,
    };
    let Accepted::New(flooded) = sessions.accept(flood).await.unwrap() else {
        panic!("it began no session")
    };
    let (mut stream, mut client, _) = begin(&sessions).await;
    for n in 0..10_u8 {
        client
            .write_all(&[0x10, 0, 9, 0, 0, 0, 0, 0, 0, 0, n, n])
            .await
            .unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), n);
    }
    let state = flooded.state();
    let is_over = !matches!(state, State::Connected { .. });
    assert!(!is_over, "the flood was read at once: {state:?}");
}

#[tokio::test(start_paused = true)]
async fn resumes_that_are_replayed_do_not_keep_the_client_out() {
    let options = small().max_resumes_per_second(2);
    let sessions = Sessions::new(options);
    let (_stream, client, credentials) = begin(&sessions).await;
    drop(client);
    let first = credentials.resume(1);
    assert_eq!(answer(&mut say(&sessions, &first).await).await.0, 4);
    for _ in 0..10 {
        let superseded = (5, Some(5));
        assert_eq!(answer(&mut say(&sessions, &first).await).await, superseded);
    }
    let second = credentials.resume(2);
    assert_eq!(answer(&mut say(&sessions, &second).await).await.0, 4);
    // The limit itself: busy.
    let third = credentials.resume(3);
    assert_eq!(
        answer(&mut say(&sessions, &third).await).await,
        (5, Some(0x40))
    );
    advance(Duration::from_secs(1)).await;
    assert_eq!(answer(&mut say(&sessions, &third).await).await.0, 4);
}

#[tokio::test(start_paused = true)]
async fn a_bad_proof_and_an_unknown_id_change_nothing_while_the_session_lives() {
    let sessions = Sessions::new(small());
    let (mut stream, mut client, credentials) = begin(&sessions).await;
    let mut impostor = credentials;
    impostor.secret[31] ^= 1;
    let mut stranger = credentials;
    stranger.id[0] ^= 1;
    for other in [impostor, stranger] {
        let rejected = (5, Some(2));
        assert_eq!(
            answer(&mut say(&sessions, &other.resume(u64::MAX)).await).await,
            rejected
        );
    }
    client
        .write_all(b"\x10\x00\x09\0\0\0\0\0\0\0\0x")
        .await
        .unwrap();
    assert_eq!(soon(stream.read_u8()).await.unwrap(), b'x');
    assert_eq!(sessions.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_welcome_is_lost_leaves_nothing() {
    let sessions = Sessions::new(small());
    let (mut client, accept) = accepting(&sessions);
    let credentials = welcomed(&mut client).await;
    drop(client);
    assert!(soon(accept).await.unwrap().is_err());
    assert_eq!(sessions.len(), 0);
    // Its time to live.
    advance(Duration::from_secs(121)).await;
    settle().await;
    // It was dropped, so its id is not known any more.
    let resume = credentials.resume(1);
    assert_eq!(
        answer(&mut say(&sessions, &resume).await).await,
        (5, Some(2))
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_a_welcome_and_lost_the_connection_resumes_a_session_that_is_new() {
    let sessions = Sessions::new(small());
    let (mut client, accept) = accepting(&sessions);
    let credentials = welcomed(&mut client).await;
    drop(client);
    assert!(soon(accept).await.unwrap().is_err());
    let (mut client, server) = duplex(4096);
    client.write_all(&credentials.resume(1)).await.unwrap();
    client.write_all(&ACK).await.unwrap();
    let accepted = soon(sessions.accept(server)).await.unwrap();
    assert!(matches!(accepted, Accepted::New(_)));
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_trickles_or_stops_times_out() {
    let sessions = Sessions::new(small());
    for len in 0..hello().len() {
        let (mut client, server) = duplex(4096);
        client.write_all(&hello()[..len]).await.unwrap();
        let error = soon(sessions.accept(server)).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut, "{len}");
    }
    let (mut client, server) = duplex(4096);
    let trickle = async {
        for byte in hello() {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if client.write_all(&[byte]).await.is_err() {
                break;
            }
        }
    };
    let (_, accepted) = tokio::join!(trickle, sessions.accept(server));
    assert_eq!(accepted.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    assert_eq!(sessions.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn garbage_ends_the_connection_and_leaves_no_session() {
    let sessions = Sessions::new(SessionOptions::new());
    let mut random = fastrand::Rng::with_seed(12);
    for _ in 0..2000 {
        let (mut client, server) = duplex(8192);
        let mut bytes = hello();
        let len = bytes.len();
        for _ in 0..random.usize(1..4) {
            bytes[random.usize(..len)] = random.u8(..);
        }
        bytes.extend((0..random.usize(..3000)).map(|_| random.u8(..)));
        client.write_all(&bytes).await.unwrap();
        client.shutdown().await.unwrap();
        drop(soon(sessions.accept(server)).await);
    }
    soon(sessions.shutdown(Duration::from_secs(600))).await;
}

/// A connection that another one replaces while the driver reads from it.
struct Replaced {
    io: DuplexStream,
    hook: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    is_armed: std::sync::Arc<std::sync::atomic::AtomicBool>,
    written: std::sync::Arc<std::sync::Mutex<Vec<u8>>>,
}

impl AsyncRead for Replaced {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.is_armed.load(std::sync::atomic::Ordering::SeqCst) {
            if let Some(mut hook) = self.hook.take() {
                let _ = hook.as_mut().poll(cx);
                self.written.lock().unwrap().clear();
                return Poll::Pending;
            }
        }
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Replaced {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.written.lock().unwrap().extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_replaced_while_it_is_read_gets_no_byte_of_the_next_one() {
    let sessions = Sessions::new(small());
    let (mut old, server) = duplex(4096);
    let (mut new, new_server) = duplex(4096);
    let (is_armed, written) = <(
        std::sync::Arc<std::sync::atomic::AtomicBool>,
        std::sync::Arc<std::sync::Mutex<Vec<u8>>>,
    )>::default();
    let hook = {
        let sessions = sessions.clone();
        async move { drop(sessions.accept(new_server).await) }
    };
    let replaced = Replaced {
        io: server,
        hook: Some(Box::pin(hook)),
        is_armed: is_armed.clone(),
        written: written.clone(),
    };
    old.write_all(&hello()).await.unwrap();
    old.write_all(&ACK).await.unwrap();
    let accepted = soon(sessions.accept(replaced)).await.unwrap();
    let Accepted::New(_stream) = accepted else {
        panic!("{accepted:?}")
    };
    settle().await;
    let welcome = written.lock().unwrap().clone();
    let credentials = Credentials {
        id: welcome[4..20].try_into().unwrap(),
        secret: welcome[20..52].try_into().unwrap(),
    };
    new.write_all(&credentials.resume(1)).await.unwrap();
    is_armed.store(true, std::sync::atomic::Ordering::SeqCst);
    old.write_all(&PONG).await.unwrap();
    assert_eq!(soon(answer(&mut new)).await.0, 4);
    assert!(written.lock().unwrap().is_empty());
}
