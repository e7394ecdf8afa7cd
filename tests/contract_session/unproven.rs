//! A peer that does not know the secret of a session costs it nothing.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use reconnecting_stream::Sessions;
use tokio::io::{AsyncRead, AsyncWriteExt, DuplexStream, ReadBuf, ReadHalf, duplex, join, split};

use crate::support::{settle, small};
use crate::wire::{ACK, answer, say, welcomed};

/// The reading half of a connection, which counts its polls.
struct Counted(ReadHalf<DuplexStream>, Arc<AtomicUsize>);

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.1.fetch_add(1, Ordering::SeqCst);
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

#[tokio::test(start_paused = true)]
async fn a_resume_that_is_not_accepted_does_not_wake_the_task_of_its_session() {
    let sessions = Sessions::new(small());
    let (mut client, server) = duplex(4096);
    let (reader, writer) = split(server);
    let polls = Arc::<AtomicUsize>::default();
    let server = join(Counted(reader, Arc::clone(&polls)), writer);
    let accept = tokio::spawn({
        let sessions = sessions.clone();
        async move { sessions.accept(server).await }
    });
    let credentials = welcomed(&mut client).await;
    client.write_all(&ACK).await.unwrap();
    let _accepted = accept.await.unwrap().unwrap();
    settle().await;

    let before = polls.load(Ordering::SeqCst);
    let mut impostor = credentials;
    impostor.secret[31] ^= 1;
    // A wrong proof, and an epoch that is not greater than the one before.
    for (message, code) in [(impostor.resume(1), 2), (credentials.resume(0), 5)] {
        let mut io = say(&sessions, &message).await;
        assert_eq!(answer(&mut io).await, (5, Some(code)));
        settle().await;
    }
    assert_eq!(polls.load(Ordering::SeqCst), before);
}
