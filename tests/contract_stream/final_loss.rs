//! Shutting down, and losses that nothing will replace: never `Ok` and then an end of the stream.

use std::io::ErrorKind;
use std::time::Duration;

use reconnecting_stream::{Connect, ReconnectingStream, Seam, State, Verdict};
use tokio::io::{AsyncWriteExt, BufStream, split};
use tokio::time::timeout;

use super::contract::{Net, Op, When};
use super::support::{Outcome, Task};
use super::*;

#[tokio::test(start_paused = true)]
async fn a_loss_met_by_the_shutdown_itself_is_told_by_it_and_to_the_next_read_whatever_the_seam() {
    for seam in SEAMS {
        let net = Net::new();
        let mut stream = connect(&net, seam).await;
        net.peer(1).send("half of a reply").finish();
        net.peer(1)
            .fail_once(Op::Shutdown, ErrorKind::ConnectionReset);
        assert!(is_lost(&stream.shutdown().await), "{seam:?}");
        assert!(is_lost(&read(&mut stream).await), "{seam:?}");
        assert_eq!(read(&mut stream).await.unwrap(), b"");
    }
}

#[tokio::test(start_paused = true)]
async fn a_loss_met_by_the_flush_of_a_shutdown_is_told_whatever_the_seam() {
    for seam in SEAMS {
        let net = Net::new();
        let mut stream = ReconnectingStream::builder(net.connector().map(BufStream::new))
            .seam(seam)
            .connect()
            .await
            .unwrap();
        stream.write_all(b"in the buffer").await.unwrap();
        // The reading side looks as if the peer had finished.
        net.peer(1).break_writes(ErrorKind::BrokenPipe).finish();
        let shut_down = stream.shutdown().await;
        assert!(is_lost(&shut_down), "{seam:?}: {shut_down:?}");
        assert_eq!(shut_down.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert!(is_lost(&read(&mut stream).await), "{seam:?}");
        assert_eq!(net.connections(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_loss_after_a_shutdown_is_told_to_the_next_read_whatever_the_seam() {
    for seam in SEAMS {
        let net = Net::new();
        let mut stream = connect(&net, seam).await;
        stream.shutdown().await.unwrap();
        net.peer(1).send("half").reset();
        assert_eq!(read(&mut stream).await.unwrap(), b"half");
        let error = read(&mut stream).await.unwrap_err();
        assert_eq!(support::lost(&error).unwrap().generation, 1, "{seam:?}");
        assert_eq!(read(&mut stream).await.unwrap(), b"");
        stream.shutdown().await.unwrap();
        assert_eq!(net.connections(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_loss_after_a_shutdown_that_a_flush_meets_is_told_to_the_next_read_whatever_the_seam() {
    for seam in SEAMS {
        let net = Net::new();
        let mut stream = connect(&net, seam).await;
        stream.shutdown().await.unwrap();
        net.peer(1).break_writes(ErrorKind::BrokenPipe).finish();
        assert!(is_lost(&stream.flush().await), "{seam:?}");
        assert!(is_lost(&read(&mut stream).await), "{seam:?}");
        assert_eq!(read(&mut stream).await.unwrap(), b"");
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_timeout_after_a_shutdown_is_told_to_the_read_whatever_the_seam() {
    for seam in SEAMS {
        let net = Net::new();
        let mut stream = build(&net, seam)
            .policy(policy().idle_timeout(SECOND))
            .connect()
            .await
            .unwrap();
        stream.shutdown().await.unwrap();
        let error = read(&mut stream).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{seam:?}");
        assert!(support::lost(&error).is_some());
    }
}

/// Who meets the loss that begins an outage.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Met {
    Read,
    Write,
    Flush,
    Mark,
}

#[tokio::test(start_paused = true)]
async fn a_loss_during_an_outage_that_a_shutdown_ends_is_told_whatever_the_seam() {
    for seam in SEAMS {
        for met in [Met::Read, Met::Write, Met::Flush, Met::Mark] {
            let net = Net::new();
            net.script([Outcome::Accepts]).otherwise(Outcome::Hangs);
            let mut stream = connect(&net, seam).await;
            net.peer(1).reset();
            let mut told = 0;
            let brief = Duration::from_millis(1);
            let met_it = match met {
                Met::Read => timeout(brief, read(&mut stream)).await.map(drop_value),
                Met::Write => timeout(brief, stream.write(b"x")).await.map(drop_value),
                Met::Flush => timeout(brief, stream.flush()).await,
                Met::Mark => {
                    stream.mark_lost(ErrorKind::Other.into());
                    Ok(Ok(()))
                }
            };
            assert!(matches!(stream.state(), State::Backoff { .. }));
            told += usize::from(met_it.is_ok_and(|met| is_lost(&met)));
            told += usize::from(is_lost(&stream.shutdown().await));
            stream.shutdown().await.unwrap();
            told += usize::from(is_lost(&read(&mut stream).await));
            assert_ne!(told, 0, "{seam:?}, met {met:?}");
            assert_eq!(read(&mut stream).await.unwrap(), b"");
            assert_eq!(stream.state(), State::Closed);
        }
    }
}

fn drop_value<T>(result: io::Result<T>) -> io::Result<()> {
    result.map(drop)
}

#[tokio::test(start_paused = true)]
async fn a_permanent_verdict_in_a_shutdown_is_told_to_both_halves_whatever_the_seam() {
    for seam in SEAMS {
        let net = Net::new();
        let mut stream = build(&net, seam)
            .policy(policy().classify(|_, _| Verdict::Permanent))
            .connect()
            .await
            .unwrap();
        net.peer(1)
            .fail_once(Op::Shutdown, ErrorKind::Other)
            .finish();
        for _ in 0..2 {
            assert!(has_given_up(&stream.shutdown().await), "{seam:?}");
            assert!(has_given_up(&read(&mut stream).await), "{seam:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_command_dials_again_after_a_permanent_verdict_in_a_shutdown() {
    let net = Net::new();
    let mut stream = build(&net, Seam::Hidden)
        .policy(policy().classify(|_, _| Verdict::Permanent))
        .connect()
        .await
        .unwrap();
    net.peer(1).fail_once(Op::Shutdown, ErrorKind::Other);
    assert!(has_given_up(&stream.shutdown().await));
    stream.reconnect();
    stream.handle().reconnect();
    assert!(has_given_up(&stream.shutdown().await));
    assert!(stream.write(b"x").await.is_err());
    assert_eq!(net.attempts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_marked_lost_while_it_is_shut_down_is_told_whatever_the_seam() {
    for seam in SEAMS {
        for by_handle in [true, false] {
            let net = Net::new();
            let mut stream = connect(&net, seam).await;
            net.peer(1).stall(Op::Shutdown);
            assert!(timeout(SECOND, stream.shutdown()).await.is_err());
            if by_handle {
                stream.handle().mark_lost(ErrorKind::InvalidData.into());
            } else {
                stream.mark_lost(ErrorKind::InvalidData.into());
            }
            assert!(is_lost(&stream.shutdown().await), "{seam:?}");
            assert!(is_lost(&read(&mut stream).await), "{seam:?}");
            assert_eq!(net.attempts().len(), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_waits_is_woken_and_told_of_the_loss_that_a_shutdown_meets() {
    for seam in SEAMS {
        let net = Net::new();
        let (mut reader, mut writer) = split(connect(&net, seam).await);
        let task = Task::new();
        let mut reading = Box::pin(read(&mut reader));
        assert!(task.poll_future(reading.as_mut()).is_pending());
        net.peer(1).fail_once(Op::Shutdown, ErrorKind::BrokenPipe);
        task.take_wakes();
        assert!(is_lost(&writer.shutdown().await));
        assert!(task.is_woken(), "{seam:?}");
        assert!(is_lost(&reading.await), "{seam:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_that_waits_is_woken_and_told_of_the_loss_that_a_read_meets() {
    for seam in SEAMS {
        let net = Net::new();
        let (mut reader, mut writer) = split(connect(&net, seam).await);
        net.peer(1).stall(Op::Shutdown);
        let task = Task::new();
        let mut shutting_down = Box::pin(writer.shutdown());
        assert!(task.poll_future(shutting_down.as_mut()).is_pending());
        net.peer(1).fail_once(Op::Read, ErrorKind::ConnectionReset);
        task.take_wakes();
        assert!(is_lost(&read(&mut reader).await), "{seam:?}");
        assert!(task.is_woken(), "{seam:?}");
        assert!(is_lost(&shutting_down.await), "{seam:?}");
    }
}

/// Every way in which a shutdown can end.
async fn twice(
    net: &Net,
    mut stream: ReconnectingStream<impl Connect<Io = Socket>>,
    before: impl FnOnce(),
) -> (Result<(), String>, Result<(), String>) {
    before();
    let mut answers = Vec::new();
    for _ in 0..2 {
        let answer = stream.shutdown().await;
        answers.push(answer.map_err(|error| format!("{:?}: {error}", error.kind())));
    }
    assert!(net.attempts().len() <= 1);
    (answers.remove(0), answers.remove(0))
}

#[tokio::test(start_paused = true)]
async fn a_second_shutdown_gives_the_same_answer_as_the_first() {
    let net = Net::new();
    let (first, second) = twice(&net, connect(&net, Seam::Error).await, || {}).await;
    assert_eq!((&first, first.is_ok()), (&second, true));

    let net = Net::new();
    let stream = connect(&net, Seam::Error).await;
    let handle = stream.handle();
    let (first, second) = twice(&net, stream, || handle.close()).await;
    assert_eq!((&first, first.is_ok()), (&second, true));

    let net = Net::new();
    let stream = connect(&net, Seam::Error).await;
    let failing = || {
        net.peer(1)
            .fail_once(Op::Shutdown, ErrorKind::ConnectionReset);
    };
    let (first, second) = twice(&net, stream, failing).await;
    assert_eq!((&first, first.is_ok()), (&second, false));

    let net = Net::new();
    let stream = connect(&net, Seam::Error).await;
    let lost_after_it = || {
        let remote = net.peer(1);
        remote.at(Op::Shutdown, When::After, |remote| {
            remote.reset();
        });
    };
    let (first, second) = twice(&net, stream, lost_after_it).await;
    assert_eq!((&first, first.is_ok()), (&second, true));
}

#[tokio::test(start_paused = true)]
async fn a_second_shutdown_after_giving_up_gives_the_same_answer_as_the_first() {
    let net = Net::new();
    net.script([Outcome::Accepts]);
    let policy = policy().max_attempts(0);
    let builder = build(&net, Seam::Error).policy(policy);
    let mut stream = builder.connect().await.unwrap();
    net.peer(1).reset();
    assert!(has_given_up(&read(&mut stream).await));
    let (first, second) = twice(&net, stream, || {}).await;
    assert_eq!((&first, first.is_ok()), (&second, false));
}
