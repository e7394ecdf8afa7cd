//! Messages over connections that die: the handshake, the queue, confirmations, bad codecs,
//! closing.
#![cfg(feature = "codec")]

mod support;

use std::io::{self, ErrorKind};
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{FutureExt, Sink, SinkExt, Stream, StreamExt};
use reconnecting_stream::{
    Backoff, Connect, Eof, Handle, Permanent, Policy, ReconnectingFramed, Resend, Seam, State,
};
use support::{Fault, Network, Outcome, Task, Wire, gave_up, lost};
use tokio::io::AsyncReadExt;
use tokio::time::{advance, sleep, timeout};
use tokio_util::codec::{
    BytesCodec, Decoder, Encoder, LengthDelimitedCodec, LinesCodec, LinesCodecError,
};

const SECOND: Duration = Duration::from_secs(1);

fn policy() -> Policy {
    Policy::default().backoff(Backoff::constant(SECOND))
}

type Framed<C, U = LinesCodec> = ReconnectingFramed<C, U>;

async fn lines(network: &Network) -> Framed<impl Connect<Io = Wire, Future: Send> + Send> {
    lines_with(network, Resend::Torn, policy()).await
}

async fn lines_with(
    network: &Network,
    resend: Resend,
    policy: Policy,
) -> Framed<impl Connect<Io = Wire, Future: Send> + Send> {
    ReconnectingFramed::builder(network.connector(), LinesCodec::new())
        .policy(policy)
        .resend(resend)
        .seam(Seam::Error)
        .connect()
        .await
        .unwrap()
}

fn text(network: &Network, generation: usize) -> String {
    String::from_utf8(network.peer(generation).received()).unwrap()
}

mod handshake {
    use super::*;

    fn greeting(
        network: &Network,
    ) -> reconnecting_stream::Builder<
        impl Connect<Io = Wire> + use<>,
        reconnecting_stream::FramedOptions<Wire, LinesCodec>,
    > {
        ReconnectingFramed::builder(network.connector(), LinesCodec::new())
            .policy(policy())
            .on_connect(|mut framed| async move {
                framed.send("hello").await.map_err(io::Error::other)?;
                match framed.next().await {
                    Some(Ok(line)) if line == "welcome" => Ok(framed),
                    Some(Ok(line)) if line == "wrong password" => Err(Permanent::new(line).into()),
                    _ => Err(ErrorKind::ConnectionRefused.into()),
                }
            })
    }

    #[tokio::test(start_paused = true)]
    async fn comes_before_anything_queued_on_every_connection() {
        let network = Network::new();
        network.greet(|_, peer| peer.send(b"welcome\nfirst\n"));
        let mut framed = greeting(&network).connect().await.unwrap();
        assert_eq!(
            framed.next().await.unwrap().unwrap(),
            "first",
            "read with the handshake"
        );
        framed.feed("queued").await.unwrap();
        network.peer(1).reset();
        SinkExt::<&str>::flush(&mut framed).await.unwrap();
        assert_eq!(text(&network, 1), "hello\n");
        assert_eq!(text(&network, 2), "hello\nqueued\n");
    }

