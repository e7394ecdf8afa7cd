//! Peers that make little progress, and ends that have more to do than one round of the driver does.

use std::future::poll_fn;
use std::io::Result;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use reconnecting_stream::{Accepted, Backoff, Policy, ResumableStream, SessionOptions, Sessions};
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex,
};
use tokio::time::{Instant, sleep};

use crate::support::{Network, accepting, byte, small, soon};
use crate::wire::{ACK, begin, data, hello, welcomed};

/// Returns how many connections a client makes in a minute if each fails right behind its handshake.
async fn dials_in_a_minute(stable_after: Duration) -> usize {
    // A WELCOME has 64 bytes, and a RESUMED has 61.
    let (network, _streams) = Network::with_cuts(small(), || (64, usize::MAX));
    let backoff = Backoff::exponential(Duration::from_millis(100)).max(Duration::from_secs(60));
    let policy = Policy::default()
        .backoff(backoff)
        .max_attempts(None)
        .max_outage(None)
        .stable_after(stable_after);
    let mut stream = network.builder().policy(policy).lazy();
    stream.write_all(b"never acknowledged").await.unwrap();
    sleep(Duration::from_secs(60)).await;
    network.dials()
}

#[tokio::test(start_paused = true)]
async fn connections_that_fail_right_behind_their_handshakes_do_not_reset_the_backoff() {
    // Delays that double fit in ten times, with jitter some more.
    let dials = dials_in_a_minute(Duration::from_secs(1)).await;
    assert!((3..40).contains(&dials), "{dials} connections");
    // A policy that takes each of them for a success dials again and again.
    let dials = dials_in_a_minute(Duration::ZERO).await;
    assert!(dials > 100, "{dials} connections");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_sends_each_byte_in_a_frame_of_its_own_is_read() {
    const LEN: usize = 10_000;
    let sessions = Sessions::new(small());
    let (mut client, accept) = accepting(&sessions);
    welcomed(&mut client).await;
    client.write_all(&ACK).await.unwrap();
    let Accepted::New(mut stream) = soon(accept).await.unwrap().unwrap() else {
        panic!("it has not begun");
    };
    let (mut reader, mut writer) = tokio::io::split(client);
    let drain =
        tokio::spawn(async move { tokio::io::copy(&mut reader, &mut tokio::io::sink()).await });
    let sending = tokio::spawn(async move {
        for offset in 0..LEN {
            let mut frame = vec![0x10, 0, 9];
            frame.extend_from_slice(&(offset as u64).to_be_bytes());
            frame.push(byte(16, offset));
            writer.write_all(&frame).await?;
        }
        Ok::<_, std::io::Error>(writer)
    });
    let mut read = vec![0; LEN];
    soon(stream.read_exact(&mut read)).await.unwrap();
    assert!(
        read.iter()
            .enumerate()
            .all(|(at, read)| *read == byte(16, at))
    );
    drop((sending.await.unwrap().unwrap(), stream));
    drain.abort();
}

/// Begins a session, over a connection that has room for everything. Returns the peer's end of the
/// connection, which permits 16 MiB, and the session.
async fn with_room(options: SessionOptions) -> (DuplexStream, ResumableStream) {
    let sessions = Sessions::new(options);
    let (mut client, server) = duplex(4 << 20);
    let accept = tokio::spawn(async move { sessions.accept(server).await });
    welcomed(&mut client).await;
    let mut ack = ACK;
    ack[11..].copy_from_slice(&(16_u64 << 20).to_be_bytes());
    client.write_all(&ack).await.unwrap();
    let Accepted::New(stream) = soon(accept).await.unwrap().unwrap() else {
        panic!("it has not begun");
    };
    (client, stream)
}

#[tokio::test(start_paused = true)]
async fn much_that_was_written_is_sent_without_a_timer_to_a_peer_that_is_silent() {
    let options = SessionOptions::new().send_buffer(4 << 20);
    let (mut client, mut stream) = with_room(options).await;
    let began = Instant::now();
    stream.write_all(&vec![1; 3 << 20]).await.unwrap();
    soon(client.read_exact(&mut vec![0; 3 << 20]))
        .await
        .unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn much_that_has_arrived_is_received_without_a_timer_or_an_application_that_reads() {
    const LEN: u64 = 56 * 1024;
    const FRAMES: u64 = 16;
    let options = SessionOptions::new().ack_after(1);
    let (mut client, _stream) = with_room(options).await;
    let mut frames = Vec::new();
    for n in 0..FRAMES {
        frames.push(0x10);
        frames.extend_from_slice(&u16::try_from(8 + LEN).unwrap().to_be_bytes());
        frames.extend_from_slice(&(n * LEN).to_be_bytes());
        frames.resize(frames.len() + 56 * 1024, 1);
    }
    let began = Instant::now();
    client.write_all(&frames).await.unwrap();
    let mut received = 0;
    while received < FRAMES * LEN {
        let mut ack = [0; 19];
        soon(client.read_exact(&mut ack)).await.unwrap();
        assert_eq!(ack[..3], ACK[..3]);
        received = u64::from_be_bytes(ack[3..11].try_into().unwrap());
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_waits_for_a_flush_and_for_room_is_woken_by_each() {
    let sessions = Sessions::new(small());
    let (mut stream, mut client, _) = begin(&sessions).await;
    poll_fn(|cx| {
        while Pin::new(&mut stream).poll_write(cx, &[7; 1000]).is_ready() {}
        Poll::Ready(())
    })
    .await;
    // It takes everything, and acknowledges nothing.
    let taking = tokio::spawn(async move { client.read_to_end(&mut Vec::new()).await });
    let flushed = poll_fn(|cx| {
        let flushed = Pin::new(&mut stream).poll_flush(cx);
        // There is no room until something is acknowledged.
        assert!(Pin::new(&mut stream).poll_write(cx, b"more").is_pending());
        flushed
    });
    let began = Instant::now();
    soon(flushed).await.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
    taking.abort();
}

/// A client whose next byte has always arrived, in a read of its own, until it closes.
#[derive(Default)]
struct Trickle {
    reads: Arc<AtomicUsize>,
    /// How many reads there were when `answer` was written to it.
    answered: Arc<AtomicUsize>,
}

impl AsyncRead for Trickle {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        match self.reads.fetch_add(1, Ordering::SeqCst) {
            0 => buf.put_slice(&hello()),
            1 => buf.put_slice(&ACK),
            n @ ..10_000 => buf.put_slice(&data(n as u64 - 2, b"x")),
            _ => {}
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Trickle {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        if buf.ends_with(b"answer") {
            let reads = self.reads.load(Ordering::SeqCst);
            self.answered.store(reads, Ordering::SeqCst);
        }
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_does_not_wait_for_a_client_that_never_stops_to_send() {
    let client = Trickle::default();
    let (reads, answered) = (Arc::clone(&client.reads), Arc::clone(&client.answered));
    let accepted = Sessions::new(small()).accept(client).await.unwrap();
    let Accepted::New(stream) = accepted else {
        panic!("not a new session");
    };
    let (mut reader, mut writer) = stream.into_split();
    let reading = tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while reader.read(&mut buffer).await.is_ok() {}
    });
    let writing = tokio::spawn(async move {
        writer.write_all(b"answer").await.unwrap();
        let written = reads.load(Ordering::SeqCst);
        reading.await.unwrap();
        written
    });
    let written = soon(writing).await.unwrap();
    let answered = answered.load(Ordering::SeqCst);
    assert!(
        (written..written + 100).contains(&answered),
        "{written}: {answered}"
    );
}
