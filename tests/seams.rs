//! What each half gets to know of a seam.

mod support;

#[path = "seams/shutdown.rs"]
mod shutdown;

use std::io::{self, ErrorKind};
use std::pin::pin;
use std::time::Duration;

use reconnecting_stream::{
    Backoff, Connect, ConnectionLost, GaveUp, Policy, ReconnectingStream, Seam, State,
};
use support::{Fault, Network, Outcome, Task, Wire, lost};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::{Instant, timeout};

const SECOND: Duration = Duration::from_secs(1);

type Split<C> = (
    ReadHalf<ReconnectingStream<C>>,
    WriteHalf<ReconnectingStream<C>>,
);

/// A split stream whose attempts are a second apart.
async fn split(network: &Network, seam: Seam) -> Split<impl Connect<Io = Wire> + use<>> {
    let policy = Policy::default()
        .backoff(Backoff::constant(SECOND))
        .max_attempts(5);
    let builder = ReconnectingStream::builder(network.connector())
        .policy(policy)
        .seam(seam);
    tokio::io::split(builder.connect().await.unwrap())
}

async fn read(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut buf = [0; 16];
    let n = reader.read(&mut buf).await?;
    Ok(buf[..n].to_vec())
}

fn assert_lost(result: io::Result<impl std::fmt::Debug>, generation: u64, cause: ErrorKind) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let lost = lost(&error).unwrap();
    assert_eq!((lost.generation, lost.cause.kind()), (generation, cause));
}

#[tokio::test(start_paused = true)]
async fn a_hidden_seam_is_reported_to_neither_half() {
    let network = Network::new();
    let (mut reader, mut writer) = split(&network, Seam::Hidden).await;
    network.peer(1).reset();
    writer.write_all(b"x").await.unwrap();
    network.peer(2).send(b"y");
    assert_eq!(read(&mut reader).await.unwrap(), b"y");
}

