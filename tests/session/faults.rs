//! Peers that are silent, answers that are lost, futures that are dropped.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reconnecting_stream::SessionLostReason::{Closed, PeerReset};
use reconnecting_stream::{Accepted, ResumableStream, SessionOptions, Sessions};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::time::{sleep, timeout};

use crate::support::{Server, options, pattern, quick, reason};

#[test]
fn a_runtime_that_shuts_down_ends_the_sessions_of_its_tasks() {
    let build = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    };
    let (first, second) = (build(), build());
    let (mut client, accepted) = first.block_on(async {
        let (server, mut streams) = Server::new(options());
        server.begin(&mut streams).await
    });
    drop(first);
    drop(accepted);
    let error = second.block_on(client.read_u8()).unwrap_err();
    assert_eq!(reason(&error), Closed);
    let error = second.block_on(client.acknowledged()).unwrap_err();
    assert_eq!(reason(&error), Closed);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_vanishes_without_a_word_is_found_and_replaced() {
    let sessions = Sessions::new(options());
    let holes = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (sender, mut accepted) = tokio::sync::mpsc::unbounded_channel();
    let connector = {
        let (sessions, holes) = (sessions.clone(), Arc::clone(&holes));
        let mut number = 0;
        move || {
            let (client, near) = duplex(4096);
            let (far, io) = duplex(4096);
            let (sessions, sender) = (sessions.clone(), sender.clone());
            tokio::spawn(async move {
                let _ = sender.send(sessions.accept(io).await);
            });
            number += 1;
            let holes = Arc::clone(&holes);
            let is_hole = number == 1;
            tokio::spawn(async move {
                let (mut near, mut far) = (near, far);
                let relaying = tokio::io::copy_bidirectional(&mut near, &mut far);
                if is_hole {
                    // Nothing arrives any more, and nothing ends.
                    let _ = timeout(Duration::from_secs(1), relaying).await;
                    holes.lock().unwrap().push((near, far));
                } else {
                    let _ = relaying.await;
                }
            });
            std::future::ready(io::Result::Ok(client))
        }
    };
    let mut client = ResumableStream::builder(connector)
        .policy(quick())
        .connect()
        .await
        .unwrap();
    let Ok(Accepted::New(mut stream)) = accepted.recv().await.unwrap() else {
        panic!("the session is new");
    };
    sleep(Duration::from_secs(2)).await;
    let began = tokio::time::Instant::now();
    client.write_all(b"x").await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'x');
    // A PING after 15 s of silence, and 10 s for the answer.
    let took = began.elapsed();
    assert!(
        took > Duration::from_secs(20) && took < Duration::from_secs(26),
        "{took:?}"
    );
    assert_eq!(holes.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_idle_for_hours_keeps_its_connection() {
    let (server, mut streams) = Server::new(options());
    let (mut client, mut accepted) = server.begin(&mut streams).await;
    let before = (client.state(), accepted.state());
    sleep(Duration::from_secs(4 * 3600)).await;
    assert_eq!((client.state(), accepted.state()), before);
    client.write_all(b"x").await.unwrap();
    assert_eq!(accepted.read_u8().await.unwrap(), b'x');
}

#[tokio::test(start_paused = true)]
async fn a_welcome_that_is_lost_begins_one_session_and_runs_one_handler() {
    let (server, mut streams) = Server::new(options());
    let accepted = Arc::new(AtomicUsize::new(0));
    // The first connections end at the server's answer, behind each of its bytes.
    let mut most = 0;
    let connecting = server.clone();
    let connector = move || {
        let io = connecting.connect();
        most += 1;
        let most = most;
        async move {
            let (mut near, client) = duplex(4096);
            let mut far = io.await?;
            tokio::spawn(async move {
                let mut hello = [0; 18];
                let _ = near.read_exact(&mut hello).await;
                let _ = far.write_all(&hello).await;
                let mut answer = vec![0; most];
                if most < 64 {
                    let _ = far.read_exact(&mut answer).await;
                    let _ = near.write_all(&answer).await;
                } else {
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                }
            });
            io::Result::Ok(client)
        }
    };
    let mut client = ResumableStream::builder(connector).policy(quick()).lazy();
    client.write_all(b"once").await.unwrap();
    let counting = Arc::clone(&accepted);
    let handlers = tokio::spawn(async move {
        while let Some(mut stream) = streams.recv().await {
            counting.fetch_add(1, Ordering::SeqCst);
            let mut bytes = [0; 4];
            stream.read_exact(&mut bytes).await.unwrap();
            assert_eq!(&bytes, b"once");
            stream.write_all(b"done").await.unwrap();
            std::mem::forget(stream);
        }
    });
    let mut bytes = [0; 4];
    client.read_exact(&mut bytes).await.unwrap();
    sleep(Duration::from_secs(30)).await;
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
    assert_eq!(server.sessions.lock().unwrap().len(), 1);
    handlers.abort();
}

#[tokio::test(start_paused = true)]
async fn dropped_futures_lose_nothing() {
    let (server, mut streams) = Server::new(options().receive_window(3000).send_buffer(3000));
    let (client, accepted) = server.begin(&mut streams).await;
    let (mut reader, _client) = client.into_split();
    let (_accepted, mut writer) = accepted.into_split();
    let bytes = pattern(0..100_000);
    let sent = bytes.clone();
    let writing = tokio::spawn(async move {
        let mut written = 0;
        while written < sent.len() {
            let end = sent.len().min(written + 777);
            // A write that is ready has taken its bytes; one that is dropped has not.
            let write = timeout(
                Duration::from_micros(300),
                writer.write(&sent[written..end]),
            );
            if let Ok(n) = write.await {
                written += n.unwrap();
            }
            let _ = timeout(Duration::from_micros(300), writer.flush()).await;
            let _ = timeout(Duration::from_micros(300), writer.acknowledged()).await;
        }
        while timeout(Duration::from_millis(1), writer.shutdown())
            .await
            .is_err()
        {}
        writer
    });
    let mut received = Vec::new();
    let mut buffer = [0; 1000];
    loop {
        match timeout(Duration::from_micros(300), reader.read(&mut buffer)).await {
            Ok(read) => match read.unwrap() {
                0 => break,
                n => received.extend_from_slice(&buffer[..n]),
            },
            Err(_) => server.cut(),
        }
    }
    assert!(received == bytes);
    drop(writing.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_write_half_that_is_dropped_is_no_end() {
    let (server, mut streams) = Server::new(SessionOptions::new());
    let (client, mut accepted) = server.begin(&mut streams).await;
    let (reader, writer) = client.into_split();
    drop(writer);
    assert!(
        timeout(Duration::from_secs(5), accepted.read_u8())
            .await
            .is_err()
    );
    drop(reader);
    assert_eq!(reason(&accepted.read_u8().await.unwrap_err()), PeerReset);
}
