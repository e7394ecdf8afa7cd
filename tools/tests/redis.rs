//! A real redis: subscribers and pipelined writers over `ReconnectingFramed`, with an existing
//! codec, while their connections are killed by the server's own command, and the server is
//! killed, restarted and stopped.
#![cfg(target_os = "linux")]

use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::{SinkExt, StreamExt};
use reconnecting_stream::{
    Backoff, Builder, Connect, ConnectionLost, Event, FramedOptions, Policy, ReconnectingFramed,
    Resend, Seam,
};
use reconnecting_stream_tools::program::{Program, are_installed, free_port, tell};
use redis_protocol::codec::Resp2;
use redis_protocol::error::{RedisProtocolError, RedisProtocolErrorKind};
use redis_protocol::resp2::types::BytesFrame;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::codec::Framed;

/// Nothing here takes that long unless it hangs.
const DEADLINE: Duration = Duration::from_secs(60);
const MS: Duration = Duration::from_millis(1);
const CHANNEL: &str = "messages";
const LIST: &str = "log";

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.expect("it hangs")
}

/// A server that forgets everything, unless the arguments say otherwise.
fn start(more: &[&str]) -> Program {
    let port = free_port();
    let number = port.to_string();
    let args = ["--port", &number, "--bind", "127.0.0.1", "--save", ""];
    Program::start("redis-server", port, args.iter().chain(more))
}

fn command<W: AsRef<[u8]>>(words: &[W]) -> BytesFrame {
    let word = |word: &W| BytesFrame::BulkString(word.as_ref().to_vec().into());
    BytesFrame::Array(words.iter().map(word).collect())
}

fn bytes(frame: &BytesFrame) -> &[u8] {
    match frame {
        BytesFrame::BulkString(bytes) | BytesFrame::SimpleString(bytes) => bytes,
        other => panic!("expected a string, got {other:?}"),
    }
}

/// A plain connection beside those that are tested.
struct Control(Framed<TcpStream, Resp2>);

impl Control {
    async fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).await.unwrap();
        let mut control = Self(Framed::new(socket, Resp2::default()));
        // While it loads its data it answers everything else with an error.
        while control.ask(&["PING"]).await != BytesFrame::SimpleString("PONG".into()) {
            sleep(MS).await;
        }
        control
    }

    async fn ask<W: AsRef<[u8]>>(&mut self, words: &[W]) -> BytesFrame {
        self.0.send(command(words)).await.unwrap();
        self.0.next().await.unwrap().unwrap()
    }

    async fn count<W: AsRef<[u8]>>(&mut self, words: &[W]) -> usize {
        match self.ask(words).await {
            BytesFrame::Integer(n) => usize::try_from(n).unwrap(),
            other => panic!("expected a number, got {other:?}"),
        }
    }

    /// Whether a subscriber got it.
    async fn publish(&mut self, message: &[u8]) -> bool {
        let publish = [b"PUBLISH", CHANNEL.as_bytes(), message];
        self.count(&publish).await > 0
    }

    async fn publish_to_somebody(&mut self, message: &[u8]) {
        while !self.publish(message).await {
            sleep(MS).await;
        }
    }

    /// Whether the server itself holds output that the kernel has not taken.
    async fn holds_output(&mut self) -> bool {
        let clients = self.ask(&["CLIENT", "LIST", "TYPE", "pubsub"]).await;
        let clients = String::from_utf8_lossy(bytes(&clients)).into_owned();
        clients
            .split_whitespace()
            .any(|field| match field.split_once('=') {
                Some(("obl" | "oll", length)) => length != "0",
                _ => false,
            })
    }

    async fn kill(&mut self, kind: &str) -> usize {
        self.count(&["CLIENT", "KILL", "TYPE", kind]).await
    }
}

/// What is published or pushed: it begins with its number, and all of it follows from that.
fn message(number: usize) -> Vec<u8> {
    let length = match number % 100 {
        // Five times what the read buffer begins with.
        42 => 40 * 1024,
        k => 20 + k * 13,
    };
    let mut message = format!("{number} ").into_bytes();
    message.extend((message.len()..length).map(|at| (number * 31 + at * 7).to_le_bytes()[0]));
    message
}

/// `None` if it is torn.
fn number(bytes: &[u8]) -> Option<usize> {
    let end = bytes.iter().position(|&byte| byte == b' ')?;
    let number = std::str::from_utf8(&bytes[..end]).ok()?.parse().ok()?;
    (bytes == message(number)).then_some(number)
}

/// What a subscriber gets.
#[derive(Debug, PartialEq, Eq)]
enum Push {
    Message(usize),
    Torn,
    /// A word of the test's.
    Word(String),
    Pong,
}

