//! A server that is stopped.

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
