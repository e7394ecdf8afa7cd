//! A server that is made from `docs/protocol.md` alone.

use std::future::{Future, ready};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reconnecting_stream::SessionLostReason::{self, Closed, Expired, Rejected};
use reconnecting_stream::{
    Backoff, GaveUp, Policy, ResumableBuilder, ResumableStream, SessionLost,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;

use crate::support::{reason, settle, soon};
use crate::wire::{Credentials, ack, data, fin, frame, next, numbers};

const CREDENTIALS: Credentials = Credentials {
    id: [0x1d; 16],
    secret: [0x5e; 32],
};

const TTL: u32 = 120_000;

/// A client whose connections get this server, which is told how many there were before.
fn client<F>(
    serve: impl Fn(usize, DuplexStream) -> F + Send + 'static,
) -> ResumableBuilder<impl FnMut() -> std::future::Ready<io::Result<DuplexStream>> + Send + 'static>
where
    F: Future<Output = Option<()>> + Send + 'static,
{
    let dials = AtomicUsize::new(0);
    let backoff = Backoff::constant(Duration::from_millis(10));
    ResumableStream::builder(move || {
        let (near, far) = duplex(4096);
        tokio::spawn(serve(dials.fetch_add(1, Ordering::SeqCst), far));
        ready(Ok(near))
    })
    .policy(Policy::default().backoff(backoff).max_attempts(None))
}

/// Reads a message, and writes the answer to it.
async fn say(io: &mut DuplexStream, answer: &[u8]) -> Option<()> {
    next(io).await?;
    io.write_all(answer).await.ok()
}

/// Reads until the client closes.
async fn drain(mut io: DuplexStream) -> Option<()> {
    while next(&mut io).await.is_some() {}
    None
}

fn reject(code: u8, retry_after: u32) -> Vec<u8> {
    frame(5, &[&[1, code], &retry_after.to_be_bytes()])
}

#[tokio::test(start_paused = true)]
async fn a_code_that_is_not_known_ends_the_session_as_rejected() {
    for (code, expected) in [
        (0, Rejected),
        (8, Rejected),
        (0x3f, Rejected),
        (0x42, Rejected),
        (0xff, Rejected),
        (7, Closed),
    ] {
        let builder = client(move |_, mut io| async move {
            say(&mut io, &reject(code, u32::MAX)).await?;
            drain(io).await
        });
        let error = soon(builder.connect()).await.unwrap_err();
        assert_eq!(reason(&error), Some(expected), "{code:#x}");
    }
}

/// A server that asks to wait for so long, from this dial on.
fn busy(
    from: usize,
    retry_after: u32,
) -> impl Fn(usize, DuplexStream) -> std::pin::Pin<Box<dyn Future<Output = Option<()>> + Send>>
+ Send
+ 'static
+ use<> {
    move |dial, mut io| {
        Box::pin(async move {
            if dial < from {
                say(&mut io, &CREDENTIALS.welcome(4096, TTL)).await?;
                next(&mut io).await?;
                return None;
            }
            say(&mut io, &reject(0x40, retry_after)).await?;
            drain(io).await
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_waits_for_a_busy_server_no_longer_than_its_policy_allows() {
    let backoff = Backoff::constant(Duration::from_millis(10));
    let policy = Policy::default()
        .backoff(backoff)
        .max_outage(Duration::from_secs(30));
    for retry_after in [40_000, u32::MAX] {
        // While it resumes, and before its first connection.
        for from in [1, 0] {
            let began = Instant::now();
            let builder = client(busy(from, retry_after));
            let mut stream = builder.policy(policy.clone()).lazy();
            let error = soon(stream.read_u8()).await.unwrap_err();
            assert!(
                began.elapsed() <= Duration::from_secs(30),
                "{:?}",
                began.elapsed()
            );
            let lost = SessionLost::find(&error).unwrap();
            assert_eq!(lost.reason, Expired);
            assert!(GaveUp::find(&error).is_some(), "{error:?}");
        }
        let began = Instant::now();
        let builder = client(busy(0, retry_after));
        let builder = builder.policy(policy.clone()).retry_initial_connect(true);
        let error = soon(builder.connect()).await.unwrap_err();
        assert!(
            began.elapsed() <= Duration::from_secs(30),
            "{:?}",
            began.elapsed()
        );
        let gave_up = GaveUp::find(&error).unwrap();
        assert_eq!(gave_up.last_error.kind(), io::ErrorKind::ResourceBusy);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_sends_what_a_welcome_permits_and_waits_for_the_rest() {
    for limit in [0, 1, 7, u64::from(u32::MAX), u64::MAX] {
        let builder = client(move |_, mut io| async move {
            say(&mut io, &CREDENTIALS.welcome(limit, u32::MAX)).await?;
            let permitted = usize::try_from(limit.min(6)).unwrap();
            assert_eq!(next(&mut io).await?.0, 0x11);
            if permitted > 0 {
                let (kind, body) = next(&mut io).await?;
                assert_eq!((kind, &body[8..]), (0x10, &b"abcdef"[..permitted]));
            }
            settle().await;
            io.write_all(&ack(limit.min(6), 6)).await.ok()?;
            if permitted < 6 {
                let (kind, body) = next(&mut io).await?;
                assert_eq!((kind, &body[8..]), (0x10, &b"abcdef"[permitted..]));
            }
            assert_eq!(numbers(&next(&mut io).await?.1), [6], "the end");
            let rest = [ack(7, 0), data(0, b"xyz"), fin(3)].concat();
            io.write_all(&rest).await.ok()?;
            while numbers(&next(&mut io).await?.1).first() != Some(&4) {}
            io.write_all(&frame(0x16, &[])).await.ok()?;
            drain(io).await
        });
        let mut stream = soon(builder.connect()).await.unwrap();
        stream.write_all(b"abcdef").await.unwrap();
        soon(stream.flush()).await.unwrap();
        soon(stream.shutdown()).await.unwrap();
        let mut all = Vec::new();
        soon(stream.read_to_end(&mut all)).await.unwrap();
        assert_eq!(all, b"xyz", "{limit}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_server_sends_may_be_cut_into_reads_anywhere() {
    let sent = [
        CREDENTIALS.welcome(4096, TTL),
        ack(0, 4096),
        data(0, b"hel"),
        frame(0x80, &[&[0; 300]]),
        data(0, b"XXXlo"),
        fin(5),
    ]
    .concat();
    for cut in 0..=sent.len() {
        let sent = sent.clone();
        let builder = client(move |dial, mut io| {
            let sent = sent.clone();
            async move {
                assert_eq!(dial, 0);
                next(&mut io).await?;
                for part in [&sent[..cut], &sent[cut..]] {
                    io.write_all(part).await.ok()?;
                    settle().await;
                }
                drain(io).await
            }
        });
        let mut stream = soon(builder.connect()).await.unwrap();
        let mut all = Vec::new();
        soon(stream.read_to_end(&mut all)).await.unwrap();
        assert_eq!(all, b"hello", "{cut}");
    }
}

/// What a server may answer to a RESUME with this body, and whether its session continues.
type Answer = fn(&[u8]) -> Vec<u8>;

#[tokio::test(start_paused = true)]
async fn an_answer_to_a_resume_that_proves_nothing_gets_no_byte_of_the_stream() {
    let impostors: [Answer; 7] = [
        |resume| {
            let mut answer = CREDENTIALS.resumed(resume, (0, 4096), 0);
            *answer.last_mut().unwrap() ^= 1;
            answer
        },
        |resume| {
            let mut other = resume.to_vec();
            other[28] ^= 1;
            CREDENTIALS.resumed(&other, (0, 4096), 0)
        },
        |resume| CREDENTIALS.resumed(resume, (0, 4096), 2),
        |_| CREDENTIALS.welcome(4096, TTL),
        |resume| frame(3, &[resume]),
        |_| frame(6, &[]),
        |_| Vec::new(),
    ];
    for impostor in impostors {
        let builder = client(move |dial, mut io| async move {
            match dial {
                0 => {
                    say(&mut io, &CREDENTIALS.welcome(4096, TTL)).await?;
                    next(&mut io).await?;
                    next(&mut io).await
                }
                1 => {
                    let (_, resume) = next(&mut io).await?;
                    io.write_all(&impostor(&resume)).await.ok()?;
                    if impostor(&resume).is_empty() {
                        return None;
                    }
                    assert_eq!(next(&mut io).await, None, "it sends nothing, and closes");
                    None
                }
                _ => {
                    let (kind, resume) = next(&mut io).await?;
                    assert_eq!((kind, resume[28]), (3, 3), "a later epoch");
                    let resumed = CREDENTIALS.resumed(&resume, (0, 4096), 0);
                    let sent = [resumed, ack(6, 4096)].concat();
                    // The ACK comes too early: the bytes were not sent on this connection.
                    io.write_all(&sent[..sent.len() - 19]).await.ok()?;
                    next(&mut io).await?;
                    next(&mut io).await?;
                    io.write_all(&sent[sent.len() - 19..]).await.ok()?;
                    return drain(io).await;
                }
            }
            .map(drop)
        });
        let mut stream = soon(builder.connect()).await.unwrap();
        stream.write_all(b"abcdef").await.unwrap();
        soon(stream.acknowledged()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_a_resume_ends_the_session_if_its_numbers_are_wrong() {
    let desynchronized = Some(SessionLostReason::Desynchronized);
    let answers: [Answer; 4] = [
        |resume| CREDENTIALS.resumed(resume, (7, 4096), 0),
        |resume| CREDENTIALS.resumed(resume, (u64::MAX, u64::MAX), 0),
        |resume| CREDENTIALS.resumed(resume, (6, 4096), 1),
        |_| reject(4, 0),
    ];
    for wrong in answers {
        let builder = client(move |dial, mut io| async move {
            if dial == 0 {
                say(&mut io, &CREDENTIALS.welcome(4096, TTL)).await?;
                next(&mut io).await?;
                return next(&mut io).await.map(drop);
            }
            let (_, resume) = next(&mut io).await?;
            io.write_all(&wrong(&resume)).await.ok()?;
            drain(io).await
        });
        let mut stream = soon(builder.connect()).await.unwrap();
        stream.write_all(b"abcdef").await.unwrap();
        let error = soon(stream.read_u8()).await.unwrap_err();
        assert_eq!(reason(&error), desynchronized);
    }
}
