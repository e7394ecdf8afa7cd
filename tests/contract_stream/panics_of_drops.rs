//! A connection or an attempt that panics when it is dropped.

use std::io::ErrorKind;

use reconnecting_stream::{Backoff, Seam, State, Verdict};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::contract::{Net, Op};
use super::support::{Outcome, Task};
use super::*;

#[tokio::test(start_paused = true)]
async fn a_drop_of_a_lost_connection_that_panics_leaves_a_complete_outage() {
    for op in [Op::Read, Op::Write, Op::Flush] {
        let net = Net::new();
        let (builder, recorder) = observed(&net, Seam::Error);
        let mut stream = builder.connect().await.unwrap();
        recorder.watch(stream.handle());
        net.peer(1)
            .panic_on_drop()
            .fail_once(op, ErrorKind::ConnectionReset);
        let panicked = match op {
            Op::Read => caught(read(&mut stream)).await.is_none(),
            Op::Write => caught(stream.write(b"x")).await.is_none(),
            Op::Flush | Op::Shutdown => caught(stream.flush()).await.is_none(),
        };
        assert!(panicked, "{op:?}");
        let states = recorder.take_states();
        assert!(matches!(
            states[..],
            [
                ("lost", State::Backoff { attempt: 1, .. }),
                ("retrying", State::Backoff { attempt: 1, .. })
            ]
        ));
        assert!(is_lost(&read(&mut stream).await), "{op:?}");
        assert!(is_lost(&stream.write(b"x").await), "{op:?}");
        stream.write_all(b"x").await.unwrap();
        assert_eq!(net.peer(2).text(), "x");
        assert_eq!(net.attempts()[1].1.number, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_drop_of_a_connection_that_panics_in_a_command_leaves_the_state_after_it() {
    // Each by the handle, seen by a read, and by the stream itself.
    for way in 0..5 {
        let net = Net::new();
        let mut stream = connect(&net, Seam::Hidden).await;
        let handle = stream.handle();
        net.peer(1).panic_on_drop();
        let cause = || io::Error::other("bad");
        match way {
            0 => handle.reconnect(),
            1 => handle.mark_lost(cause()),
            2 => handle.close(),
            3 => {
                let panicked = caught(async { stream.reconnect() }).await;
                assert!(panicked.is_none());
            }
            _ => {
                let panicked = caught(async { stream.mark_lost(cause()) }).await;
                assert!(panicked.is_none());
            }
        }
        if way < 3 {
            assert!(caught(read(&mut stream)).await.is_none(), "{way}");
        }
        match way {
            2 => assert_eq!(handle.state(), State::Closed),
            _ => assert!(matches!(handle.state(), State::Backoff { attempt: 1, .. })),
        }
        if way == 2 {
            assert_eq!(read(&mut stream).await.unwrap(), b"");
        } else {
            stream.write_all(b"x").await.unwrap();
            assert_eq!(net.peer(2).text(), "x");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_drop_of_a_connection_that_panics_in_a_shutdown_leaves_one_whose_loss_is_told() {
    for seam in SEAMS {
        let net = Net::new();
        let mut stream = connect(&net, seam).await;
        net.peer(1)
            .panic_on_drop()
            .fail_once(Op::Shutdown, ErrorKind::BrokenPipe);
        assert!(caught(stream.shutdown()).await.is_none());
        assert_eq!(stream.handle().state(), State::Closed);
        assert!(is_lost(&stream.shutdown().await), "{seam:?}");
        assert!(is_lost(&read(&mut stream).await), "{seam:?}");
        assert_eq!(net.attempts().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_drop_of_a_connection_that_panics_at_a_permanent_error_leaves_the_giving_up() {
    let net = Net::new();
    let policy = policy().classify(|_, _| Verdict::Permanent);
    let builder = build(&net, Seam::Hidden).policy(policy);
    let mut stream = builder.connect().await.unwrap();
    net.peer(1)
        .panic_on_drop()
        .fail_once(Op::Read, ErrorKind::Other);
    assert!(caught(read(&mut stream)).await.is_none());
    assert_eq!(stream.handle().state(), State::GaveUp);
    assert!(has_given_up(&read(&mut stream).await));
    assert!(has_given_up(&stream.write(b"x").await));
    assert_eq!(net.attempts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_drop_of_a_connection_that_panics_wakes_the_other_half_all_the_same() {
    let net = Net::new();
    let mut stream = connect(&net, Seam::Error).await;
    let task = Task::new();
    assert!(task.poll(|cx| poll_read(&mut stream, cx)).is_pending());
    net.peer(1)
        .panic_on_drop()
        .fail_once(Op::Write, ErrorKind::BrokenPipe);
    task.take_wakes();
    assert!(caught(stream.write_all(b"x")).await.is_none());
    assert!(task.is_woken());
    assert!(is_lost(&read(&mut stream).await));
}

#[tokio::test(start_paused = true)]
async fn a_drop_of_an_attempt_that_panics_is_under_the_caps() {
    for outcome in [
        Outcome::Hangs,
        Outcome::Refuses(ErrorKind::ConnectionRefused),
    ] {
        let net = Net::new();
        net.script([Outcome::Accepts]).otherwise(outcome);
        let (builder, recorder) = observed(&net, Seam::Hidden);
        let policy = policy().max_attempts(2);
        let mut stream = builder.policy(policy).connect().await.unwrap();
        net.peer(1).reset();
        let mut panics = 0;
        let result = loop {
            net.panic_on_drop_of_attempt();
            match caught(stream.write_all(b"x")).await {
                None => panics += 1,
                Some(result) => break result,
            }
        };
        assert!(has_given_up(&result));
        assert_eq!(panics, 2, "{outcome:?}");
        assert_eq!(net.attempts().len(), 3);
        assert_eq!(recorder.take().last(), Some(&"gave up"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_drop_of_an_attempt_that_panics_after_its_success_leaves_the_connection() {
    let net = Net::new();
    net.script([Outcome::Accepts]);
    let (builder, recorder) = observed(&net, Seam::Hidden);
    let mut stream = builder.connect().await.unwrap();
    net.panic_on_drop_of_attempt();
    net.peer(1).reset();
    let first = caught(stream.write_all(b"x")).await;
    assert_eq!(
        stream.handle().state(),
        State::Connected { generation: 2 },
        "{first:?}"
    );
    if first.is_none() {
        stream.write_all(b"x").await.unwrap();
    }
    assert_eq!(net.peer(2).text(), "x");
    assert_eq!(
        recorder.take(),
        ["connected", "lost", "retrying", "connected"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_drop_of_an_attempt_that_panics_in_a_close_or_a_shutdown_ends_the_stream() {
    for by_shutdown in [true, false] {
        let net = Net::new();
        net.script([Outcome::Accepts]).otherwise(Outcome::Hangs);
        let builder = build(&net, Seam::Hidden);
        let policy = policy().backoff(Backoff::constant(SECOND));
        let mut stream = builder.policy(policy).connect().await.unwrap();
        let handle = stream.handle();
        net.panic_on_drop_of_attempt();
        net.peer(1).reset();
        assert!(timeout(2 * SECOND, stream.write_all(b"x")).await.is_err());
        assert_eq!(handle.state(), State::Connecting { attempt: 1 });
        if by_shutdown {
            assert!(caught(stream.shutdown()).await.is_none());
            assert_eq!(handle.state(), State::Closed);
            stream.shutdown().await.unwrap();
            assert!(is_lost(&read(&mut stream).await));
        } else {
            handle.close();
            assert!(caught(read(&mut stream)).await.is_none());
        }
        assert_eq!(handle.state(), State::Closed);
        handle.reconnect();
        assert_eq!(read(&mut stream).await.unwrap(), b"");
        let error = stream.write(b"x").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        assert_eq!(net.attempts().len(), 2);
    }
}