fn push(frame: &BytesFrame) -> Push {
    let BytesFrame::Array(parts) = frame else {
        return Push::Torn;
    };
    match parts.iter().map(bytes).collect::<Vec<_>>()[..] {
        [b"message", _, word] if word.starts_with(b"word ") => {
            Push::Word(String::from_utf8_lossy(word).into_owned())
        }
        [b"message", _, message] => number(message).map_or(Push::Torn, Push::Message),
        [b"pong", _] => Push::Pong,
        _ => Push::Torn,
    }
}

type Settings<C> = Builder<C, FramedOptions<TcpStream, Resp2>>;

fn hurry() -> Policy {
    Policy::default()
        .backoff(Backoff::constant(MS))
        .max_attempts(None)
}

/// Subscribes on every connection.
fn subscriber(
    address: SocketAddr,
) -> Settings<impl Connect<Io = TcpStream, Future: Send> + Send + Sync> {
    ReconnectingFramed::builder(move || TcpStream::connect(address), Resp2::default())
        .policy(hurry())
        .on_connect(|mut redis| async {
            let subscribed = ask_first(&mut redis, &["SUBSCRIBE", CHANNEL]).await?;
            assert!(matches!(subscribed, BytesFrame::Array(_)));
            Ok(redis)
        })
}

async fn ask_first(redis: &mut Framed<TcpStream, Resp2>, words: &[&str]) -> io::Result<BytesFrame> {
    redis.send(command(words)).await.map_err(io::Error::other)?;
    let answer = redis.next().await.ok_or(ErrorKind::UnexpectedEof)?;
    answer.map_err(io::Error::other)
}

/// The cause of the loss that an item tells of.
fn cause(item: Option<Result<BytesFrame, RedisProtocolError>>) -> ErrorKind {
    match item.unwrap().unwrap_err().kind() {
        RedisProtocolErrorKind::IO(error) => ConnectionLost::find(error).unwrap().cause.kind(),
        other => panic!("expected a loss, got {other:?}"),
    }
}

mod subscribing {
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
        control.publish_to_somebody(b"word end").await;
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
            let writing = control.publish_to_somebody(word.as_bytes());
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
                control.publish_to_somebody(&message(1)).await;
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
}

mod writing {
    use super::*;

    const MESSAGES: usize = 5_000;
    const WINDOW: usize = 64 * 1024;
    /// From one fault to the next.
    const STEP: usize = 100;
    /// Of the longest message, encoded.
    const LONGEST: usize = 41 * 1024;

    /// Asks first whether the server has loaded its data: until then it answers with errors.
    fn writer(
        address: SocketAddr,
    ) -> Settings<impl Connect<Io = TcpStream, Future: Send> + Send + Sync> {
        ReconnectingFramed::builder(move || TcpStream::connect(address), Resp2::default())
            .policy(hurry())
            .resend(Resend::Unconfirmed { max_bytes: WINDOW })
            .on_connect(|mut redis| async {
                match ask_first(&mut redis, &["PING"]).await? {
                    BytesFrame::SimpleString(_) => Ok(redis),
                    other => Err(io::Error::other(format!("{other:?}"))),
                }
            })
    }

    pub(super) fn push(number: usize) -> BytesFrame {
        command(&[b"RPUSH", LIST.as_bytes(), &message(number)])
    }

    /// Pushes messages, as many as are allowed, without waiting for their answers; until all are
    /// answered.
    async fn write<C>(redis: ReconnectingFramed<C, Resp2>, mut allowed: watch::Receiver<usize>)
    where
        C: Connect<Io = TcpStream>,
    {
        let confirmations = redis.confirm_handle();
        let (mut sink, mut stream) = redis.split::<BytesFrame>();
        let writing = async {
            for number in 0..MESSAGES {
                if *allowed.borrow() <= number {
                    sink.flush().await.unwrap();
                    allowed.wait_for(|&n| n > number).await.unwrap();
                }
                sink.feed(push(number)).await.unwrap();
            }
            sink.send(command(&["ECHO", "end"])).await.unwrap();
        };
        let reading = async {
            for answers in 1.. {
                match stream.next().await.unwrap().unwrap() {
                    BytesFrame::Integer(_) => confirmations.confirm_replies(1),
                    BytesFrame::BulkString(end) if end == "end" => break,
                    other => panic!("expected the length of the list, got {other:?}"),
                }
                // So that it is the sink that finds a loss, while there are answers to read.
                if answers % 20 == 0 {
                    sleep(MS).await;
                }
            }
        };
        tokio::join!(writing, reading);
    }

