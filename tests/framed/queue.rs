//! The queue of a sender: its bound, its order over a loss, and reading ahead.

use super::*;

#[tokio::test(start_paused = true)]
async fn queued_messages_continue_in_order_on_the_next_connection() {
    let network = Network::new();
    let mut framed = lines(&network).await;
    network.peer(1).set_room(0);
    for n in 0..100 {
        framed.feed(format!("line {n}")).await.unwrap();
    }
    network.peer(1).reset();
    SinkExt::<&str>::flush(&mut framed).await.unwrap();
    let expected: String = (0..100).map(|n| format!("line {n}\n")).collect();
    assert_eq!(text(&network, 2), expected);
}

#[tokio::test(start_paused = true)]
async fn the_queue_accepts_messages_during_an_outage_until_it_is_full() {
    let network = Network::new();
    network.script([Outcome::Accepts, Outcome::AcceptsAfter(5 * SECOND)]);
    let mut framed = ReconnectingFramed::builder(network.connector(), LinesCodec::new())
        .policy(policy())
        .max_queued(10)
        .connect()
        .await
        .unwrap();
    network.peer(1).reset();
    assert!(timeout(SECOND / 2, framed.next()).await.is_err());
    for line in ["1234", "1234", "over"] {
        let fed = framed.feed(line).now_or_never().unwrap_or(Ok(()));
        fed.unwrap();
    }
    let task = Task::new();
    let full = task.poll(|cx| Sink::<&str>::poll_ready(Pin::new(&mut framed), cx));
    assert!(full.is_pending());
    advance(7 * SECOND).await;
    assert!(task.is_woken(), "by the attempt");
    framed.send("more").await.unwrap();
    assert_eq!(text(&network, 2), "1234\n1234\nmore\n");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_be_encoded_is_refused_and_harms_nothing() {
    let network = Network::new();
    let codec = LengthDelimitedCodec::builder()
        .max_frame_length(4)
        .new_codec();
    let mut framed = ReconnectingFramed::builder(network.connector(), codec)
        .policy(policy())
        .connect()
        .await
        .unwrap();
    framed.feed(Bytes::from_static(b"ok")).await.unwrap();
    assert!(framed.feed(Bytes::from_static(b"too long")).await.is_err());
    framed.send(Bytes::from_static(b"fine")).await.unwrap();
    assert_eq!(network.peer(1).received(), b"\0\0\0\x02ok\0\0\0\x04fine");
}

#[tokio::test(start_paused = true)]
async fn messages_of_a_sender_that_never_reads_wait_for_a_peer_that_is_there() {
    for fault in [Fault::Eof, Fault::Reset] {
        let network = Network::new();
        let mut framed = lines(&network).await;
        framed.send("one").await.unwrap();
        network.peer(1).fault(fault);
        framed.send("two").await.unwrap();
        assert_eq!(text(&network, 1), "one\n");
        assert_eq!(text(&network, 2), "two\n");
    }
}

#[tokio::test(start_paused = true)]
async fn messages_of_a_sender_whose_reader_is_slow_wait_for_a_peer_that_is_there() {
    for fault in [Fault::Eof, Fault::Reset] {
        let network = Network::new();
        let (mut sink, mut stream) = lines(&network).await.split();
        sink.send("one").await.unwrap();
        // The sink has read ahead with the waker of both.
        let reader = Task::new();
        assert!(reader.poll(|cx| stream.poll_next_unpin(cx)).is_pending());
        network.peer(1).fault(fault);
        assert!(reader.is_woken());
        sink.send("two").await.unwrap();
        assert_eq!(text(&network, 1), "one\n");
        assert_eq!(text(&network, 2), "two\n");
    }
}

#[tokio::test(start_paused = true)]
async fn messages_of_a_sender_whose_connection_was_read_by_hand_wait_for_a_peer_that_is_there() {
    let network = Network::new();
    let mut framed = lines(&network).await;
    framed.send("one").await.unwrap();
    assert!(framed.get_mut().unwrap().read_u8().now_or_never().is_none());
    network.peer(1).close();
    framed.send("two").await.unwrap();
    assert_eq!(text(&network, 1), "one\n");
    assert_eq!(text(&network, 2), "two\n");
}

#[tokio::test(start_paused = true)]
async fn messages_go_whole_to_the_next_connection_however_many_were_sent() {
    let network = Network::new();
    let mut framed = lines(&network).await;
    for generation in 1..4 {
        for _ in 0..100 {
            framed.send("x").await.unwrap();
        }
        network.peer(generation).close();
        assert_eq!(text(&network, generation), "x\n".repeat(100));
    }
}

#[tokio::test(start_paused = true)]
async fn reading_ahead_takes_nothing_from_the_reader() {
    let network = Network::new();
    let (mut sink, mut stream) = lines(&network).await.split();
    let reader = Task::new();
    assert!(reader.poll(|cx| stream.poll_next_unpin(cx)).is_pending());
    network.peer(1).send(b"for the reader\n");
    sink.send("x").await.unwrap();
    assert!(reader.is_woken());
    let line = stream.next().now_or_never().unwrap().unwrap().unwrap();
    assert_eq!(line, "for the reader");
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_has_finished_is_not_woken_by_what_comes_for_the_reader() {
    let network = Network::new();
    let (mut sink, mut stream) = lines(&network).await.split();
    let (reader, writer) = (Task::new(), Task::new());
    for line in ["one", "two"] {
        assert!(writer.poll(|cx| sink.poll_ready_unpin(cx)).is_ready());
        sink.start_send_unpin(line).unwrap();
        assert!(writer.poll(|cx| sink.poll_flush_unpin(cx)).is_ready());
        assert!(reader.poll(|cx| stream.poll_next_unpin(cx)).is_pending());
        network.peer(1).send(b"answer\n");
        assert!(reader.is_woken());
        assert!(!writer.is_woken());
        assert!(reader.poll(|cx| stream.poll_next_unpin(cx)).is_ready());
    }
}

#[tokio::test(start_paused = true)]
async fn a_sender_reads_ahead_no_further_than_its_bound() {
    let network = Network::new();
    let mut framed = lines(&network).await;
    network.peer(1).send(&vec![b'x'; 1 << 20]);
    framed.send("x").await.unwrap();
    assert!(framed.read_buffer().unwrap().len() < 256 * 1024);
}

#[tokio::test(start_paused = true)]
async fn by_default_sixty_four_kibibytes_wait_in_the_queue() {
    let network = Network::new();
    let mut framed = lines(&network).await;
    network.peer(1).set_room(0);
    let line = "x".repeat(1023);
    let mut accepted = 0;
    while let Some(fed) = framed.feed(&*line).now_or_never() {
        fed.unwrap();
        accepted += 1;
    }
    assert_eq!(accepted, 64);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_full_is_ready_once_it_has_written() {
    let network = Network::new();
    let mut framed = ReconnectingFramed::builder(network.connector(), LinesCodec::new())
        .max_queued(1)
        .lazy();
    framed.feed("x").await.unwrap();
    let ready = std::future::poll_fn(|cx| Sink::<&str>::poll_ready(Pin::new(&mut framed), cx));
    // It dials, hands over, and has room again.
    ready.await.unwrap();
    assert_eq!(network.peer(1).received(), b"x\n");
}

#[tokio::test(start_paused = true)]
async fn a_flush_of_nothing_waits_for_no_connection() {
    let network = Network::new();
    let mut framed = ReconnectingFramed::builder(network.connector(), LinesCodec::new()).lazy();
    SinkExt::<&str>::flush(&mut framed)
        .now_or_never()
        .unwrap()
        .unwrap();
    assert_eq!(network.connections(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_message_without_bytes_is_not_kept() {
    let network = Network::new();
    let mut framed = ReconnectingFramed::builder(network.connector(), BytesCodec::new())
        .connect()
        .await
        .unwrap();
    for message in ["", "x", ""] {
        framed.send(Bytes::from(message)).await.unwrap();
        assert_eq!(framed.unconfirmed(), 0, "{message:?}");
    }
    assert_eq!(network.peer(1).received(), b"x");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_has_ended_before_its_first_use_gets_no_message() {
    let network = Network::new();
    network.greet(|generation, peer| {
        if generation < 3 {
            peer.close();
        }
    });
    let mut framed = ReconnectingFramed::builder(network.connector(), LinesCodec::new()).lazy();
    framed.send("x").await.unwrap();
    let received = [1, 2, 3].map(|generation| network.peer(generation).received());
    assert_eq!(received, [&b""[..], b"", b"x\n"]);
}
