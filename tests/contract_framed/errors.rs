//! Errors of one direction, and of the encoder; and where the classifier is told of them.

use std::cell::RefCell;
use std::io::ErrorKind;

use futures::SinkExt;
use reconnecting_stream::{Phase, State, Verdict};
use tokio::time::Instant;

use super::contract::codec::{PANICS, UNENCODABLE};
use super::contract::{Net, Op, When};
use super::support::{Outcome, Task};
use super::*;

#[tokio::test(start_paused = true)]
async fn an_error_of_the_writing_side_that_the_reader_meets_is_the_senders_and_never_an_item() {
    for op in [Op::Write, Op::Flush] {
        let net = Net::new();
        net.greet(move |generation, peer| {
            if generation == 2 {
                peer.fail_once(op, ErrorKind::InvalidData).send("item\n");
            }
        });
        let mut framed = connect(&net).await;
        framed.feed("x").await.unwrap();
        net.peer(1).reset();
        assert_eq!(describe(framed.next().await), "lost 1");
        // The reader sends the backlog on the next connection.
        assert_eq!(describe(framed.next().await), "item", "{op:?}");
        assert_eq!(next_now(&mut framed), None, "{op:?}");
        let error = framed.flush().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{op:?}");
        framed.flush().await.unwrap();
        assert_eq!(net.peer(2).text(), "x\n");
        assert_eq!(framed.generation(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_waits_is_woken_by_an_error_of_a_write_that_the_reader_meets() {
    let net = Net::new();
    net.script([Outcome::Accepts, Outcome::AcceptsAfter(SECOND)])
        .greet(|generation, peer| {
            if generation == 2 {
                peer.fail_once(Op::Write, ErrorKind::InvalidData);
            }
        });
    let mut framed = connect(&net).await;
    framed.feed("x").await.unwrap();
    net.peer(1).reset();
    assert_eq!(describe(framed.next().await), "lost 1");
    let task = Task::new();
    assert!(task.poll(|cx| poll_flush(&mut framed, cx)).is_pending());
    let _ = tokio::time::timeout(10 * SECOND, framed.next()).await;
    assert!(task.is_woken());
    let flushed = task.poll(|cx| poll_flush(&mut framed, cx));
    assert!(matches!(flushed, Poll::Ready(Err(error)) if error.kind() == ErrorKind::InvalidData));
}

#[tokio::test(start_paused = true)]
async fn a_transient_error_of_the_reading_side_never_fails_a_send() {
    for way in 0..5 {
        let net = Net::new();
        let mut framed = connect(&net).await;
        net.peer(1).send("before\n");
        net.peer(1).fail_once(Op::Read, ErrorKind::InvalidData);
        match way {
            0 => framed.send("x").await.unwrap(),
            1 => {
                framed.feed("x").await.unwrap();
                framed.flush().await.unwrap();
            }
            2 => framed.send_transient("x").await.unwrap(),
            3 => {
                let task = Task::new();
                let ready = task.poll(|cx| poll_ready(&mut framed, cx));
                assert!(matches!(ready, Poll::Ready(Ok(()))));
                start_send(&mut framed, "x").unwrap();
                framed.flush().await.unwrap();
            }
            _ => {
                framed.feed("x").await.unwrap();
                framed.close().await.unwrap();
            }
        }
        assert_eq!(net.peer(1).text(), "x\n", "{way}");
        let items = take_all(&mut framed);
        let errors = items.iter().filter(|item| *item == "InvalidData").count();
        assert_eq!(errors, 1, "{way}: {items:?}");
        assert!(items.contains(&"before".to_owned()), "{way}: {items:?}");
        assert_eq!(framed.generation(), 1);
    }
}

thread_local! {
    static CLASSIFIED: RefCell<Vec<(ErrorKind, Phase)>> = const { RefCell::new(Vec::new()) };
}

fn classify(error: &io::Error, phase: Phase) -> Verdict {
    CLASSIFIED.with_borrow_mut(|seen| seen.push((error.kind(), phase)));
    Verdict::of(error, phase)
}

/// The operations of a sender, and where the classifier has to be told of their errors.
const PHASES: [(Op, Phase); 4] = [
    (Op::Read, Phase::Read),
    (Op::Write, Phase::Write),
    (Op::Flush, Phase::Flush),
    (Op::Shutdown, Phase::Flush),
];

const RESET: ErrorKind = ErrorKind::ConnectionReset;

#[tokio::test(start_paused = true)]
async fn the_classifier_is_told_where_an_error_was_met_if_the_sender_met_it() {
    for (op, phase) in PHASES {
        let net = Net::new();
        let builder = build(&net).policy(policy().classify(classify));
        let mut framed = builder.connect().await.unwrap();
        net.peer(1).fail_once(op, RESET);
        if op == Op::Shutdown {
            assert!(framed.close().await.is_err());
        } else {
            framed.send("x").await.unwrap();
        }
        assert_eq!(CLASSIFIED.take(), [(RESET, phase)], "{op:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_classifier_is_told_where_an_error_was_met_if_the_reader_met_it() {
    // The reader writes and flushes the backlog of the second connection.
    for (op, phase) in &PHASES[..3] {
        let net = Net::new();
        let op = *op;
        net.greet(move |generation, peer| {
            if generation == 2 {
                peer.fail_once(op, RESET);
            }
            if generation == 3 {
                peer.send("there\n");
            }
        });
        let builder = build(&net).policy(policy().classify(classify));
        let mut framed = builder.connect().await.unwrap();
        framed.feed("x").await.unwrap();
        framed.reconnect();
        for expected in ["lost 1", "lost 2", "there"] {
            assert_eq!(describe(framed.next().await), expected);
        }
        assert_eq!(CLASSIFIED.take(), [(RESET, *phase)], "{op:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_encoder_leaves_nothing_of_its_message_and_drops_the_connection() {
    for is_transient in [true, false] {
        let net = Net::new();
        let mut framed = connect(&net).await;
        framed.feed("first").await.unwrap();
        net.peer(1).send("item\nhalf");
        let before = Instant::now();
        let panicked = if is_transient {
            caught(framed.feed_transient(PANICS)).await.is_none()
        } else {
            caught(framed.feed(PANICS)).await.is_none()
        };
        assert!(panicked);
        assert!(net.peer(1).is_dropped());
        assert!(matches!(framed.state(), State::Backoff { .. }));
        assert_eq!(take_all(&mut framed), ["item", "lost 1"]);
        framed.send("second").await.unwrap();
        assert_eq!(before.elapsed(), SECOND, "under the backoff");
        // Asking for room may write what is queued.
        let all = net.peer(1).text() + &net.peer(2).text();
        assert_eq!(all, "first\nsecond\n");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_encoder_during_an_outage_leaves_nothing_of_its_message() {
    let net = Net::new();
    let mut framed = connect(&net).await;
    framed.mark_lost(io::Error::other("bad"));
    framed.feed("first").await.unwrap();
    assert!(caught(framed.feed(PANICS)).await.is_none());
    framed.send("second").await.unwrap();
    assert_eq!(net.peer(2).text(), "first\nsecond\n");
    assert_eq!(net.connections(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_encoder_leaves_nothing_of_its_message_and_the_connection_stays() {
    for is_transient in [true, false] {
        for is_offline in [true, false] {
            let net = Net::new();
            let mut framed = connect(&net).await;
            if is_offline {
                framed.reconnect();
            }
            framed.feed("first").await.unwrap();
            let error = if is_transient {
                framed.feed_transient(UNENCODABLE).await
            } else {
                framed.feed(UNENCODABLE).await
            };
            // Without a connection a transient message is dropped before it is encoded.
            assert_eq!(error.is_ok(), is_transient && is_offline);
            framed.send("second").await.unwrap();
            let generation = 1 + usize::from(is_offline);
            assert_eq!(net.peer(generation).text(), "first\nsecond\n");
            assert_eq!(net.connections(), generation);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_transient_error_of_a_write_swallows_no_error_of_the_reading_side() {
    let net = Net::new();
    let mut framed = connect(&net).await;
    // A socket reports its reset once.
    net.peer(1).at(Op::Write, When::Before, |peer| {
        peer.fail_once(Op::Write, ErrorKind::InvalidData)
            .fail_once(Op::Read, ErrorKind::ConnectionReset);
    });
    let error = framed.send("x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert_eq!(next_now(&mut framed).as_deref(), Some("lost 1"));
    framed.flush().await.unwrap();
    assert_eq!(net.peer(2).text(), "x\n");
}