    /// What the list has to say: nothing torn, nothing missing, in order, and no repetition
    /// that goes back beyond the window. How many are there twice.
    async fn check(control: &mut Control, messages: usize, window: usize) -> usize {
        let BytesFrame::Array(list) = control.ask(&["LRANGE", LIST, "0", "-1"]).await else {
            panic!("expected a list");
        };
        let mut next = 0;
        for item in &list {
            let number = number(bytes(item)).expect("a torn message");
            assert!(number <= next, "{next} to {number} missing");
            let back: usize = (number..next).map(|n| message(n).len()).sum();
            assert!(back <= window + LONGEST, "{back} bytes sent again");
            next = next.max(number + 1);
        }
        assert_eq!(next, messages);
        list.len() - next
    }

    #[tokio::test]
    async fn no_command_of_a_writer_is_missing() {
        if are_installed(&["redis-server"]) {
            soon(kill_and_restart()).await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_command_of_a_writer_is_missing_on_two_threads() {
        if are_installed(&["redis-server"]) {
            soon(kill_and_restart()).await;
        }
    }

    /// Kills the writer's connection whenever some more has arrived, and the server every tenth time.
    async fn kill_and_restart() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().to_str().unwrap();
        let keep = [
            "--dir",
            folder,
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
        ];
        let mut server = start(&keep);
        let address = server.address();
        let mut control = Control::connect(address).await;
        let (allow, allowed) = watch::channel(2 * STEP);
        let writing = tokio::spawn(async move {
            write(writer(address).connect().await.unwrap(), allowed).await;
        });
        let (mut kills, mut restarts, mut due) = (0, 0, STEP);
        while due < MESSAGES {
            if control.count(&["LLEN", LIST]).await < due {
                tokio::task::yield_now().await;
                continue;
            }
            due += STEP;
            if due % 1000 == 0 {
                server.restart();
                control = Control::connect(address).await;
                restarts += 1;
            } else {
                let mut killed = 0;
                while killed == 0 && !writing.is_finished() {
                    killed = control.kill("normal").await;
                    tokio::task::yield_now().await;
                }
                kills += killed;
            }
            allow.send_replace(due + STEP);
        }
        writing.await.unwrap();
        let twice = check(&mut control, MESSAGES, WINDOW).await;
        tell(format_args!(
            "{MESSAGES} sent, 0 missing, {twice} twice, {kills} kills, {restarts} restarts"
        ));
        assert!(kills >= 40);
        assert_eq!(restarts, 5);
    }

    /// Without the product: a client that dials again and continues after what it has written.
    #[tokio::test]
    async fn commands_that_a_plain_framed_has_written_may_be_missing() {
        if !are_installed(&["redis-server"]) {
            return;
        }
        let server = start(&[]);
        let mut control = Control::connect(server.address()).await;
        let (mut next, mut written) = (0, 0);
        // How much waits in the kernels when the connection is killed is up to the machine.
        for _ in 0..50 {
            let socket = TcpStream::connect(server.address()).await.unwrap();
            let mut redis = Framed::new(socket, Resp2::default());
            // As much as both kernels take, while the server does not read it.
            server.stop();
            let filling = async {
                while redis.send(push(next)).await.is_ok() {
                    next += 1;
                }
            };
            let _ = timeout(50 * MS, filling).await;
            // Sent already when the server continues.
            let resuming = async { server.resume() };
            tokio::join!(control.kill("normal"), resuming);
            written = control.count(&["LLEN", LIST]).await;
            if written < next {
                break;
            }
        }
        tell(format_args!(
            "{next} written to plain connections, {written} have arrived"
        ));
        assert!(written < next);
    }
}

mod stopped {
    use super::*;
    use futures::SinkExt;
    use socket2::SockRef;

    /// Sends a heartbeat for ever, whatever becomes of the connections.
    async fn beat(mut sink: impl futures::Sink<BytesFrame> + Unpin) {
        loop {
            let _ = sink.send(command(&["PING"])).await;
            sleep(20 * MS).await;
        }
    }

    /// The server's kernel answers for it, so nothing but silence tells. A heartbeat sees to it
    /// that silence means something.
    #[tokio::test]
    async fn a_stopped_redis_is_detected_by_the_idle_timeout_of_a_subscriber() {
        if !are_installed(&["redis-server"]) {
            return;
        }
        let server = start(&[]);
        let mut control = Control::connect(server.address()).await;
        let policy = hurry().idle_timeout(500 * MS).attempt_timeout(500 * MS);
        let with = subscriber(server.address())
            .policy(policy)
            .seam(Seam::Error)
            .connect()
            .await
            .unwrap();
        let (sink, mut with) = with.split::<BytesFrame>();
        let beating = tokio::spawn(beat(sink));
        soon(async {
            for _ in 0..30 {
                let pong = next(&mut with).await;
                assert_eq!(
                    push(&pong),
                    Push::Pong,
                    "alive, though nothing is published"
                );
            }
        })
        .await;

        server.stop();
        let stopped = Instant::now();
        let seam = soon(async {
            loop {
                match with.next().await {
                    Some(Ok(pong)) => assert_eq!(push(&pong), Push::Pong),
                    seam => break seam,
                }
            }
        });
        assert_eq!(cause(seam.await), ErrorKind::TimedOut);
        tell(format_args!("noticed after {:?}", stopped.elapsed()));

        server.resume();
        let reading =
            async { while push(&next(&mut with).await) != Push::Word("word again".into()) {} };
        // The server may not have noticed yet that a connection is gone, and publish to it.
        let publishing = async {
            loop {
                control.publish(b"word again").await;
                sleep(MS).await;
            }
        };
        soon(async {
            tokio::select! {
                () = reading => {}
                () = publishing => {}
            }
        })
        .await;
        beating.abort();
    }

