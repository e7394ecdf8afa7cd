//! What a loss leaves to the next connection: the backlog, and replies that arrive late.

use std::sync::Mutex;

use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, BufWriter,
    DuplexStream, duplex,
};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const FOR_EVER: Duration = Duration::from_secs(9999);

/// More than the connections of these tests take in one write.
const QUESTION: &str = "a question of more than eight bytes";

/// A client that keeps what was not confirmed.
async fn keeping<C>(connector: C) -> Framed<C>
where
    C: Connect<Future: Send> + Send,
    C::Io: AsyncRead + AsyncWrite + Send + Unpin,
{
    ReconnectingFramed::builder(connector, LinesCodec::new())
        .resend(Resend::Unconfirmed { max_bytes: 1 << 16 })
        .connect()
        .await
        .unwrap()
}

/// Connections that take eight bytes in one write. The first one ends after the question, the others
/// answer it, after some time.
fn slow(patience: Duration) -> impl FnMut() -> std::future::Ready<io::Result<DuplexStream>> {
    let mut generation = 0;
    move || {
        generation += 1;
        let is_first = generation == 1;
        let (near, far) = duplex(8);
        tokio::spawn(async move {
            let (mut far, mut line) = (BufReader::new(far), String::new());
            if !is_first {
                sleep(patience).await;
            }
            far.read_line(&mut line).await.unwrap();
            if !is_first {
                far.write_all(b"answer\n").await.unwrap();
                sleep(FOR_EVER).await;
            }
        });
        std::future::ready(Ok(near))
    }
}

async fn next<C>(framed: &mut Framed<C>) -> String
where
    C: Connect<Io: AsyncRead + AsyncWrite + Unpin> + Unpin,
{
    let next = timeout(100 * SECOND, framed.next()).await;
    next.expect("it hangs").unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_reader_flushes_the_question_that_it_has_sent_again() {
    let mut dial = slow(Duration::ZERO);
    let connector = move || {
        let near = dial();
        async move { Ok(BufWriter::new(near.await?)) }
    };
    let mut framed = Box::pin(keeping(connector)).await;
    framed.send(QUESTION).await.unwrap();
    let next = timeout(100 * SECOND, framed.next()).await;
    assert_eq!(next.expect("it hangs").unwrap().unwrap(), "answer");
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_is_dropped_leaves_its_write_to_the_reader() {
    let mut framed = keeping(slow(20 * SECOND)).await;
    framed.send(QUESTION).await.unwrap();
    let (mut sink, mut stream) = framed.split::<&str>();
    let reader = tokio::spawn(async move { stream.next().await });
    sleep(5 * SECOND).await;
    // It waits for the same write as the reader, and gives up.
    assert!(timeout(SECOND, sink.send("more")).await.is_err());
    let next = timeout(100 * SECOND, reader).await;
    let answer = next.expect("it hangs").unwrap();
    assert_eq!(answer.unwrap().unwrap(), "answer");
}

#[tokio::test(start_paused = true)]
async fn replies_that_arrive_late_are_not_counted_for_the_next_connection() {
    for sends_first in [false, true] {
        let network = Network::new();
        let mut framed = keeping(network.connector()).await;
        for message in ["a", "b", "c"] {
            framed.send(message).await.unwrap();
        }
        network.peer(1).send(b"1\n2\n");
        assert_eq!(next(&mut framed).await, "1");
        framed.confirm_replies(1);
        framed.reconnect();
        framed.connected().await.unwrap();
        if sends_first {
            SinkExt::<&str>::flush(&mut framed).await.unwrap();
        }
        // Of the connection that is gone.
        assert_eq!(next(&mut framed).await, "2");
        framed.confirm_replies(1);
        SinkExt::<&str>::flush(&mut framed).await.unwrap();
        let again = network.peer(2).received();
        let expected: &[u8] = if sends_first { b"b\nc\n" } else { b"c\n" };
        assert_eq!(again, expected);
        for _ in 0..again.len() / 2 {
            assert_eq!(framed.unconfirmed(), 1);
            network.peer(2).send(b"again\n");
            assert_eq!(next(&mut framed).await, "again");
            framed.confirm_replies(1);
        }
        assert_eq!(framed.unconfirmed(), 0);
    }
}

#[tokio::test]
async fn a_sender_that_never_reads_loses_nothing_though_each_peer_sends_a_banner_and_ends() {
    const MESSAGES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (got, ended) = (Arc::new(Mutex::new(Vec::new())), Arc::default());
    let (lines, has_ended): (_, Arc<tokio::sync::Notify>) = (Arc::clone(&got), Arc::clone(&ended));
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            socket.write_all(b"220 hello\n").await.unwrap();
            let (mut socket, mut line) = (BufReader::new(socket), String::new());
            if socket.read_line(&mut line).await.unwrap() > 0 {
                lines.lock().unwrap().push(line.trim().to_owned());
            }
            socket.shutdown().await.unwrap();
            has_ended.notify_one();
            // Until the client has gone, so that it sees an end and no reset.
            let _ = socket.read_to_end(&mut Vec::new()).await;
        }
    });
    let connector = move || TcpStream::connect(address);
    let mut framed = ReconnectingFramed::builder(connector, LinesCodec::new())
        .policy(Policy::default().backoff(Backoff::none()))
        .connect()
        .await
        .unwrap();
    for message in MESSAGES {
        framed.send(message).await.unwrap();
        timeout(60 * SECOND, ended.notified()).await.unwrap();
        // The end has been sent; it has arrived when a read finds it.
        let io = framed.get_ref().unwrap();
        timeout(60 * SECOND, io.readable()).await.unwrap().unwrap();
    }
    assert_eq!(*got.lock().unwrap(), MESSAGES);
}
