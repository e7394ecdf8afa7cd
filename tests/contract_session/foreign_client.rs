//! A client that is made from `docs/protocol.md` alone.

use reconnecting_stream::{Accepted, ResumableStream, Sessions};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::support::{reason, settle, small, soon};
use crate::wire::{
    ACK, Credentials, RESET, ack, answer, begin, data, fin, frame, hello, next, numbers, say,
};

/// Reads frames until one of this type. Returns its numbers.
async fn until(io: &mut DuplexStream, kind: u8) -> Vec<u64> {
    loop {
        let (next, body) = soon(next(io)).await.expect("no end");
        if next == kind {
            return numbers(&body);
        }
    }
}

/// Resumes on a new connection. Returns it, and what the server has received.
async fn resume(
    sessions: &Sessions,
    credentials: Credentials,
    (epoch, received): (u64, u64),
) -> (DuplexStream, u64) {
    let mut io = say(sessions, &credentials.resume_at(epoch, received)).await;
    let (kind, body) = soon(next(&mut io)).await.unwrap();
    assert_eq!(kind, 4);
    let server_has = numbers(&body[9..17])[0];
    (io, server_has)
}

async fn read_all(stream: &mut ResumableStream) -> Vec<u8> {
    let mut all = Vec::new();
    soon(stream.read_to_end(&mut all)).await.unwrap();
    all
}

#[tokio::test(start_paused = true)]
async fn what_a_client_sends_may_be_cut_into_reads_anywhere() {
    let sent = [
        &ack(0, 4096)[..],
        &frame(0x13, &[&7_u64.to_be_bytes()]),
        &frame(0xff, &[b"skipped"]),
        &data(0, b"hel"),
        &data(3, b""),
        // What has arrived is skipped, whatever it is.
        &data(1, b"XXlo"),
        &fin(5),
        &data(2, b"XX"),
        &fin(5),
    ]
    .concat();
    for cut in 0..=sent.len() {
        let sessions = Sessions::new(small());
        let (mut io, accept) = crate::support::accepting(&sessions);
        crate::wire::welcomed(&mut io).await;
        for part in [&sent[..cut], &sent[cut..]] {
            io.write_all(part).await.unwrap();
            settle().await;
        }
        let Accepted::New(mut stream) = soon(accept).await.unwrap().unwrap() else {
            panic!("not a new session");
        };
        assert_eq!(read_all(&mut stream).await, b"hello", "{cut}");
        stream.write_all(b"hi").await.unwrap();
        let shutdown = tokio::spawn(async move { stream.shutdown().await });
        assert_eq!(until(&mut io, 0x14).await, [7]);
        assert_eq!(until(&mut io, 0x12).await, [2]);
        io.write_all(&ack(3, 4096)).await.unwrap();
        assert_eq!(until(&mut io, 0x11).await[0], 6);
        assert_eq!(soon(next(&mut io)).await, Some((0x16, Vec::new())));
        assert_eq!(soon(next(&mut io)).await, None);
        soon(shutdown).await.unwrap().unwrap();
    }
}