    /// The next message, whatever happens before.
    async fn next<S>(stream: &mut S) -> BytesFrame
    where
        S: futures::Stream<Item = Result<BytesFrame, RedisProtocolError>> + Unpin,
    {
        loop {
            if let Ok(frame) = stream.next().await.unwrap() {
                break frame;
            }
        }
    }

    #[tokio::test]
    async fn a_stopped_redis_is_not_detected_without_an_idle_timeout() {
        if !are_installed(&["redis-server"]) {
            return;
        }
        let server = start(&[]);
        let mut control = Control::connect(server.address()).await;
        let mut redis = subscriber(server.address()).connect().await.unwrap();
        server.stop();
        assert!(timeout(1000 * MS, redis.next()).await.is_err());
        server.resume();
        assert!(control.publish(b"word again").await);
        let word = soon(redis.next()).await.unwrap().unwrap();
        assert_eq!(push(&word), Push::Word("word again".into()));
        assert_eq!(redis.generation(), 1);
    }

    /// No idle timeout: what is not acknowledged is the kernel's to notice.
    #[tokio::test]
    async fn a_stopped_redis_is_detected_under_writes_by_the_user_timeout() {
        if are_installed(&["redis-server"]) {
            soon(write_to_a_stopped_server()).await;
        }
    }

    async fn write_to_a_stopped_server() {
        const USER_TIMEOUT: Duration = Duration::from_secs(1);
        // More than the kernels take.
        const MESSAGES: usize = 500;
        let server = start(&[]);
        let address = server.address();
        let connector = move || async move {
            let socket = TcpStream::connect(address).await?;
            SockRef::from(&socket).set_tcp_user_timeout(Some(USER_TIMEOUT))?;
            Ok(socket)
        };
        let losses = Arc::new(Mutex::new(Vec::new()));
        let lost = Arc::clone(&losses);
        let redis = ReconnectingFramed::builder(connector, Resp2::default())
            .policy(hurry())
            .resend(Resend::Unconfirmed { max_bytes: 1 << 26 })
            .max_queued(1 << 26)
            .on_event(move |event| {
                if let Event::Lost { cause, .. } = event {
                    lost.lock().unwrap().push((cause.kind(), Instant::now()));
                }
            })
            .connect()
            .await
            .unwrap();
        let confirmations = redis.confirm_handle();
        let (mut sink, mut stream) = redis.split::<BytesFrame>();
        server.stop();
        let full = Mutex::new(None);
        let writing = async {
            for number in 0..MESSAGES {
                let long = number * 100 + 42;
                sink.feed(writing::push(long)).await.unwrap();
            }
            *full.lock().unwrap() = Some(Instant::now());
            sink.send(command(&["ECHO", "end"])).await.unwrap();
        };
        let reading = async {
            while let BytesFrame::Integer(_) = stream.next().await.unwrap().unwrap() {
                confirmations.confirm_replies(1);
            }
        };
        let resuming = async {
            while losses.lock().unwrap().is_empty() {
                sleep(10 * MS).await;
            }
            server.resume();
        };
        tokio::join!(writing, reading, resuming);
        let losses = losses.lock().unwrap().clone();
        let (cause, at) = losses[0];
        assert_eq!(cause, ErrorKind::TimedOut);
        let after = at - full.lock().unwrap().unwrap();
        tell(format_args!(
            "noticed after {after:?}, {} losses",
            losses.len()
        ));
        let mut control = Control::connect(address).await;
        let BytesFrame::Array(list) = control.ask(&["LRANGE", LIST, "0", "-1"]).await else {
            panic!("expected a list");
        };
        let mut arrived = vec![false; MESSAGES];
        for item in &list {
            arrived[number(bytes(item)).expect("a torn message") / 100] = true;
        }
        let twice = list.len() - MESSAGES;
        tell(format_args!("{MESSAGES} sent, {twice} twice"));
        assert!(arrived.iter().all(|&arrived| arrived), "none is missing");
    }
}
