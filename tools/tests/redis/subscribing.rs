//! Subscribers, while their connections and the server are killed.

use super::*;

const MESSAGES: usize = 10_000;
const KILLS: usize = 50;

/// Publishes everything, and kills the subscriber's connection now and then; which messages
/// a subscriber got.
async fn publish(mut control: Control) -> Vec<bool> {
    let mut published = Vec::new();
    let (mut kills, mut waits) = (0, 0);
    for number in 0..MESSAGES {
        published.push(control.publish(&message(number)).await);
        let is_due = number >= (kills + 1) * (MESSAGES - 100) / KILLS;
        if is_due && published[number] {
            // What redis holds itself it throws away, whatever is at the other end.
            while control.holds_output().await {
                waits += 1;
                sleep(MS).await;
            }
            kills += control.kill("pubsub").await;
        }
    }
    assert_eq!(kills, KILLS);
    control.publish_to_a_subscriber(b"word end").await;
    tell(format_args!(
        "{kills} kills, {waits} waits for the subscriber to read"
    ));
    published
}

async fn every_message_arrives(seam: Seam) {
    let server = start(&[]);
    let control = Control::connect(server.address()).await;
    let mut redis = subscriber(server.address())
        .seam(seam)
        .connect()
        .await
        .unwrap();
    let publishing = tokio::spawn(publish(control));
    let (mut received, mut torn, mut seams) = (Vec::new(), 0, 0);
    loop {
        match redis.next().await.unwrap().as_ref().map(push) {
            Ok(Push::Message(number)) => received.push(number),
            Ok(Push::Word(_)) => break,
            Ok(Push::Torn | Push::Pong) => torn += 1,
            Err(_) => seams += 1,
        }
    }
    let published = publishing.await.unwrap();
    let expected: Vec<_> = (0..MESSAGES).filter(|&n| published[n]).collect();
    let missing = expected
        .iter()
        .filter(|n| received.binary_search(n).is_err());
    tell(format_args!(
        "{seam:?}: {MESSAGES} published, {} to the subscriber, {} received, {} missing, \
         {torn} torn, {} connections, {seams} errors",
        expected.len(),
        received.len(),
        missing.count(),
        redis.generation(),
    ));
    assert_eq!(torn, 0);
    assert_eq!(redis.generation(), KILLS as u64 + 1);
    assert_eq!(seams, if seam == Seam::Error { KILLS } else { 0 });
    assert!(received == expected, "each once, in order, and no other");
}

#[tokio::test]
async fn every_message_that_was_published_during_outages_arrives_once() {
    if are_installed(&["redis-server"]) {
        soon(every_message_arrives(Seam::Hidden)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_that_was_published_during_outages_arrives_once_on_two_threads() {
    if are_installed(&["redis-server"]) {
        soon(every_message_arrives(Seam::Error)).await;
    }
}

/// Publishes large messages that the client does not read, until the connection has taken a part of one;
/// then kills it. The number after the last one.
async fn cut(control: &mut Control, mut next: usize) -> usize {
    while !control.holds_output().await {
        for _ in 0..10 {
            assert!(control.publish(&message(next)).await);
            next += 100;
        }
    }
    assert_eq!(control.kill("pubsub").await, 1);
    next
}

#[tokio::test]
async fn a_subscriber_never_gets_a_message_that_was_cut() {
    const ROUNDS: usize = 5;
    if !are_installed(&["redis-server"]) {
        return;
    }
    let server = start(&[]);
    let mut control = Control::connect(server.address()).await;
    let mut redis = subscriber(server.address()).connect().await.unwrap();
    let (mut begin, mut lost) = (42, 0);
    for round in 0..ROUNDS {
        let end = soon(cut(&mut control, begin)).await;
        let word = format!("word {round}");
        let reading = async {
            let mut expected = begin;
            loop {
                match push(&redis.next().await.unwrap().unwrap()) {
                    Push::Message(number) => assert_eq!(number, expected),
                    Push::Word(read) if read == word => break expected,
                    other => panic!("{other:?}"),
                }
                expected += 100;
            }
        };
        let writing = control.publish_to_a_subscriber(word.as_bytes());
        let (read, ()) = soon(async { tokio::join!(reading, writing) }).await;
        assert!(read > begin, "what had arrived is read");
        assert!(read < end, "the kill has cut something");
        lost += (end - read) / 100;
        begin = end;
    }
    let sent = (begin - 42) / 100;
    tell(format_args!(
        "{sent} sent, {lost} cut or still in the server, 0 torn, {ROUNDS} kills"
    ));
}

/// What the test above shows is not shown by itself.
#[tokio::test]
async fn a_plain_framed_over_a_hidden_seam_gets_what_was_cut() {
    use reconnecting_stream::ReconnectingStream;
    use tokio::io::AsyncWriteExt;

    if !are_installed(&["redis-server"]) {
        return;
    }
    let server = start(&[]);
    let address = server.address();
    let mut control = Control::connect(address).await;
    let connector = move || async move {
        let mut socket = TcpStream::connect(address).await?;
        let subscribe = format!("SUBSCRIBE {CHANNEL}\r\n");
        socket.write_all(subscribe.as_bytes()).await?;
        Ok(socket)
    };
    let builder = ReconnectingStream::builder(connector).policy(hurry());
    let stream = builder.connect().await.unwrap();
    let mut redis = Framed::new(stream, Resp2::default());
    soon(redis.next()).await.unwrap().unwrap();
    soon(cut(&mut control, 42)).await;
    let reading = async {
        loop {
            match redis.next().await.unwrap().as_ref().map(push) {
                Ok(Push::Message(_)) => {}
                Ok(other) => break format!("{other:?}"),
                Err(error) => break error.to_string(),
            }
        }
    };
    let publishing = async {
        loop {
            control.publish_to_a_subscriber(&message(1)).await;
        }
    };
    let seen = soon(async {
        tokio::select! {
            seen = reading => seen,
            () = publishing => unreachable!(),
        }
    });
    tell(format_args!("a plain Framed got: {}", seen.await));
}
