//! Every case of the byte stream's wakers again, on the halves of `StreamExt::split`.

use super::*;

type Halves<S> = (
    futures::stream::SplitSink<S, &'static str>,
    futures::stream::SplitStream<S>,
    Handle,
);

async fn halves(
    network: &Network,
    policy: Policy,
) -> Halves<Framed<impl Connect<Io = Wire, Future: Send> + Send>> {
    let framed = ReconnectingFramed::builder(network.connector(), LinesCodec::new())
        .policy(policy)
        .max_queued(4)
        .connect()
        .await
        .unwrap();
    network.peer(1).set_room(0);
    let handle = framed.handle();
    let (sink, stream) = framed.split();
    (sink, stream, handle)
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Connected,
    AfterTimeouts,
    GivenUp,
    Closed,
}

fn outcomes(end: End) -> Vec<Outcome> {
    match end {
        End::Connected => vec![Outcome::AcceptsAfter(2 * SECOND)],
        End::AfterTimeouts => vec![Outcome::Hangs, Outcome::Hangs],
        End::GivenUp => vec![Outcome::Refuses(ErrorKind::Other); 3],
        End::Closed => vec![Outcome::Hangs; 3],
    }
}

/// Feeds the queue, and the place that a half of a split has by itself.
async fn fill<S: Sink<&'static str> + Unpin>(sink: &mut S)
where
    S::Error: std::fmt::Debug,
{
    sink.feed("full").await.unwrap();
    sink.feed("full").await.unwrap();
}

/// Both wait; the connection dies unnoticed; they are polled in an order; one may go.
async fn case(end: End, order: u32, polls: u32, gone: Option<bool>) {
    let network = Network::new();
    network.script([Outcome::Accepts]).script(outcomes(end));
    let policy = policy().attempt_timeout(3 * SECOND).max_attempts(3);
    let (mut sink, mut stream, handle) = halves(&network, policy).await;
    fill(&mut sink).await;
    let (reader, writer) = (Task::new(), Task::new());
    let (mut read, mut written) = (None, None);
    assert!(reader.poll(|cx| stream.poll_next_unpin(cx)).is_pending());
    assert!(writer.poll(|cx| sink.poll_ready_unpin(cx)).is_pending());
    network.peer(1).reset();
    network.greet(|_, peer| peer.send(b"line\n"));
    for i in 0..polls {
        if order >> i & 1 == 0 {
            if let Poll::Ready(item) = reader.poll(|cx| stream.poll_next_unpin(cx)) {
                read.get_or_insert(item);
            }
        } else if let Poll::Ready(ready) = writer.poll(|cx| sink.poll_ready_unpin(cx)) {
            written.get_or_insert(ready);
        }
        advance(SECOND / 2).await;
    }
    if end == End::Closed {
        handle.close();
    }
    for _ in 0..200 {
        if reader.is_woken() && read.is_none() && gone != Some(true) {
            if let Poll::Ready(item) = reader.poll(|cx| stream.poll_next_unpin(cx)) {
                read = Some(item);
            }
        }
        if writer.is_woken() && written.is_none() && gone != Some(false) {
            if let Poll::Ready(ready) = writer.poll(|cx| sink.poll_ready_unpin(cx)) {
                written = Some(ready);
            }
        }
        advance(SECOND / 4).await;
    }
    let told = format!("{end:?}, order {order:b} of {polls}, gone {gone:?}");
    assert!(
        read.is_some() || gone == Some(true),
        "the reader sleeps: {told}"
    );
    assert!(
        written.is_some() || gone == Some(false),
        "the writer sleeps: {told}"
    );
}

#[tokio::test(start_paused = true)]
async fn both_halves_of_a_framed_stream_complete_in_every_order_whichever_is_dropped() {
    let mut cases = 0;
    for end in [
        End::Connected,
        End::AfterTimeouts,
        End::GivenUp,
        End::Closed,
    ] {
        for polls in 1..=4 {
            for order in 0..1 << polls {
                for gone in [None, Some(true), Some(false)] {
                    case(end, order, polls, gone).await;
                    cases += 1;
                }
            }
        }
    }
    assert_eq!(cases, 4 * 30 * 3);
}

#[tokio::test(start_paused = true)]
async fn back_pressure_ends_when_the_connection_takes_bytes_again() {
    let network = Network::new();
    let (mut sink, _stream, _) = halves(&network, policy()).await;
    fill(&mut sink).await;
    let task = Task::new();
    assert!(task.poll(|cx| sink.poll_ready_unpin(cx)).is_pending());
    task.take_wakes();
    network.peer(1).set_room(100);
    assert!(task.is_woken());
    assert!(task.poll(|cx| sink.poll_ready_unpin(cx)).is_ready());
}
