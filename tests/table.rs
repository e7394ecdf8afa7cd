//! The behaviour of a stream, row by row of the table in its documentation.

mod support;

use std::io::{self, ErrorKind, IoSlice};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use reconnecting_stream::{
    Backoff, Builder, Connect, Eof, Jitter, Permanent, Phase, Policy, ReconnectingStream, Seam,
    State, Verdict, connect_fn,
};
use support::{Fault, Network, Outcome, Task, Wire, gave_up, lost};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, advance, sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);

/// A delay of one second before every attempt.
fn policy() -> Policy {
    Policy::default().backoff(Backoff::constant(SECOND))
}

fn build<C: Connect<Io = Wire>>(connector: C) -> Builder<C> {
    ReconnectingStream::builder(connector).policy(policy())
}

async fn read(stream: &mut ReconnectingStream<impl Connect<Io = Wire>>) -> io::Result<Vec<u8>> {
    let mut buf = [0; 16];
    let n = stream.read(&mut buf).await?;
    Ok(buf[..n].to_vec())
}

mod errors {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_error_of_a_lost_kind_drops_the_connection_at_once() {
        for operation in ["read", "write", "flush"] {
            let network = Network::new();
            let mut stream = build(network.connector()).connect().await.unwrap();
            network.peer(1).reset();
            let mut task = pin!(async {
                match operation {
                    "read" => read(&mut stream).await.map(drop),
                    "write" => stream.write_all(b"x").await,
                    _ => stream.flush().await,
                }
            });
            assert!(Task::new().poll_future(task.as_mut()).is_pending());
            assert!(
                network.peer(1).is_dropped(),
                "before the backoff: {operation}"
            );
            assert_eq!(
                network.attempts().len(),
                1,
                "the backoff has begun: {operation}"
            );
            if operation == "read" {
                sleep(SECOND + SECOND).await;
                continue;
            }
            task.await.unwrap();
            assert_eq!(network.connections(), 2, "{operation}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn lost_kinds_by_default() {
        for kind in [
            ErrorKind::ConnectionReset,
            ErrorKind::ConnectionAborted,
            ErrorKind::ConnectionRefused,
            ErrorKind::BrokenPipe,
            ErrorKind::NotConnected,
            ErrorKind::TimedOut,
            ErrorKind::HostUnreachable,
            ErrorKind::NetworkUnreachable,
            ErrorKind::NetworkDown,
            ErrorKind::UnexpectedEof,
            ErrorKind::WriteZero,
        ] {
            let network = Network::new();
            let mut stream = build(network.connector()).connect().await.unwrap();
            network.peer(1).fault(Fault::Error(kind));
            stream.write_all(b"x").await.unwrap();
            assert_eq!(network.peer(2).received(), b"x", "{kind}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn never_a_loss() {
        for kind in [
            ErrorKind::Interrupted,
            ErrorKind::WouldBlock,
            ErrorKind::InvalidData,
            ErrorKind::InvalidInput,
            ErrorKind::PermissionDenied,
            ErrorKind::Unsupported,
            ErrorKind::OutOfMemory,
        ] {
            let network = Network::new();
            let mut stream = build(network.connector()).connect().await.unwrap();
            network.peer(1).fault(Fault::Error(kind));
            assert_eq!(read(&mut stream).await.unwrap_err().kind(), kind);
            assert_eq!(stream.write(b"x").await.unwrap_err().kind(), kind);
            network.peer(1).heal();
            stream.write_all(b"x").await.unwrap();
            assert_eq!(
                network.peer(1).received(),
                b"x",
                "the connection stays: {kind}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_hook_replaces_the_judgement() {
        fn classify(error: &io::Error, phase: Phase) -> Verdict {
            match (error.kind(), phase) {
                (ErrorKind::InvalidData, Phase::Read) => Verdict::Lost,
                (ErrorKind::ConnectionReset, Phase::Write) => Verdict::Surface,
                (ErrorKind::TimedOut, Phase::Flush) => Verdict::Permanent,
                _ => Verdict::of(error, phase),
            }
        }
        let network = Network::new();
        let mut stream = build(network.connector())
            .policy(policy().classify(classify))
            .connect()
            .await
            .unwrap();

        network.peer(1).reset();
        let surfaced = stream.write(b"x").await.unwrap_err();
        assert_eq!(surfaced.kind(), ErrorKind::ConnectionReset);
        assert!(lost(&surfaced).is_none());
        assert_eq!(stream.generation(), 1);

        network.peer(1).fault(Fault::Error(ErrorKind::InvalidData));
        assert!(timeout(2 * SECOND, read(&mut stream)).await.is_err());
        assert_eq!(stream.generation(), 2);

        network.peer(2).fault(Fault::Error(ErrorKind::TimedOut));
        let end = stream.flush().await.unwrap_err();
        assert_eq!(gave_up(&end).unwrap().attempts, 1);
        assert_eq!(stream.state(), State::GaveUp);
    }
}

mod eof {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_end_of_the_stream_is_a_loss() {
        let network = Network::new();
        let mut stream = build(network.connector()).connect().await.unwrap();
        network.peer(1).send(b"last");
        network.peer(1).close();
        assert_eq!(read(&mut stream).await.unwrap(), b"last");
        assert!(timeout(2 * SECOND, read(&mut stream)).await.is_err());
        network.peer(2).send(b"next");
        assert_eq!(read(&mut stream).await.unwrap(), b"next");
    }

    #[tokio::test(start_paused = true)]
    async fn passed_to_the_reader_if_the_policy_says_so() {
        let network = Network::new();
        let mut stream = build(network.connector())
            .policy(policy().eof(Eof::Pass))
            .connect()
            .await
            .unwrap();
        network.peer(1).close();
        assert_eq!(read(&mut stream).await.unwrap(), b"");
        assert_eq!(read(&mut stream).await.unwrap(), b"");
        stream.write_all(b"half-open").await.unwrap();
        assert_eq!(network.peer(1).received(), b"half-open");
    }
}

mod empty {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_read_into_an_empty_buffer_is_passed_through() {
        let network = Network::new();
        let mut stream = build(network.connector()).connect().await.unwrap();
        network.peer(1).close();
        assert_eq!(stream.read(&mut []).await.unwrap(), 0);
        assert_eq!(stream.generation(), 1);
        assert!(!network.peer(1).is_dropped());
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_of_an_empty_slice_is_passed_through() {
        let network = Network::new();
        let mut stream = build(network.connector()).connect().await.unwrap();
        assert_eq!(stream.write(&[]).await.unwrap(), 0);
        let empty = [IoSlice::new(&[]), IoSlice::new(&[])];
        assert_eq!(stream.write_vectored(&empty).await.unwrap(), 0);
        assert_eq!(stream.state(), State::Connected { generation: 1 });
    }

    /// Takes nothing of anything.
    struct Full;

    impl AsyncWrite for Full {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            _: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(0))
        }
        fn poll_write_vectored(
            self: Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            _: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(0))
        }
        fn poll_flush(
            self: Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(
            self: Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_takes_nothing_is_lost() {
        for is_vectored in [false, true] {
            let mut stream = ReconnectingStream::builder(|| async { Ok(Full) })
                .policy(policy().max_attempts(2))
                .connect()
                .await
                .unwrap();
            let slices = [IoSlice::new(&[]), IoSlice::new(b"x")];
            let written = match is_vectored {
                false => stream.write(b"x").await,
                true => stream.write_vectored(&slices).await,
            };
            let error = written.unwrap_err();
            assert_eq!(gave_up(&error).unwrap().attempts, 2);
            assert_eq!(error.kind(), ErrorKind::WriteZero);
        }
    }
}

mod halves {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loss_seen_by_one_half_keeps_the_other_off_the_old_connection() {
        for reader_first in [true, false] {
            let network = Network::new();
            let stream = build(network.connector()).connect().await.unwrap();
            let (mut reader, mut writer) = tokio::io::split(stream);
            network.peer(1).reset();
            let mut buf = [0; 8];
            let mut read = pin!(reader.read(&mut buf));
            let mut write = pin!(writer.write_all(b"x"));
            if reader_first {
                assert!(Task::new().poll_future(read.as_mut()).is_pending());
                assert!(Task::new().poll_future(write.as_mut()).is_pending());
            } else {
                assert!(Task::new().poll_future(write.as_mut()).is_pending());
                assert!(Task::new().poll_future(read.as_mut()).is_pending());
            }
            write.await.unwrap();
            network.peer(2).send(b"y");
            assert_eq!(read.await.unwrap(), 1);
            assert!(!network.peer(1).was_touched_when_dead());
            assert_eq!(network.peer(2).received(), b"x");
        }
    }
}

mod idle {
    use super::*;

    async fn connect(network: &Network) -> ReconnectingStream<impl Connect<Io = Wire>> {
        connect_by(policy().idle_timeout(5 * SECOND), network).await
    }

    async fn connect_by(
        policy: Policy,
        network: &Network,
    ) -> ReconnectingStream<impl Connect<Io = Wire>> {
        let builder = ReconnectingStream::builder(network.connector());
        builder
            .policy(policy)
            .seam(Seam::Error)
            .connect()
            .await
            .unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_waits_is_none() {
        let network = Network::new();
        let mut stream = connect(&network).await;
        network.peer(1).set_room(0);
        let waiting = timeout(100 * SECOND, stream.write_all(b"x")).await;
        assert!(waiting.is_err());
        assert_eq!(stream.state(), State::Connected { generation: 1 });
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_waits_too_long_is_a_loss() {
        let network = Network::new();
        let mut stream = connect(&network).await;
        let start = Instant::now();
        let error = read(&mut stream).await.unwrap_err();
        assert_eq!(start.elapsed().as_secs(), 5);
        assert_eq!(lost(&error).unwrap().cause.kind(), ErrorKind::TimedOut);
        assert!(network.peer(1).is_dropped());
    }

    #[tokio::test(start_paused = true)]
    async fn every_byte_starts_the_wait_anew() {
        let network = Network::new();
        let mut stream = connect(&network).await;
        for _ in 0..10 {
            assert!(timeout(4 * SECOND, read(&mut stream)).await.is_err());
            network.peer(1).send(b"x");
            assert_eq!(read(&mut stream).await.unwrap(), b"x");
        }
        assert_eq!(stream.generation(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_read_goes_on_waiting_in_the_next_one() {
        let network = Network::new();
        let mut stream = connect(&network).await;
        let start = Instant::now();
        let error = loop {
            if let Ok(result) = timeout(SECOND / 4, read(&mut stream)).await {
                break result.unwrap_err();
            }
        };
        assert!(lost(&error).is_some());
        assert_eq!(start.elapsed().as_secs(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_while_nobody_reads() {
        let network = Network::new();
        let mut stream = connect(&network).await;
        assert!(timeout(SECOND, read(&mut stream)).await.is_err());
        sleep(60 * SECOND).await;
        assert!(timeout(4 * SECOND, read(&mut stream)).await.is_err());
        let error = timeout(3 * SECOND, read(&mut stream)).await;
        assert!(lost(&error.unwrap().unwrap_err()).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn extremes_are_clamped() {
        for limit in [Duration::ZERO, Duration::MAX] {
            let network = Network::new();
            let mut stream = connect_by(policy().idle_timeout(limit), &network).await;
            let waited = timeout(3600 * SECOND, read(&mut stream)).await;
            assert_eq!(waited.is_ok(), limit.is_zero());
        }
    }
}

mod attempts {
    use super::*;

    /// The seconds at which attempts were made, after a loss at zero.
    async fn attempts_after_a_loss(network: &Network, policy: Policy) -> Vec<u64> {
        let mut stream = build(network.connector())
            .policy(policy)
            .connect()
            .await
            .unwrap();
        network.peer(1).reset();
        let start = Instant::now();
        let _ = timeout(600 * SECOND, stream.write_all(b"x")).await;
        let attempts = network.attempts();
        attempts[1..]
            .iter()
            .map(|dialed| (dialed.at - start).as_secs())
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_attempt_is_repeated_after_the_backoff() {
        let network = Network::new();
        network.script([Outcome::Accepts]).script(
            [
                ErrorKind::ConnectionRefused,
                ErrorKind::NotFound,
                ErrorKind::Other,
                ErrorKind::PermissionDenied,
            ]
            .map(Outcome::Refuses),
        );
        let policy = policy().backoff(Backoff::exponential(SECOND).jitter(Jitter::None));
        assert_eq!(
            attempts_after_a_loss(&network, policy).await,
            [1, 3, 7, 15, 25]
        );
        let numbers: Vec<_> = network.attempts()[1..]
            .iter()
            .map(|dialed| (dialed.attempt.number, dialed.attempt.generation))
            .collect();
        assert_eq!(numbers, [(1, 2), (2, 2), (3, 2), (4, 2), (5, 2)]);
        let errors: Vec<_> = network.attempts()[1..]
            .iter()
            .map(|dialed| dialed.attempt.last_error.as_ref().unwrap().kind())
            .collect();
        assert_eq!(
            errors[..2],
            [ErrorKind::ConnectionReset, ErrorKind::ConnectionRefused]
        );
        assert_eq!(network.attempts()[3].attempt.downtime, 7 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_hangs_times_out() {
        let network = Network::new();
        network.script([Outcome::Accepts, Outcome::Hangs, Outcome::Hangs]);
        let policy = policy().attempt_timeout(3 * SECOND);
        assert_eq!(attempts_after_a_loss(&network, policy).await, [1, 5, 9]);
        assert_eq!(network.running(), 0);
        let error = network.attempts()[2].attempt.last_error.clone().unwrap();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(error.to_string(), "the attempt did not complete within 3s");
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_is_cut_off_with_the_outage() {
        let network = Network::new();
        network.script([Outcome::Accepts]).otherwise(Outcome::Hangs);
        let mut stream = build(network.connector())
            .policy(policy().max_outage(5 * SECOND))
            .connect()
            .await
            .unwrap();
        network.peer(1).reset();
        let start = Instant::now();
        let error = stream.write_all(b"x").await.unwrap_err();
        assert_eq!(start.elapsed().as_secs(), 5);
        assert_eq!(gave_up(&error).unwrap().outage.as_secs(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn errors_that_repeating_cannot_cure_end_the_outage() {
        for outcome in [
            Outcome::Refuses(ErrorKind::InvalidInput),
            Outcome::Refuses(ErrorKind::InvalidData),
            Outcome::Refuses(ErrorKind::Unsupported),
            Outcome::RefusesForGood,
        ] {
            let network = Network::new();
            network.script([Outcome::Accepts]).otherwise(outcome);
            let mut stream = build(network.connector()).connect().await.unwrap();
            network.peer(1).reset();
            let error = stream.write_all(b"x").await.unwrap_err();
            let gave_up = gave_up(&error).unwrap();
            assert_eq!(gave_up.attempts, 1, "{outcome:?}");
            let marked = gave_up
                .last_error
                .get_ref()
                .is_some_and(|inner| inner.downcast_ref::<Permanent>().is_some());
            assert_eq!(marked, outcome == Outcome::RefusesForGood);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_denied_permission_is_final_before_the_first_success() {
        let network = Network::new();
        network.otherwise(Outcome::Refuses(ErrorKind::PermissionDenied));
        let mut stream = build(network.connector()).lazy();
        let error = stream.connected().await.unwrap_err();
        assert_eq!(gave_up(&error).unwrap().attempts, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_surfaced_error_goes_to_the_caller_and_the_outage_goes_on() {
        let network = Network::new();
        network.script([Outcome::Refuses(ErrorKind::AddrNotAvailable)]);
        let classify = |error: &io::Error, phase| match error.kind() {
            ErrorKind::AddrNotAvailable => Verdict::Surface,
            _ => Verdict::of(error, phase),
        };
        let mut stream = build(network.connector())
            .policy(policy().classify(classify))
            .lazy();
        let error = stream.write_all(b"x").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
        assert!(matches!(
            stream.state(),
            State::Backoff {
                attempt: 2,
                delay: SECOND,
                ..
            }
        ));
        stream.write_all(b"x").await.unwrap();
        assert_eq!(network.attempts().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn success_resets_the_backoff_only_once_stable() {
        let network = Network::new();
        network
            .script([Outcome::Accepts])
            .script([Outcome::AcceptsThen(Fault::Reset); 4]);
        let policy = policy().backoff(Backoff::exponential(SECOND).jitter(Jitter::None));
        let mut stream = build(network.connector())
            .policy(policy)
            .connect()
            .await
            .unwrap();
        network.peer(1).reset();
        let start = Instant::now();
        stream.write_all(b"x").await.unwrap();
        let seconds = |from: usize| -> Vec<u64> {
            network.attempts()[from..]
                .iter()
                .map(|dialed| (dialed.at - start).as_secs())
                .collect()
        };
        assert_eq!(seconds(1), [1, 3, 7, 15, 25]);

        sleep(10 * SECOND).await;
        network.peer(6).reset();
        stream.write_all(b"x").await.unwrap();
        assert_eq!(seconds(6), [36], "stable: the backoff begins anew");
        assert_eq!(network.attempts()[6].attempt.number, 1);
    }
}

mod cap {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn every_later_poll_of_either_half_answers_the_same() {
        let network = Network::new();
        network
            .script([Outcome::Accepts])
            .otherwise(Outcome::Refuses(ErrorKind::ConnectionRefused));
        let mut stream = build(network.connector())
            .policy(policy().max_attempts(3))
            .connect()
            .await
            .unwrap();
        network.peer(1).reset();
        for _ in 0..3 {
            for error in [
                stream.write(b"x").await.unwrap_err(),
                stream.read(&mut [0; 4]).await.unwrap_err(),
                stream.flush().await.unwrap_err(),
                stream
                    .write_vectored(&[IoSlice::new(b"x")])
                    .await
                    .unwrap_err(),
                stream.connected().await.unwrap_err(),
            ] {
                assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
                let gave_up = gave_up(&error).unwrap();
                assert_eq!((gave_up.attempts, gave_up.outage), (3, 3 * SECOND));
                assert_eq!(gave_up.last_error.kind(), ErrorKind::ConnectionRefused);
            }
        }
        assert_eq!(network.attempts().len(), 4);
        let error = stream.shutdown().await.unwrap_err();
        assert!(gave_up(&error).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn zero_attempts_never_reconnect() {
        let network = Network::new();
        let mut stream = build(network.connector())
            .policy(policy().max_attempts(0))
            .connect()
            .await
            .unwrap();
        network.peer(1).reset();
        let error = stream.write(b"x").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(gave_up(&error).unwrap().attempts, 0);
        assert!(network.peer(1).is_dropped());
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_the_delays_is_the_end_of_the_outage() {
        let network = Network::new();
        network
            .script([Outcome::Accepts])
            .otherwise(Outcome::Refuses(ErrorKind::ConnectionRefused));
        let delays = Backoff::from_factory(|| vec![SECOND, 2 * SECOND]);
        let mut stream = build(network.connector())
            .policy(policy().backoff(delays))
            .connect()
            .await
            .unwrap();
        network.peer(1).reset();
        let error = stream.write(b"x").await.unwrap_err();
        assert_eq!(gave_up(&error).unwrap().attempts, 2);
        assert_eq!(gave_up(&error).unwrap().outage, 3 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reconnect_on_demand_starts_afresh() {
        for by_handle in [true, false] {
            let network = Network::new();
            network.script([Outcome::Accepts]);
            let mut stream = build(network.connector())
                .policy(policy().max_attempts(0))
                .connect()
                .await
                .unwrap();
            network.peer(1).reset();
            assert!(stream.write(b"x").await.is_err());
            let before = Instant::now();
            if by_handle {
                stream.handle().reconnect();
            } else {
                stream.reconnect();
            }
            stream.write_all(b"x").await.unwrap();
            assert_eq!(before.elapsed(), Duration::ZERO, "without a delay");
            assert_eq!(network.attempts()[1].attempt.number, 1);
        }
    }
}

mod shutdown {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn reads_go_on_until_the_end_and_nothing_reconnects() {
        let network = Network::new();
        let mut stream = build(network.connector()).connect().await.unwrap();
        stream.write_all(b"request").await.unwrap();
        stream.shutdown().await.unwrap();
        assert!(network.peer(1).is_shut_down());
        network.peer(1).send(b"reply");
        assert_eq!(read(&mut stream).await.unwrap(), b"reply");
        network.peer(1).close();
        for _ in 0..2 {
            assert_eq!(read(&mut stream).await.unwrap(), b"");
        }
        assert_eq!(stream.state(), State::Closed);
        assert!(network.peer(1).is_dropped());
        assert_eq!(network.attempts().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_loss_after_it_is_the_readers_to_know() {
        let network = Network::new();
        let mut stream = build(network.connector())
            .seam(Seam::Error)
            .connect()
            .await
            .unwrap();
        stream.shutdown().await.unwrap();
        network.peer(1).reset();
        let error = read(&mut stream).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(lost(&error).unwrap().generation, 1);
        stream.flush().await.unwrap();
        assert_eq!(read(&mut stream).await.unwrap(), b"");
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_that_is_judged_permanent_is_no_success_of_it() {
        let network = Network::new();
        let policy = policy().classify(|_, _| Verdict::Permanent);
        let mut stream = build(network.connector())
            .policy(policy)
            .connect()
            .await
            .unwrap();
        network.peer(1).fault(Fault::Error(ErrorKind::InvalidData));
        for _ in 0..2 {
            let error = stream.shutdown().await.unwrap_err();
            assert!(gave_up(&error).is_some());
        }
        assert_eq!(stream.state(), State::GaveUp);
    }

    #[tokio::test(start_paused = true)]
    async fn during_an_outage_it_cancels_the_attempt() {
        for outcome in [
            Outcome::Hangs,
            Outcome::Refuses(ErrorKind::ConnectionRefused),
        ] {
            let network = Network::new();
            network.script([Outcome::Accepts]).otherwise(outcome);
            let mut stream = build(network.connector()).connect().await.unwrap();
            network.peer(1).reset();
            assert!(timeout(3 * SECOND / 2, stream.write(b"x")).await.is_err());
            stream.shutdown().await.unwrap();
            assert_eq!(network.running(), 0);
            assert_eq!(stream.state(), State::Closed);
            stream.shutdown().await.unwrap();
            stream.flush().await.unwrap();
            let error = read(&mut stream).await.unwrap_err();
            assert!(lost(&error).is_some(), "a cut reply must not look complete");
            assert_eq!(read(&mut stream).await.unwrap(), b"");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn before_the_first_connection_there_is_nothing_to_shut_down() {
        let network = Network::new();
        let mut stream = build(network.connector()).lazy();
        stream.shutdown().await.unwrap();
        assert!(stream.write(b"x").await.is_err());
        assert_eq!(network.attempts().len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn twice_is_fine_and_writes_after_it_are_a_broken_pipe() {
        let network = Network::new();
        let mut stream = build(network.connector()).connect().await.unwrap();
        stream.shutdown().await.unwrap();
        stream.shutdown().await.unwrap();
        let error = stream.write(b"x").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        stream.flush().await.unwrap();
        assert_eq!(network.peer(1).received(), b"");
    }

    #[tokio::test(start_paused = true)]
    async fn while_it_is_pending_nothing_can_be_written() {
        let network = Network::new();
        let mut stream = build(network.connector()).connect().await.unwrap();
        network.peer(1).stall_shutdown(true);
        assert!(timeout(SECOND, stream.shutdown()).await.is_err());
        assert!(stream.write(b"x").await.is_err());
        network.peer(1).stall_shutdown(false);
        stream.shutdown().await.unwrap();
        assert!(network.peer(1).is_shut_down());
    }

    #[tokio::test(start_paused = true)]
    async fn a_loss_met_by_it_ends_the_stream() {
        for seam in [Seam::Hidden, Seam::Error, Seam::Eof] {
            let network = Network::new();
            let mut stream = build(network.connector())
                .seam(seam)
                .connect()
                .await
                .unwrap();
            network.peer(1).reset();
            for _ in 0..2 {
                let error = stream.shutdown().await.unwrap_err();
                assert!(lost(&error).is_some());
                assert_eq!(stream.state(), State::Closed);
            }
            let error = read(&mut stream).await.unwrap_err();
            assert!(lost(&error).is_some(), "the reader is told as well");
            assert_eq!(read(&mut stream).await.unwrap(), b"");
            assert_eq!(network.attempts().len(), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_command_brings_a_finished_stream_back() {
        let network = Network::new();
        let mut stream = build(network.connector()).connect().await.unwrap();
        let handle = stream.handle();
        stream.shutdown().await.unwrap();
        handle.reconnect();
        stream.reconnect();
        network.peer(1).close();
        assert_eq!(read(&mut stream).await.unwrap(), b"");
        handle.reconnect();
        assert_eq!(read(&mut stream).await.unwrap(), b"");
        assert_eq!(network.attempts().len(), 1);
    }
}

mod close {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn interrupts_a_backoff_and_an_attempt_in_flight() {
        for outcome in [
            Outcome::Hangs,
            Outcome::Refuses(ErrorKind::ConnectionRefused),
        ] {
            let network = Network::new();
            network.script([Outcome::Accepts]).otherwise(outcome);
            let mut stream = build(network.connector()).connect().await.unwrap();
            let handle = stream.handle();
            network.peer(1).reset();
            let (result, ()) = tokio::join!(stream.write(b"x"), async {
                sleep(3 * SECOND / 2).await;
                handle.close();
            });
            assert_eq!(result.unwrap_err().kind(), ErrorKind::BrokenPipe);
            assert_eq!(network.running(), 0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn reads_answer_the_end_and_writes_a_broken_pipe() {
        let network = Network::new();
        let mut stream = build(network.connector()).connect().await.unwrap();
        network.peer(1).send(b"unread");
        let handle = stream.handle();
        handle.close();
        for _ in 0..2 {
            assert_eq!(read(&mut stream).await.unwrap(), b"");
            assert_eq!(
                stream.write(b"x").await.unwrap_err().kind(),
                ErrorKind::BrokenPipe
            );
            assert_eq!(
                stream.flush().await.unwrap_err().kind(),
                ErrorKind::BrokenPipe
            );
            let error = stream.connected().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotConnected);
        }
        stream.shutdown().await.unwrap();
        assert!(network.peer(1).is_dropped());
        assert_eq!(handle.state(), State::Closed);
        handle.reconnect();
        assert_eq!(read(&mut stream).await.unwrap(), b"");
    }

    #[tokio::test(start_paused = true)]
    async fn is_seen_though_data_never_stops_coming() {
        let network = Network::new();
        let mut stream = build(network.connector()).connect().await.unwrap();
        network.peer(1).set_chunk(1);
        network.peer(1).send(&[b'x'; 100]);
        read(&mut stream).await.unwrap();
        stream.handle().close();
        assert_eq!(read(&mut stream).await.unwrap(), b"");
    }
}

mod dropping {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn nothing_is_left_behind() {
        for outcome in [Outcome::Accepts, Outcome::Hangs] {
            let network = Network::new();
            network.script([Outcome::Accepts]).otherwise(outcome);
            let mut stream = build(network.connector()).connect().await.unwrap();
            let handle = stream.handle();
            network.peer(1).reset();
            let _ = timeout(2 * SECOND, read(&mut stream)).await;
            drop(stream);
            assert_eq!((network.running(), network.open()), (0, 0));
            assert_eq!(handle.state(), State::Closed);
            handle.reconnect();
            handle.close();
            sleep(60 * SECOND).await;
            assert_eq!(network.attempts().len(), 2);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_poll_future_loses_nothing() {
        let network = Network::new();
        network.script([Outcome::Accepts, Outcome::AcceptsAfter(3 * SECOND)]);
        let mut stream = build(network.connector()).connect().await.unwrap();
        network.peer(1).reset();
        let start = Instant::now();
        while timeout(SECOND / 10, stream.write_all(b"x")).await.is_err() {}
        assert_eq!(start.elapsed().as_secs(), 4);
        assert_eq!(network.attempts().len(), 2, "the attempt went on");
        assert_eq!(network.peer(2).received(), b"x");
    }
}

mod beginning {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn connect_makes_one_attempt_and_returns_its_error() {
        let network = Network::new();
        network.otherwise(Outcome::Refuses(ErrorKind::ConnectionRefused));
        let error = build(network.connector()).connect().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert!(gave_up(&error).is_none());
        assert_eq!(network.attempts().len(), 1);

        network.otherwise(Outcome::Hangs);
        let error = build(network.connector()).connect().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn connect_retries_if_told_to() {
        let network = Network::new();
        network.script([Outcome::Refuses(ErrorKind::ConnectionRefused); 3]);
        let builder = build(network.connector()).retry_initial_connect(true);
        let start = Instant::now();
        let stream = builder.connect().await.unwrap();
        assert_eq!(start.elapsed(), 3 * SECOND);
        assert_eq!((network.attempts().len(), stream.generation()), (4, 1));

        network.otherwise(Outcome::Refuses(ErrorKind::ConnectionRefused));
        let builder = build(network.connector())
            .policy(policy().max_attempts(5))
            .retry_initial_connect(true);
        let error = builder.connect().await.unwrap_err();
        assert_eq!(gave_up(&error).unwrap().attempts, 5);
    }

    #[tokio::test(start_paused = true)]
    async fn lazy_dials_at_the_first_poll() {
        let network = Network::new();
        let mut stream = build(network.connector()).lazy();
        sleep(SECOND).await;
        assert_eq!((network.attempts().len(), stream.generation()), (0, 0));
        let before = Instant::now();
        stream.write_all(b"x").await.unwrap();
        assert_eq!(before.elapsed(), Duration::ZERO);
        assert_eq!(stream.generation(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn lazy_makes_one_attempt_even_if_it_may_not_reconnect() {
        let network = Network::new();
        let mut stream = build(network.connector())
            .policy(policy().max_attempts(0))
            .lazy();
        assert_eq!(stream.connected().await.unwrap(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn wrap_begins_with_a_connection() {
        let network = Network::new();
        let (wire, peer) = Wire::new();
        let mut stream = build(network.connector()).wrap(wire);
        assert_eq!(stream.state(), State::Connected { generation: 1 });
        stream.write_all(b"x").await.unwrap();
        assert_eq!(peer.received(), b"x");
        peer.reset();
        stream.write_all(b"y").await.unwrap();
        assert_eq!(stream.generation(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn dropping_connect_drops_the_attempt() {
        for retry in [true, false] {
            let network = Network::new();
            network.otherwise(Outcome::Hangs);
            let builder = build(network.connector()).retry_initial_connect(retry);
            assert!(timeout(SECOND, builder.connect()).await.is_err());
            assert_eq!((network.attempts().len(), network.running()), (1, 0));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connector_may_look_at_the_attempt() {
        let mut numbers = Vec::new();
        let connector = connect_fn(|attempt| {
            numbers.push(attempt.number);
            let fails = attempt.number < 3;
            async move {
                if fails {
                    return Err(ErrorKind::ConnectionRefused.into());
                }
                Ok(Wire::new().0)
            }
        });
        let mut stream = build(connector).lazy();
        assert_eq!(stream.connected().await.unwrap(), 1);
        drop(stream);
        assert_eq!(numbers, [1, 2, 3]);
    }
}

mod accessors {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn reach_the_connection_while_there_is_one() {
        let network = Network::new();
        let mut stream = build(network.connector()).connect().await.unwrap();
        assert!(stream.get_ref().is_some());
        assert!(stream.get_mut().is_some());
        assert!(Pin::new(&mut stream).get_pin_mut().is_some());
        network.peer(1).reset();
        assert!(timeout(SECOND / 2, read(&mut stream)).await.is_err());
        assert!(stream.get_ref().is_none());
        assert!(stream.get_mut().is_none());
        assert!(Pin::new(&mut stream).get_pin_mut().is_none());
        assert!(stream.into_inner().is_none());

        let stream = build(network.connector()).connect().await.unwrap();
        let connection = stream.into_inner();
        assert!(!network.peer(2).is_dropped(), "it is the caller's now");
        drop(connection.unwrap());
        assert!(network.peer(2).is_dropped());
    }

    #[tokio::test(start_paused = true)]
    async fn debug_tells_the_state() {
        let network = Network::new();
        let stream = build(network.connector()).lazy();
        assert_eq!(
            format!("{stream:?} {:?}", stream.handle()),
            "ReconnectingStream { state: Backoff { attempt: 1, delay: 0ns }, seam: Hidden, .. } \
             Handle { state: Backoff { attempt: 1, delay: 0ns }, .. }"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn reconnect_drops_the_connection_now_and_dials_again() {
        let network = Network::new();
        let mut stream = build(network.connector()).connect().await.unwrap();
        stream.reconnect();
        assert!(network.peer(1).is_dropped());
        let before = Instant::now();
        assert_eq!(stream.connected().await.unwrap(), 2);
        assert_eq!(before.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn reconnect_cuts_a_backoff_short_and_lets_an_attempt_go_on() {
        let network = Network::new();
        network.script([Outcome::Accepts, Outcome::AcceptsAfter(SECOND)]);
        let mut stream = build(network.connector())
            .policy(policy().backoff(Backoff::constant(60 * SECOND)))
            .connect()
            .await
            .unwrap();
        network.peer(1).reset();
        let start = Instant::now();
        assert!(timeout(SECOND / 2, stream.write(b"x")).await.is_err());
        stream.reconnect();
        assert!(timeout(SECOND / 2, stream.write(b"x")).await.is_err());
        assert_eq!(stream.state(), State::Connecting { attempt: 1 });
        stream.reconnect();
        stream.write_all(b"x").await.unwrap();
        assert_eq!(start.elapsed(), 3 * SECOND / 2);
        assert_eq!(network.attempts().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn vectored_writes_are_the_connections() {
        struct Vectored(Wire);
        impl AsyncWrite for Vectored {
            fn poll_write(
                mut self: Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                Pin::new(&mut self.0).poll_write(cx, buf)
            }
            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                let all: Vec<u8> = bufs.iter().flat_map(|buf| buf.to_vec()).collect();
                self.poll_write(cx, &all)
            }
            fn is_write_vectored(&self) -> bool {
                true
            }
            fn poll_flush(
                mut self: Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> Poll<io::Result<()>> {
                Pin::new(&mut self.0).poll_flush(cx)
            }
            fn poll_shutdown(
                mut self: Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> Poll<io::Result<()>> {
                Pin::new(&mut self.0).poll_shutdown(cx)
            }
        }
        let (wire, peer) = Wire::new();
        let mut stream =
            ReconnectingStream::builder(|| async { Ok(Vectored(Wire::new().0)) }).lazy();
        assert!(!stream.is_write_vectored(), "without a connection");
        stream.connected().await.unwrap();
        assert!(stream.is_write_vectored());
        *stream.get_mut().unwrap() = Vectored(wire);
        let bufs = [IoSlice::new(b"ab"), IoSlice::new(b"cd")];
        assert_eq!(stream.write_vectored(&bufs).await.unwrap(), 4);
        assert_eq!(peer.received(), b"abcd");
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_that_fills_and_fails_has_read_nothing() {
    /// Breaks the contract of `AsyncRead`, once.
    struct Liar(u64);
    impl tokio::io::AsyncRead for Liar {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if self.0 > 1 {
                buf.put_slice(b"truth");
                return Poll::Ready(Ok(()));
            }
            buf.put_slice(b"junk");
            Poll::Ready(Err(ErrorKind::ConnectionReset.into()))
        }
    }
    let connector = connect_fn(|attempt| {
        let generation = attempt.generation;
        async move { Ok(Liar(generation)) }
    });
    let mut stream = ReconnectingStream::connect(connector).await.unwrap();
    let mut buf = Vec::with_capacity(64);
    stream.read_buf(&mut buf).await.unwrap();
    assert_eq!(buf, b"truth");
}

#[tokio::test(start_paused = true)]
async fn no_delay_and_no_limit_still_let_the_task_yield() {
    let network = Network::new();
    network.otherwise(Outcome::AcceptsThen(Fault::Reset));
    let mut stream = build(network.connector())
        .policy(
            Policy::default()
                .backoff(Backoff::none())
                .stable_after(Duration::ZERO)
                .max_attempts(None),
        )
        .lazy();
    let mut buf = [0; 4];
    let mut read = pin!(stream.read(&mut buf));
    let task = Task::new();
    for polls in 1..100 {
        assert!(task.poll_future(read.as_mut()).is_pending());
        assert!(task.is_woken());
        assert!(network.attempts().len() <= polls, "one attempt a poll");
    }
    advance(SECOND).await;
}
