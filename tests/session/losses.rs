//! Connections that are cut at random places, with checks of every byte.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};

use crate::support::{Server, options, pattern};

const TOTAL: usize = 300_000;

/// Writes everything in pieces, then shuts down.
async fn write<W: AsyncWrite + Unpin>(mut writer: W, mut random: fastrand::Rng) {
    let mut offset = 0;
    while offset < TOTAL {
        let end = TOTAL.min(offset + random.usize(1..20_000));
        writer.write_all(&pattern(offset..end)).await.unwrap();
        if random.u8(..) < 64 {
            writer.flush().await.unwrap();
        }
        offset = end;
    }
    writer.shutdown().await.unwrap();
}

/// Reads in pieces to the end.
async fn read<R: AsyncRead + Unpin>(mut reader: R, mut random: fastrand::Rng) {
    let mut received = Vec::new();
    loop {
        let mut buffer = vec![0; random.usize(1..30_000)];
        match reader.read(&mut buffer).await.unwrap() {
            0 => break,
            n => received.extend_from_slice(&buffer[..n]),
        }
    }
    assert!(received == pattern(0..TOTAL), "{} bytes", received.len());
}

async fn converse(seed: u64, window: usize) {
    let options = options().receive_window(window).send_buffer(window);
    let (server, mut streams) = Server::new(options);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut cuts = random.fork();
    let next = move || cuts.usize(0..40_000);
    *server.cut_after.lock().unwrap() = Some(Box::new(next));
    let connecting = server.clone();
    let client = reconnecting_stream::ResumableStream::builder(move || connecting.connect())
        .policy(crate::support::quick())
        .options(options)
        .lazy();
    let (client_reader, client_writer) = client.into_split();
    let client = async {
        let (writing, reading) = (random.fork(), random.fork());
        tokio::join!(write(client_writer, writing), read(client_reader, reading));
    };
    let (writing, reading) = (
        fastrand::Rng::with_seed(seed),
        fastrand::Rng::with_seed(!seed),
    );
    let accepted = async {
        let (reader, writer) = split(streams.recv().await.unwrap());
        tokio::join!(write(writer, writing), read(reader, reading));
    };
    tokio::join!(client, accepted);
    server.drained().await;
}

#[tokio::test(start_paused = true)]
async fn no_byte_is_lost_whatever_is_cut_with_a_wide_window() {
    for seed in 0..20 {
        converse(seed, 1 << 20).await;
    }
}

#[tokio::test(start_paused = true)]
async fn no_byte_is_lost_whatever_is_cut_with_a_narrow_window() {
    for seed in 0..20 {
        converse(seed, 2000).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_byte_is_lost_whatever_is_cut_on_several_threads() {
    for seed in 0..20 {
        converse(seed, 100_000).await;
    }
}

#[tokio::test(start_paused = true)]
async fn ends_that_write_everything_before_they_read_need_only_buffers_that_hold_it() {
    let (server, mut streams) = Server::new(options());
    let (mut client, mut accepted) = server.begin(&mut streams).await;
    let bytes = pattern(0..1 << 20);
    // Twice as much as a window: the send buffer holds the other half.
    for half in [&bytes, &bytes] {
        let (ours, theirs) = tokio::join!(client.write_all(half), accepted.write_all(half));
        ours.and(theirs).unwrap();
        server.cut();
    }
    let (mut ours, mut theirs) = (vec![0; 2 << 20], vec![0; 2 << 20]);
    let (first, second) = tokio::join!(
        client.read_exact(&mut ours),
        accepted.read_exact(&mut theirs)
    );
    first.and(second).unwrap();
    assert!(ours == theirs && ours[..1 << 20] == bytes && ours[1 << 20..] == bytes);
}