/// Frames that end their connection, behind `ACK` and `DATA` of 4 bytes from 0.
fn wrong_frames() -> Vec<Vec<u8>> {
    let huge = u64::MAX;
    vec![
        data(5, b"x"),
        data(1 << 32, b""),
        data(huge, b""),
        data(huge - 1, b"xy"),
        data(4, &[7; 16 * 1024 - 3]),
        ack(5, 4096),
        ack(huge, huge),
        fin(3),
        fin(5),
        fin(huge),
        frame(0x10, &[&[0; 7]]),
        frame(0x10, &[&vec![0; 65_289]]),
        frame(0x11, &[&[0; 15]]),
        frame(0x12, &[&[0; 7]]),
        frame(0x15, &[]),
        frame(0x16, &[]),
        frame(0x00, &[]),
        frame(0x7f, &[]),
        hello(),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_wrong_frame_ends_its_connection_and_what_came_before_it_stays() {
    for wrong in wrong_frames() {
        let shown = format!("{:x?}", &wrong[..wrong.len().min(20)]);
        let sessions = Sessions::new(small());
        let (mut stream, mut io, credentials) = begin(&sessions).await;
        stream.write_all(b"kept").await.unwrap();
        settle().await;
        let sent = [&data(0, b"abcd"), &wrong[..], &data(4, b"lost")].concat();
        // The connection may be closed already.
        let _ = io.write_all(&sent).await;
        while soon(next(&mut io)).await.is_some() {}
        let (mut io, server_has) = resume(&sessions, credentials, (1, 0)).await;
        assert_eq!(server_has, 4, "{shown}");
        let rest = [ACK.to_vec(), data(4, b"ef"), fin(6)].concat();
        io.write_all(&rest).await.unwrap();
        assert_eq!(read_all(&mut stream).await, b"abcdef", "{shown}");
        assert_eq!(until(&mut io, 0x10).await[0], 0, "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_permits_byte_by_byte_and_takes_nothing_back() {
    let sessions = Sessions::new(small());
    let (mut stream, mut io, credentials) = begin(&sessions).await;
    stream.write_all(&[7; 4100]).await.unwrap();
    let mut got = 0;
    while got < 4096 {
        let (kind, body) = soon(next(&mut io)).await.unwrap();
        got += if kind == 0x10 { body.len() - 8 } else { 0 };
    }
    // A flush does not wait for what the client does not permit.
    soon(stream.flush()).await.unwrap();
    for limit in [0, 4096, 4097, 4098, 5] {
        io.write_all(&ack(0, limit)).await.unwrap();
        settle().await;
    }
    for offset in [4096, 4097] {
        let (kind, body) = soon(next(&mut io)).await.unwrap();
        assert_eq!((kind, numbers(&body)[0], body.len()), (0x10, offset, 9));
    }
    drop(io);
    // The limit of the RESUME is 4096.
    let (mut io, _) = resume(&sessions, credentials, (1, 4097)).await;
    io.write_all(&ACK).await.unwrap();
    // That ACK is less than the RESUME has acknowledged.
    while soon(next(&mut io)).await.is_some() {}
    let (mut io, _) = resume(&sessions, credentials, (u64::MAX, 4098)).await;
    io.write_all(&ack(4098, u64::MAX)).await.unwrap();
    let (first, _) = soon(next(&mut io)).await.unwrap();
    assert_eq!(first, 0x11);
    let (kind, body) = soon(next(&mut io)).await.unwrap();
    assert_eq!((kind, numbers(&body)[0], body.len()), (0x10, 4098, 10));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_has_ended_answers_each_resume_with_how_it_ended() {
    let sessions = Sessions::new(small());
    let (mut stream, mut io, complete) = begin(&sessions).await;
    io.write_all(&fin(0)).await.unwrap();
    assert_eq!(read_all(&mut stream).await, b"");
    let shutdown = tokio::spawn(async move { stream.shutdown().await });
    until(&mut io, 0x12).await;
    io.write_all(&ack(1, 0)).await.unwrap();
    soon(shutdown).await.unwrap().unwrap();
    // DONE is lost. Before and after the server has closed the connection.
    for (old, epoch) in [(0, 3), (3, 7)] {
        let mut replayed = say(&sessions, &complete.resume_at(old, 1)).await;
        assert_eq!(answer(&mut replayed).await, (5, Some(5)), "{old}");
        let mut again = say(&sessions, &complete.resume_at(epoch, 1)).await;
        let (kind, body) = soon(next(&mut again)).await.unwrap();
        assert_eq!((kind, body[9..17].last(), body[25]), (4, Some(&1), 1));
        assert_eq!(soon(next(&mut again)).await, None, "no frame follows");
        let replayed = complete.resume_at(epoch, 1);
        assert_eq!(
            answer(&mut say(&sessions, &replayed).await).await,
            (5, Some(5))
        );
        drop(io);
        io = again;
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    }

    let (mut stream, mut io, lost) = begin(&sessions).await;
    io.write_all(&[&RESET[..], &data(0, b"lost")].concat())
        .await
        .unwrap();
    let error = soon(stream.read_u8()).await.unwrap_err();
    assert_eq!(
        reason(&error),
        Some(reconnecting_stream::SessionLostReason::PeerReset)
    );
    for epoch in [0, 1, 1, u64::MAX] {
        let resume = lost.resume_at(epoch, u64::MAX);
        assert_eq!(
            answer(&mut say(&sessions, &resume).await).await,
            (5, Some(3))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_refuses_the_epoch_zero_and_takes_the_greatest() {
    let sessions = Sessions::new(small());
    let (_stream, _io, credentials) = begin(&sessions).await;
    for (epoch, expected) in [
        (0, (5, Some(5))),
        (u64::MAX, (4, None)),
        (u64::MAX, (5, Some(5))),
        (1, (5, Some(5))),
    ] {
        let mut io = say(&sessions, &credentials.resume(epoch)).await;
        assert_eq!(answer(&mut io).await, expected, "{epoch}");
    }
}