    #[tokio::test(start_paused = true)]
    async fn that_fails_is_a_failed_attempt() {
        let network = Network::new();
        network.greet(|generation, peer| {
            peer.send(if generation < 3 {
                b"go away\n"
            } else {
                b"welcome\n"
            });
        });
        let mut framed = greeting(&network).lazy();
        assert_eq!(framed.connected().await.unwrap(), 1);
        assert_eq!(network.attempts().len(), 3);
        assert_eq!(network.open(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn that_fails_for_good_ends_the_outage() {
        let network = Network::new();
        network.greet(|_, peer| peer.send(b"wrong password\n"));
        let mut framed = greeting(&network).lazy();
        let error = framed.send("x").await.unwrap_err();
        let LinesCodecError::Io(error) = error else {
            panic!("{error:?}");
        };
        assert_eq!(gave_up(&error).unwrap().attempts, 1);
        assert_eq!(network.attempts().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn that_hangs_is_under_the_attempt_timeout() {
        let network = Network::new();
        network.greet(|generation, peer| {
            if generation == 2 {
                peer.send(b"welcome\n");
            }
        });
        let mut framed = greeting(&network).lazy();
        framed.connected().await.unwrap();
        let attempts = network.attempts();
        assert_eq!(attempts[1].at - attempts[0].at, 11 * SECOND);
        assert!(network.peer(1).is_dropped());
    }

    #[tokio::test(start_paused = true)]
    async fn what_it_left_unflushed_is_written() {
        let network = Network::new();
        let mut framed = ReconnectingFramed::builder(network.connector(), LinesCodec::new())
            .policy(policy())
            .on_connect(|mut framed| async move {
                framed
                    .feed("fed, not flushed")
                    .await
                    .map_err(io::Error::other)?;
                Ok(framed)
            })
            .connect()
            .await
            .unwrap();
        framed.send("x").await.unwrap();
        assert_eq!(text(&network, 1), "fed, not flushed\nx\n");
    }
}

mod the_queue {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn goes_on_in_order_on_the_next_connection() {
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
    async fn accepts_messages_during_an_outage_until_it_is_full() {
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
    async fn of_a_sender_that_never_reads_waits_for_a_peer_that_is_there() {
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
    async fn of_a_sender_whose_reader_is_slow_waits_for_a_peer_that_is_there() {
        for fault in [Fault::Eof, Fault::Reset] {
            let network = Network::new();
            let (mut sink, mut stream) = lines(&network).await.split();
            sink.send("one").await.unwrap();
            // It waits by the sink's look.
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
    async fn of_a_sender_whose_connection_was_read_by_hand_waits_for_a_peer_that_is_there() {
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
    async fn goes_whole_to_the_next_connection_however_many_were_sent() {
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
    async fn looking_ahead_takes_nothing_from_the_reader() {
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
    async fn looks_ahead_no_further_than_its_bound() {
        let network = Network::new();
        let mut framed = lines(&network).await;
        network.peer(1).send(&vec![b'x'; 1 << 20]);
        framed.send("x").await.unwrap();
        assert!(framed.read_buffer().unwrap().len() < 256 * 1024);
    }
}

mod confirmations {
    use super::*;

    const KEPT: Resend = Resend::Unconfirmed { max_bytes: 20 };

    #[tokio::test(start_paused = true)]
    async fn decide_what_goes_again() {
        for confirmed in 0..=4 {
            let network = Network::new();
            let mut framed = lines_with(&network, KEPT, policy()).await;
            for line in ["1", "2", "3"] {
                framed.send(line).await.unwrap();
            }
            framed.confirm(confirmed);
            network.peer(1).reset();
            framed.send("4").await.unwrap();
            let again: String = ["1\n", "2\n", "3\n"][confirmed.min(3)..].concat();
            assert_eq!(text(&network, 2), format!("{again}4\n"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn make_room_and_wake_the_sink() {
        let network = Network::new();
        let (mut sink, stream) = {
            let framed = lines_with(&network, KEPT, policy()).await;
            let confirmations = framed.confirm_handle();
            let (sink, stream) = framed.split();
            (sink, (stream, confirmations))
        };
        for line in ["0123456789", "0123456789"] {
            sink.send(line).await.unwrap();
        }
        // A half of a split has room for one more by itself.
        sink.feed("next").await.unwrap();
        let task = Task::new();
        let mut ready = || task.poll(|cx| Sink::<&str>::poll_ready(Pin::new(&mut sink), cx));
        assert!(ready().is_pending());
        assert!(ready().is_pending(), "and it does not spin");
        task.take_wakes();
        stream.1.confirm(1);
        assert!(task.is_woken());
        assert!(matches!(ready(), Poll::Ready(Ok(()))));
        drop(stream);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_window_notices_the_loss_and_sends_again() {
        let network = Network::new();
        let mut framed = lines_with(&network, KEPT, policy()).await;
        framed.send("01234567890123456789").await.unwrap();
        let confirmations = framed.confirm_handle();
        let mut blocked = pin!(framed.send("next"));
        let task = Task::new();
        assert!(task.poll_future(blocked.as_mut()).is_pending());
        network.peer(1).close();
        assert!(task.is_woken(), "by the look ahead: nobody reads");
        assert!(timeout(2 * SECOND, blocked.as_mut()).await.is_err());
        assert_eq!(text(&network, 2), "01234567890123456789\n");
        confirmations.confirm(1);
        blocked.await.unwrap();
        assert_eq!(text(&network, 2), "01234567890123456789\nnext\n");
    }

    #[tokio::test(start_paused = true)]
    async fn that_never_come_make_a_reader_send_again() {
        let network = Network::new();
        network.greet(|generation, peer| peer.set_room(if generation == 2 { 3 } else { 99 }));
        let (mut sink, mut stream) = lines_with(&network, KEPT, policy()).await.split();
        sink.send("question").await.unwrap();
        network.peer(1).reset();
        assert!(stream.next().await.unwrap().is_err(), "the seam");
        // The writer has nothing to do any more, and does not come.
        let reading = async {
            let _ = timeout(3 * SECOND, stream.next()).await;
        };
        let slowly = async {
            sleep(2 * SECOND).await;
            assert_eq!(text(&network, 2), "que");
            network.peer(2).set_room(99);
        };
        tokio::join!(reading, slowly);
        assert_eq!(text(&network, 2), "question\n");
    }

    #[tokio::test(start_paused = true)]
    async fn of_a_message_that_is_being_sent_again_tear_nothing() {
        let network = Network::new();
        network.greet(|generation, peer| {
            if generation == 2 {
                peer.set_room(3);
            }
        });
        let mut framed =
            lines_with(&network, Resend::Unconfirmed { max_bytes: 1000 }, policy()).await;
        framed.send("first").await.unwrap();
        network.peer(1).reset();
        let _ = timeout(2 * SECOND, framed.send("second")).await;
        assert_eq!(text(&network, 2), "fir");
        // An answer that came before the reset, and is read only now.
        framed.confirm(1);
        network.peer(2).set_room(1000);
        SinkExt::<&str>::flush(&mut framed).await.unwrap();
        assert_eq!(text(&network, 2), "first\nsecond\n");
        assert_eq!(framed.unconfirmed(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn of_more_than_was_handed_over_lose_nothing() {
        let network = Network::new();
        let mut framed =
            lines_with(&network, Resend::Unconfirmed { max_bytes: 1000 }, policy()).await;
        framed.send("sent").await.unwrap();
        framed.feed("queued").await.unwrap();
        framed.confirm(usize::MAX);
        framed.confirm(usize::MAX);
        network.peer(1).reset();
        SinkExt::<&str>::flush(&mut framed).await.unwrap();
        assert_eq!(text(&network, 2), "queued\n");
    }

    #[tokio::test(start_paused = true)]
    async fn are_applied_at_once() {
        for answers in [false, true] {
            let network = Network::new();
            let mut framed = lines_with(&network, KEPT, policy()).await;
            framed.send("sent").await.unwrap();
            assert_eq!(framed.unconfirmed(), 1);
            if answers {
                framed.confirm_replies(1);
            } else {
                framed.confirm(1);
            }
            assert_eq!(framed.unconfirmed(), 0);
        }
    }
}

/// A peer that answers every message once, and does not say which.
mod answers {
    use super::*;

    const KEPT: Resend = Resend::Unconfirmed { max_bytes: 1000 };

    async fn two_of_three_are_answered(
        network: &Network,
    ) -> Framed<impl Connect<Io = Wire, Future: Send> + Send> {
        let mut framed = lines_with(network, KEPT, policy()).await;
        for line in ["1", "2", "3"] {
            framed.send(line).await.unwrap();
        }
        network.peer(1).send(b"yes\nyes\n");
        network.peer(1).close();
        framed
    }

    /// The reader's next item is an answer.
    async fn hear<S>(framed: &mut S)
    where
        S: Stream<Item = Result<String, LinesCodecError>> + Unpin,
    {
        assert_eq!(framed.next().await.unwrap().unwrap(), "yes");
    }

    #[tokio::test(start_paused = true)]
    async fn that_are_read_before_the_loss_is_seen_decide_what_goes_again() {
        let network = Network::new();
        let mut framed = two_of_three_are_answered(&network).await;
        for unconfirmed in [2, 1] {
            hear(&mut framed).await;
            framed.confirm_replies(1);
            assert_eq!(framed.unconfirmed(), unconfirmed);
        }
        assert!(framed.next().await.unwrap().is_err(), "the seam");
        framed.send("4").await.unwrap();
        assert_eq!(text(&network, 2), "3\n4\n");
        network.peer(2).send(b"yes\n");
        hear(&mut framed).await;
        framed.confirm_replies(1);
        network.peer(2).reset();
        assert!(framed.next().await.unwrap().is_err(), "the seam");
        framed.send("5").await.unwrap();
        assert_eq!(text(&network, 3), "4\n5\n");
    }

    #[tokio::test(start_paused = true)]
    async fn to_what_is_being_sent_again_confirm_nothing_twice() {
        let network = Network::new();
        let mut framed = two_of_three_are_answered(&network).await;
        // The sink finds the end of the connection, and with it the answers.
        framed.send("4").await.unwrap();
        assert_eq!(text(&network, 2), "1\n2\n3\n4\n");
        for _ in 0..2 {
            hear(&mut framed).await;
            framed.confirm_replies(1);
        }
        assert_eq!(framed.unconfirmed(), 2);
        assert!(framed.next().await.unwrap().is_err(), "the seam");
        // The second connection answers three: two of them for the second time.
        network.peer(2).send(b"yes\nyes\nyes\n");
        for unconfirmed in [2, 2, 1] {
            hear(&mut framed).await;
            framed.confirm_replies(1);
            assert_eq!(framed.unconfirmed(), unconfirmed);
        }
        network.peer(2).reset();
        framed.send("5").await.unwrap();
        assert_eq!(text(&network, 3), "4\n5\n", "4 was never answered");
    }

    #[tokio::test(start_paused = true)]
    async fn are_counted_for_the_connection_that_they_were_read_from() {
        let network = Network::new();
        let mut framed = two_of_three_are_answered(&network).await;
        for _ in 0..2 {
            hear(&mut framed).await;
        }
        // Before the reader has come to count what it has read.
        framed.send("4").await.unwrap();
        assert_eq!(text(&network, 2), "1\n2\n3\n4\n");
        framed.confirm_replies(2);
        assert_eq!(framed.unconfirmed(), 2);
        network.peer(2).send(b"yes\n");
        assert!(framed.next().await.unwrap().is_err(), "the seam");
        hear(&mut framed).await;
        framed.confirm_replies(1);
        assert_eq!(framed.unconfirmed(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn over_several_seams_are_counted_for_their_connections() {
        let network = Network::new();
        let mut framed = two_of_three_are_answered(&network).await;
        // Nobody reads, and three connections die.
        for (generation, line) in [(2, "4"), (3, "5"), (4, "6")] {
            framed.send(line).await.unwrap();
            if generation < 4 {
                network.peer(generation).reset();
            }
        }
        assert_eq!(text(&network, 4), "1\n2\n3\n4\n5\n6\n");
        for unconfirmed in [5, 4] {
            hear(&mut framed).await;
            framed.confirm_replies(1);
            assert_eq!(framed.unconfirmed(), unconfirmed);
        }
        network.peer(4).send(b"yes\nyes\nyes\nyes\nyes\nyes\n");
        for _ in 1..4 {
            assert!(framed.next().await.unwrap().is_err(), "a seam");
        }
        for unconfirmed in [4, 4, 3, 2, 1, 0] {
            hear(&mut framed).await;
            framed.confirm_replies(1);
            assert_eq!(framed.unconfirmed(), unconfirmed);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn to_what_was_never_sent_confirm_nothing() {
        let network = Network::new();
        let mut framed = lines_with(&network, KEPT, policy()).await;
        framed.send("1").await.unwrap();
        framed.confirm_replies(usize::MAX);
        framed.confirm_replies(usize::MAX);
        framed.send("2").await.unwrap();
        assert_eq!(framed.unconfirmed(), 1);
        framed.confirm_replies(1);
        assert_eq!(framed.unconfirmed(), 0);
    }
}

mod codecs {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_error_is_told_and_ends_the_connection() {
        let network = Network::new();
        let codec = LinesCodec::new_with_max_length(4);
        let mut framed = ReconnectingFramed::builder(network.connector(), codec)
            .policy(policy())
            .connect()
            .await
            .unwrap();
        // An endless message, up to the limit of the codec.
        network.peer(1).send(b"ok\nendless endless endless");
        assert_eq!(framed.next().await.unwrap().unwrap(), "ok");
        assert!(framed.next().await.unwrap().is_err());
        assert!(network.peer(1).is_dropped());
        network.greet(|_, peer| peer.send(b"good\n"));
        assert_eq!(framed.next().await.unwrap().unwrap(), "good");
    }

    #[derive(Clone)]
    struct Panics(Arc<AtomicUsize>);

    impl Decoder for Panics {
        type Item = Bytes;
        type Error = io::Error;
        fn decode(&mut self, bytes: &mut BytesMut) -> io::Result<Option<Bytes>> {
            if bytes.is_empty() {
                return Ok(None);
            }
            assert_ne!(self.0.fetch_add(1, Ordering::Relaxed), 0, "scripted");
            Ok(Some(bytes.split().freeze()))
        }
    }

    impl Encoder<&'static str> for Panics {
        type Error = io::Error;
        fn encode(&mut self, text: &'static str, bytes: &mut BytesMut) -> io::Result<()> {
            bytes.extend_from_slice(text.as_bytes());
            assert_ne!(text, "panic", "scripted");
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_passes_and_ends_the_connection() {
        let network = Network::new();
        let mut framed = ReconnectingFramed::builder(network.connector(), Panics(Arc::default()))
            .policy(policy())
            .connect()
            .await
            .unwrap();
        network.peer(1).send(b"x");
        assert!(
            AssertUnwindSafe(framed.next())
                .catch_unwind()
                .await
                .is_err()
        );
        let error = framed.next().await.unwrap().unwrap_err();
        assert_eq!(error.to_string(), "the codec panicked");
        network.greet(|_, peer| peer.send(b"y"));
        assert_eq!(framed.next().await.unwrap().unwrap(), "y");
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_while_encoding_leaves_nothing_of_the_message() {
        let network = Network::new();
        let mut framed = ReconnectingFramed::builder(network.connector(), Panics(Arc::default()))
            .policy(policy())
            .connect()
            .await
            .unwrap();
        framed.feed("good").await.unwrap();
        assert!(
            AssertUnwindSafe(framed.feed("panic"))
                .catch_unwind()
                .await
                .is_err()
        );
        assert!(network.peer(1).is_dropped());
        framed.send("better").await.unwrap();
        assert_eq!(network.peer(1).received(), b"");
        assert_eq!(network.peer(2).received(), b"goodbetter");
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_go_through_as_they_come() {
        let network = Network::new();
        let mut framed = ReconnectingFramed::builder(network.connector(), BytesCodec::new())
            .policy(policy())
            .connect()
            .await
            .unwrap();
        network.peer(1).send(b"abc");
        assert_eq!(framed.next().await.unwrap().unwrap(), &b"abc"[..]);
        framed.send(Bytes::from_static(b"")).await.unwrap();
        framed.send(Bytes::from_static(b"x")).await.unwrap();
        network.peer(1).reset();
        framed.send(Bytes::from_static(b"y")).await.unwrap();
        assert_eq!(network.peer(2).received(), b"y");
    }
}

mod the_end {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn is_passed_on_if_the_policy_says_so() {
        let network = Network::new();
        let mut framed = lines_with(&network, Resend::Torn, policy().eof(Eof::Pass)).await;
        network.peer(1).send(b"whole\nrest");
        network.peer(1).close();
        assert_eq!(framed.next().await.unwrap().unwrap(), "whole");
        assert_eq!(
            framed.next().await.unwrap().unwrap(),
            "rest",
            "as the codec has it"
        );
        assert!(framed.next().await.is_none());
        framed.send("half-open").await.unwrap();
        assert_eq!(text(&network, 1), "half-open\n");
    }

    #[tokio::test(start_paused = true)]
    async fn closing_hands_everything_over_first() {
        let network = Network::new();
        let mut framed = lines(&network).await;
        framed.feed("last words").await.unwrap();
        network.peer(1).reset();
        SinkExt::<&str>::close(&mut framed).await.unwrap();
        assert_eq!(text(&network, 2), "last words\n");
        assert!(network.peer(2).is_shut_down());
        SinkExt::<&str>::close(&mut framed).await.unwrap();
        assert!(framed.send("too late").await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn closing_during_an_outage_with_nothing_to_say_ends_it() {
        let network = Network::new();
        network.script([Outcome::Accepts]).otherwise(Outcome::Hangs);
        let mut framed = lines(&network).await;
        network.peer(1).reset();
        let error = framed.next().await.unwrap().unwrap_err();
        assert!(format!("{error:?}").contains("ConnectionLost"));
        assert!(timeout(2 * SECOND, framed.next()).await.is_err());
        let (mut sink, mut stream) = framed.split::<&str>();
        let reader = Task::new();
        assert!(reader.poll(|cx| stream.poll_next_unpin(cx)).is_pending());
        sink.close().await.unwrap();
        assert!(reader.is_woken());
        assert!(stream.next().await.is_none());
        assert_eq!(network.running(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn reads_go_on_after_closing_until_the_end() {
        let network = Network::new();
        let mut framed = lines(&network).await;
        SinkExt::<&str>::close(&mut framed).await.unwrap();
        network.peer(1).send(b"reply\n");
        network.peer(1).close();
        assert_eq!(framed.next().await.unwrap().unwrap(), "reply");
        assert!(framed.next().await.is_none());
        assert_eq!(framed.state(), State::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_handle_closes_it_and_half_a_message_is_not_one() {
        let network = Network::new();
        let mut framed = lines(&network).await;
        network.peer(1).send(b"whole\nhal");
        assert_eq!(framed.next().await.unwrap().unwrap(), "whole");
        framed.handle().close();
        assert!(framed.next().await.is_none());
        assert!(framed.send("x").await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn giving_up_is_answered_for_ever() {
        let network = Network::new();
        network
            .script([Outcome::Accepts])
            .otherwise(Outcome::Refuses(ErrorKind::Other));
        let codec = LengthDelimitedCodec::new();
        let mut framed = ReconnectingFramed::builder(network.connector(), codec)
            .policy(policy().max_attempts(2))
            .connect()
            .await
            .unwrap();
        network.peer(1).reset();
        for _ in 0..3 {
            let error = framed.next().await.unwrap().unwrap_err();
            assert_eq!(gave_up(&error).unwrap().attempts, 2);
            let error = framed.send(Bytes::new()).await.unwrap_err();
            assert!(gave_up(&error).is_some());
        }
        framed.reconnect();
        network.otherwise(Outcome::Accepts);
        framed.send(Bytes::from_static(b"x")).await.unwrap();
    }
}

mod seams {
    use super::*;

    async fn framed(
        network: &Network,
        seam: Seam,
    ) -> ReconnectingFramed<impl Connect<Io = Wire>, LengthDelimitedCodec> {
        ReconnectingFramed::builder(network.connector(), LengthDelimitedCodec::new())
            .policy(policy())
            .seam(seam)
            .connect()
            .await
            .unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn error_is_one_item_and_then_the_application_can_resubscribe() {
        let network = Network::new();
        let mut framed = framed(&network, Seam::Error).await;
        network.peer(1).reset();
        let error = framed.next().await.unwrap().unwrap_err();
        assert_eq!(lost(&error).unwrap().generation, 1);
        framed.send(Bytes::from_static(b"subscribe")).await.unwrap();
        network.peer(2).send(b"\0\0\0\x02ok");
        assert_eq!(framed.next().await.unwrap().unwrap(), &b"ok"[..]);
    }

    #[tokio::test(start_paused = true)]
    async fn are_no_business_of_the_sink() {
        for seam in [Seam::Hidden, Seam::Error, Seam::Eof] {
            let network = Network::new();
            let mut framed = framed(&network, seam).await;
            for generation in 1..=3 {
                network.peer(generation).reset();
                framed.send(Bytes::from_static(b"x")).await.unwrap();
            }
            // The reader gets each of them.
            network.peer(4).send(b"\0\0\0\x02ok");
            for generation in 1..=3 {
                match seam {
                    Seam::Hidden => {}
                    Seam::Error => {
                        let error = framed.next().await.unwrap().unwrap_err();
                        assert_eq!(lost(&error).unwrap().generation, generation);
                    }
                    Seam::Eof => assert!(framed.next().await.is_none()),
                }
            }
            assert_eq!(framed.next().await.unwrap().unwrap(), &b"ok"[..]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn on_demand_keep_what_had_arrived() {
        let network = Network::new();
        let mut framed = framed(&network, Seam::Error).await;
        network.peer(1).send(b"\0\0\0\x01a\0\0\0\x01b\0\0\0\x01");
        assert_eq!(framed.next().await.unwrap().unwrap(), &b"a"[..]);
        framed.reconnect();
        assert_eq!(framed.next().await.unwrap().unwrap(), &b"b"[..]);
        assert!(lost(&framed.next().await.unwrap().unwrap_err()).is_some());
        framed.connected().await.unwrap();
        network.peer(2).send(b"\0\0\0\x01c");
        assert_eq!(framed.next().await.unwrap().unwrap(), &b"c"[..]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_idle_timeout_counts_from_the_last_byte_whoever_read_it() {
    let network = Network::new();
    let framed = lines_with(&network, Resend::Torn, policy().idle_timeout(5 * SECOND)).await;
    let (mut sink, mut stream) = framed.split();
    for _ in 0..5 {
        assert!(timeout(3 * SECOND, stream.next()).await.is_err());
        network.peer(1).send(b"beat\n");
        sink.send("x").await.unwrap();
        assert_eq!(stream.next().await.unwrap().unwrap(), "beat");
    }
    let error = stream.next().await.unwrap().unwrap_err();
    assert!(format!("{error:?}").contains("TimedOut"));
}

#[tokio::test(start_paused = true)]
async fn accessors_reach_the_connection_and_its_codec() {
    let network = Network::new();
    let mut framed = lines(&network).await;
    assert!(framed.get_ref().is_some() && framed.get_mut().is_some());
    assert!(Pin::new(&mut framed).get_pin_mut().is_some());
    framed.send("x").await.unwrap();
    assert!(framed.codec().is_some() && framed.codec_mut().is_some());
    assert_eq!(framed.read_buffer().unwrap().len(), 0);
    assert_eq!(framed.unconfirmed(), 0);
    assert!(format!("{framed:?}").starts_with("ReconnectingFramed { state: Connected"));
    assert!(framed.into_inner().is_some());

    let (wire, peer) = Wire::new();
    let mut framed = ReconnectingFramed::builder_with(network.connector(), LinesCodec::new)
        .policy(policy())
        .wrap(wire);
    framed.send("wrapped").await.unwrap();
    assert_eq!(peer.received(), b"wrapped\n");
    sleep(SECOND).await;
}

/// Every case of the byte stream's wakers again, on the halves of `StreamExt::split`.
mod waking {
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
    async fn both_halves_complete_in_every_order_whoever_goes() {
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
}

/// It is a `Stream` and a `Sink`, and what that needs.
#[test]
fn auto_traits() {
    fn is<T: Unpin + Send + Sync>(_: &T) {}
    fn is_both<T: Stream + for<'a> Sink<&'a str>>(_: &T) {}
    let connector = || async { Ok(Wire::new().0) };
    let framed = ReconnectingFramed::builder(connector, LinesCodec::new()).lazy();
    is(&framed);
    is_both(&framed);
}

/// Whole messages that had arrived when a write met the reset: the kernel still has them.
mod arrived_before_a_reset {
    use std::task::{Context, Waker};

    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    use super::*;

    /// A message and a reset come in the moment of the first write, which is told of the reset.
    struct ResetByWrite {
        arriving: &'static [u8],
        state: State,
    }

    enum State {
        Silent(Option<Waker>),
        Reset,
        Read,
    }

    impl AsyncRead for ResetByWrite {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            match &mut self.state {
                State::Silent(waker) => {
                    *waker = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                State::Reset => buf.put_slice(self.arriving),
                State::Read => {}
            }
            self.state = State::Read;
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for ResetByWrite {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &[u8],
        ) -> Poll<io::Result<usize>> {
            if let State::Silent(waker) = &mut self.state {
                waker.take().into_iter().for_each(Waker::wake);
                self.state = State::Reset;
            }
            Poll::Ready(Err(ErrorKind::ConnectionReset.into()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    type Connector = Box<dyn FnMut() -> std::future::Ready<io::Result<ResetByWrite>> + Send>;

    async fn connect() -> ReconnectingFramed<Connector, LinesCodec> {
        let connector: Connector = Box::new(|| {
            std::future::ready(Ok(ResetByWrite {
                arriving: b"whole\nhal",
                state: State::Silent(None),
            }))
        });
        ReconnectingFramed::builder(connector, LinesCodec::new())
            .policy(policy().max_attempts(2))
            .seam(Seam::Error)
            .connect()
            .await
            .unwrap()
    }

    async fn heard(framed: &mut ReconnectingFramed<Connector, LinesCodec>) -> Vec<String> {
        let mut heard = Vec::new();
        loop {
            match framed.next().await.unwrap() {
                Ok(line) => heard.push(line),
                Err(LinesCodecError::Io(error)) if gave_up(&error).is_some() => return heard,
                Err(error) => heard.push(error.to_string()),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn are_delivered_if_the_sink_met_it() {
        let mut framed = connect().await;
        framed.send("x").await.unwrap_err();
        let lost = |n| format!("connection {n} was lost: connection reset");
        let expected = ["whole", &lost(1), "whole", &lost(2), "whole"];
        assert_eq!(heard(&mut framed).await, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn are_delivered_if_the_reader_met_it() {
        let mut framed = connect().await;
        framed.feed("x").await.unwrap();
        framed.reconnect();
        let heard = heard(&mut framed).await;
        assert_eq!(
            heard.iter().filter(|line| *line == "whole").count(),
            2,
            "{heard:?}"
        );
    }
}
