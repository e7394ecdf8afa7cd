//! Pipelined writers, while their connections and the server are killed.

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
