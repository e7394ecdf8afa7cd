//! Closing, shutting down, giving up, and the end of a peer.

use super::*;

#[tokio::test(start_paused = true)]
async fn the_end_of_a_framed_connection_is_passed_on_if_the_policy_says_so() {
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
async fn closing_sends_everything_first() {
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
async fn closing_during_an_outage_with_nothing_queued_ends_it() {
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
async fn reads_continue_after_closing_until_the_end() {
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
async fn a_handle_closes_a_framed_stream_and_half_a_message_is_dropped() {
    let network = Network::new();
    let mut framed = lines(&network).await;
    network.peer(1).send(b"whole\nhal");
    assert_eq!(framed.next().await.unwrap().unwrap(), "whole");
    framed.handle().close();
    assert!(framed.next().await.is_none());
    assert!(framed.send("x").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn giving_up_is_returned_by_every_later_call() {
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

async fn of_one_attempt(network: &Network) -> Framed<impl Connect<Io = Wire, Future: Send> + Send> {
    ReconnectingFramed::builder(network.connector(), LinesCodec::new())
        .policy(policy().max_attempts(1))
        .connect()
        .await
        .unwrap()
}

/// The answer to a message for which there is room.
async fn refusal<C: Connect<Io = Wire>>(framed: &mut Framed<C>) -> io::Error {
    match framed.feed("x").await.unwrap_err() {
        LinesCodecError::Io(error) => error,
        error @ LinesCodecError::MaxLineLengthExceeded => panic!("{error}"),
    }
}

#[tokio::test(start_paused = true)]
async fn no_message_is_accepted_after_a_handle_has_closed_the_stream() {
    let network = Network::new();
    let mut framed = of_one_attempt(&network).await;
    framed.handle().close();
    let error = refusal(&mut framed).await;
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}

#[tokio::test(start_paused = true)]
async fn no_message_is_accepted_after_a_shutdown() {
    let network = Network::new();
    let mut framed = of_one_attempt(&network).await;
    SinkExt::<&str>::close(&mut framed).await.unwrap();
    let error = refusal(&mut framed).await;
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    assert!(network.peer(1).is_shut_down());
}

#[tokio::test(start_paused = true)]
async fn no_message_is_accepted_after_giving_up() {
    let network = Network::new();
    network
        .script([Outcome::Accepts])
        .otherwise(Outcome::Refuses(ErrorKind::ConnectionRefused));
    let mut framed = of_one_attempt(&network).await;
    network.peer(1).reset();
    assert!(framed.next().await.unwrap().is_err());
    let error = refusal(&mut framed).await;
    assert_eq!(gave_up(&error).unwrap().attempts, 1);
}

#[tokio::test(start_paused = true)]
async fn closing_on_a_new_connection_sends_again_what_was_not_confirmed() {
    let network = Network::new();
    let mut framed = ReconnectingFramed::builder(network.connector(), LinesCodec::new())
        .resend(Resend::Unconfirmed { max_bytes: 1000 })
        .connect()
        .await
        .unwrap();
    framed.send("x").await.unwrap();
    framed.reconnect();
    framed.connected().await.unwrap();
    SinkExt::<&str>::close(&mut framed).await.unwrap();
    assert_eq!(network.peer(2).received(), b"x\n");
    assert!(network.peer(2).is_shut_down());
}

#[tokio::test(start_paused = true)]
async fn a_framed_stream_continues_after_the_peers_end_if_the_end_is_passed() {
    let network = Network::new();
    let mut framed = ReconnectingFramed::builder(network.connector(), LinesCodec::new())
        .policy(Policy::default().eof(Eof::Pass))
        .connect()
        .await
        .unwrap();
    framed.send("before").await.unwrap();
    network.peer(1).close();
    for message in ["one", "two"] {
        framed.send(message).await.unwrap();
        assert!(framed.next().await.is_none());
    }
    SinkExt::<&str>::close(&mut framed).await.unwrap();
    assert_eq!(network.peer(1).received(), b"before\none\ntwo\n");
    assert!(network.peer(1).is_shut_down());
}

#[tokio::test(start_paused = true)]
async fn a_close_continues_where_it_was_dropped() {
    let network = Network::new();
    let mut framed = of_one_attempt(&network).await;
    network.peer(1).set_room(2);
    framed.feed("one").await.unwrap();
    let close = |framed: &mut Framed<_>| SinkExt::<&str>::close(framed).now_or_never();
    assert!(close(&mut framed).is_none());
    network.peer(1).set_room(usize::MAX);
    close(&mut framed).unwrap().unwrap();
    assert_eq!(network.peer(1).received(), b"one\n");
}