#[tokio::test(start_paused = true)]
async fn seam_error_is_one_error_for_each_half_before_anything_waits() {
    for reader_first in [true, false] {
        let network = Network::new();
        let (mut reader, mut writer) = split(&network, Seam::Error).await;
        network.peer(1).reset();
        let start = Instant::now();
        if reader_first {
            assert_lost(read(&mut reader).await, 1, ErrorKind::ConnectionReset);
            assert_lost(writer.write(b"x").await, 1, ErrorKind::ConnectionReset);
        } else {
            assert_lost(writer.write(b"x").await, 1, ErrorKind::ConnectionReset);
            assert_lost(read(&mut reader).await, 1, ErrorKind::ConnectionReset);
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!(
            network.attempts().len(),
            1,
            "the next operation drives the reconnect"
        );

        writer.write_all(b"x").await.unwrap();
        network.peer(2).send(b"y");
        assert_eq!(read(&mut reader).await.unwrap(), b"y");
    }
}

#[tokio::test(start_paused = true)]
async fn seam_error_comes_before_the_next_connection_is_used_though_it_is_there_already() {
    let network = Network::new();
    let (mut reader, mut writer) = split(&network, Seam::Error).await;
    network.peer(1).reset();
    assert_lost(read(&mut reader).await, 1, ErrorKind::ConnectionReset);
    assert!(timeout(2 * SECOND, read(&mut reader)).await.is_err());
    assert_eq!(network.connections(), 2);

    assert_lost(writer.flush().await, 1, ErrorKind::ConnectionReset);
    assert_eq!(network.peer(2).flushes(), 0);
    writer.flush().await.unwrap();
    writer.write_all(b"x").await.unwrap();
    assert_eq!(network.peer(2).received(), b"x");
}

#[tokio::test(start_paused = true)]
async fn a_half_that_waits_is_woken_and_gets_the_loss() {
    let network = Network::new();
    let (mut reader, mut writer) = split(&network, Seam::Error).await;
    let mut buf = [0; 4];
    let mut waiting = pin!(reader.read(&mut buf));
    let task = Task::new();
    assert!(task.poll_future(waiting.as_mut()).is_pending());
    network.peer(1).fault(Fault::Error(ErrorKind::BrokenPipe));
    task.take_wakes();
    assert_lost(writer.write(b"x").await, 1, ErrorKind::BrokenPipe);
    assert!(task.is_woken());
    let std::task::Poll::Ready(result) = task.poll_future(waiting) else {
        panic!("the loss was known");
    };
    assert_lost(result, 1, ErrorKind::BrokenPipe);
}

#[tokio::test(start_paused = true)]
async fn several_seams_between_two_operations_are_one_error() {
    let network = Network::new();
    let (mut reader, mut writer) = split(&network, Seam::Error).await;
    for generation in 1..=3 {
        network.peer(generation).reset();
        assert_lost(
            read(&mut reader).await,
            generation as u64,
            ErrorKind::ConnectionReset,
        );
        assert!(timeout(2 * SECOND, read(&mut reader)).await.is_err());
    }
    assert_lost(writer.write(b"x").await, 3, ErrorKind::ConnectionReset);
    writer.write_all(b"x").await.unwrap();
    assert_eq!(network.peer(4).received(), b"x");
}

#[tokio::test(start_paused = true)]
async fn seam_eof_is_an_end_for_the_reader_and_an_error_for_the_writer() {
    for reader_first in [true, false] {
        let network = Network::new();
        let (mut reader, mut writer) = split(&network, Seam::Eof).await;
        network.peer(1).close();
        if reader_first {
            assert_eq!(read(&mut reader).await.unwrap(), b"");
            assert_lost(writer.write(b"x").await, 1, ErrorKind::UnexpectedEof);
        } else {
            network.peer(1).reset();
            assert_lost(writer.write(b"x").await, 1, ErrorKind::ConnectionReset);
            assert_eq!(read(&mut reader).await.unwrap(), b"");
        }
        assert!(timeout(2 * SECOND, read(&mut reader)).await.is_err());
        network.peer(2).send(b"y");
        assert_eq!(read(&mut reader).await.unwrap(), b"y");
        writer.write_all(b"x").await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn resync_takes_the_errors_of_both_halves_away() {
    let network = Network::new();
    let mut stream = ReconnectingStream::builder(network.connector())
        .policy(Policy::default().backoff(Backoff::constant(SECOND)))
        .seam(Seam::Error)
        .connect()
        .await
        .unwrap();
    network.peer(1).reset();
    assert!(stream.write_u8(b'x').await.is_err());
    assert_eq!(stream.resync().await.unwrap(), 2);
    network.peer(2).send(b"y");
    assert_eq!(read(&mut stream).await.unwrap(), b"y");

    network.peer(2).reset();
    assert!(read(&mut stream).await.is_err());
    assert_eq!(stream.resync().await.unwrap(), 3);
    stream.write_u8(b'x').await.unwrap();

    // A later loss is reported to both.
    network.peer(3).reset();
    assert!(read(&mut stream).await.is_err());
    assert!(stream.write_u8(b'x').await.is_err());
}

#[tokio::test(start_paused = true)]
async fn connected_takes_no_error_away() {
    let network = Network::new();
    let (reader, writer) = split(&network, Seam::Error).await;
    let mut stream = reader.unsplit(writer);
    network.peer(1).reset();
    assert_lost(
        stream.read(&mut [0; 4]).await,
        1,
        ErrorKind::ConnectionReset,
    );
    assert_eq!(stream.connected().await.unwrap(), 2);
    assert_lost(stream.write(b"x").await, 1, ErrorKind::ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn a_reconnect_on_demand_is_a_seam_too() {
    let network = Network::new();
    let (mut reader, writer) = split(&network, Seam::Error).await;
    let mut buf = [0; 4];
    {
        let mut waiting = pin!(reader.read(&mut buf));
        assert!(Task::new().poll_future(waiting.as_mut()).is_pending());
    }
    let mut stream = reader.unsplit(writer);
    stream.handle().reconnect();
    assert_lost(stream.write(b"x").await, 1, ErrorKind::ConnectionAborted);
    assert_lost(stream.read(&mut buf).await, 1, ErrorKind::ConnectionAborted);
    stream.write_all(b"x").await.unwrap();
    assert_eq!(network.peer(2).received(), b"x");
}

#[tokio::test(start_paused = true)]
async fn giving_up_is_no_seam() {
    let network = Network::new();
    network
        .script([Outcome::Accepts])
        .otherwise(Outcome::Refuses(ErrorKind::ConnectionRefused));
    let (mut reader, mut writer) = split(&network, Seam::Error).await;
    network.peer(1).reset();
    assert_lost(read(&mut reader).await, 1, ErrorKind::ConnectionReset);
    let error = read(&mut reader).await.unwrap_err();
    assert!(support::gave_up(&error).is_some());
    // There is no connection to continue on: the writer gets the same end.
    let error = writer.write(b"x").await.unwrap_err();
    assert!(support::gave_up(&error).is_some());

    let mut stream = reader.unsplit(writer);
    network.otherwise(Outcome::Accepts);
    stream.reconnect();
    assert_lost(stream.write(b"x").await, 1, ErrorKind::ConnectionReset);
    stream.write_all(b"x").await.unwrap();
    assert_eq!(stream.state(), State::Connected { generation: 2 });
}

#[tokio::test(start_paused = true)]
async fn giving_up_because_of_resets_has_their_kind_and_is_found_to_be_no_seam() {
    let network = Network::new();
    network
        .script([Outcome::Accepts])
        .otherwise(Outcome::Refuses(ErrorKind::ConnectionReset));
    let (mut reader, _writer) = split(&network, Seam::Error).await;
    network.peer(1).reset();
    assert_lost(read(&mut reader).await, 1, ErrorKind::ConnectionReset);
    for _ in 0..2 {
        let error = read(&mut reader).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert!(ConnectionLost::find(&error).is_none());
        assert_eq!(GaveUp::find(&error).unwrap().attempts, 5);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hidden_seam_tears_a_message_that_was_cut() {
    // The reason for the other modes, and for the documentation to say so.
    let network = Network::new();
    let (_reader, mut writer) = split(&network, Seam::Hidden).await;
    network.peer(1).set_room(3);
    let mut write = pin!(writer.write_all(b"message"));
    assert!(Task::new().poll_future(write.as_mut()).is_pending());
    network.peer(1).reset();
    write.await.unwrap();
    assert_eq!(network.peer(1).received(), b"mes");
    assert_eq!(network.peer(2).received(), b"sage");
}
