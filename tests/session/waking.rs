//! What wakes the driver. The timers of a session wake it as well, but later: none of these steps takes
//! time, which is paused.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use reconnecting_stream::{Accepted, ResumableStream, SessionLostReason, Sessions};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream, duplex};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use crate::support::{Server, options, pattern, quick, reason};
use crate::task::Task;

/// By then the ends have no acknowledgment to send.
const IDLE: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn each_act_of_an_application_is_sent_without_a_timer() {
    let (server, mut streams) = Server::new(options());
    let (mut client, mut stream) = server.begin(&mut streams).await;
    // The window of the server's end, and the send buffer of the client's.
    let bytes = pattern(0..2 << 20);
    client.write_all(&bytes).await.unwrap();
    sleep(IDLE).await;

    let began = Instant::now();
    let mut read = vec![0; bytes.len()];
    stream.read_exact(&mut read).await.unwrap();
    assert!(read == bytes);
    assert_eq!(began.elapsed(), Duration::ZERO, "a read opens the window");
    sleep(IDLE).await;

    let began = Instant::now();
    stream.write_all(b"answer").await.unwrap();
    client.read_exact(&mut [0; 6]).await.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO, "a write");
    sleep(IDLE).await;

    let began = Instant::now();
    client.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(began.elapsed(), Duration::ZERO, "a shutdown");
    sleep(IDLE).await;

    let began = Instant::now();
    drop(stream);
    let error = client.read(&mut [0]).await.unwrap_err();
    assert_eq!(reason(&error), SessionLostReason::PeerReset);
    assert_eq!(began.elapsed(), Duration::ZERO, "a drop");
}

/// Begins a session whose connections are the two ends of these pipes.
async fn pair<I>(pipe: fn() -> (I, I)) -> (ResumableStream, ResumableStream)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let sessions = Sessions::new(options());
    let (sender, mut accepted) = mpsc::unbounded_channel();
    let connector = move || {
        let ((near, far), sender) = (pipe(), sender.clone());
        let sessions = sessions.clone();
        tokio::spawn(async move { sender.send(sessions.accept(far).await) });
        std::future::ready(io::Result::Ok(near))
    };
    let client = ResumableStream::connect(connector).await.unwrap();
    match accepted.recv().await.unwrap().unwrap() {
        Accepted::New(stream) => (client, stream),
        other => panic!("{other:?}"),
    }
}

/// Sends much to the server's end and a little to the client's, and shuts both down.
async fn converse((mut client, mut stream): (ResumableStream, ResumableStream)) {
    let bytes = pattern(0..1 << 20);
    let writing = async { client.write_all(&bytes).await.unwrap() };
    let mut read = vec![0; bytes.len()];
    let reading = async { stream.read_exact(&mut read).await.unwrap() };
    tokio::join!(writing, reading);
    assert!(read == bytes);
    stream.write_all(b"answer").await.unwrap();
    client.read_exact(&mut [0; 6]).await.unwrap();
    let (ended, answered) = tokio::join!(client.shutdown(), stream.shutdown());
    ended.and(answered).unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_a_connection_buffers_is_flushed_without_a_timer() {
    let began = Instant::now();
    // A flush does not fit into the pipe.
    let pipe = || {
        let (near, far) = duplex(64);
        (BufStream::new(near), BufStream::new(far))
    };
    converse(pair(pipe).await).await;
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_has_more_to_read_or_to_write_continues_without_a_timer() {
    let began = Instant::now();
    // More than a driver moves before it lets others run.
    converse(pair(|| duplex(2 << 20)).await).await;
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_connect_that_waits_for_a_busy_server_may_move_to_another_task() {
    let (server, mut streams) = Server::new(options().max_sessions(1));
    let first = server.begin(&mut streams).await;
    let connector = move || server.connect();
    let second = ResumableStream::builder(connector).policy(quick());
    let mut connecting = pin!(second.retry_initial_connect(true).connect());
    let task = Task::new();
    for _ in 0..20 {
        assert!(task.poll_future(connecting.as_mut()).is_pending());
        sleep(Duration::from_millis(2)).await;
    }
    drop(first);
    let connected = timeout(Duration::from_secs(60), connecting).await;
    connected.expect("it is woken").unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_task_that_waited_for_room_is_woken_at_the_end_of_its_shutdown() {
    let (server, mut streams) = Server::new(options());
    let (mut client, mut stream) = server.begin(&mut streams).await;
    let fill = poll_fn(|cx| {
        while Pin::new(&mut client)
            .poll_write(cx, &[7; 1 << 16])
            .is_ready()
        {}
        Poll::Ready(())
    });
    fill.await;
    let began = Instant::now();
    let reading = tokio::spawn(async move {
        stream.read_to_end(&mut Vec::new()).await.unwrap();
        stream
    });
    // With the same waker.
    let shutdown = timeout(Duration::from_secs(60), client.shutdown());
    shutdown.await.unwrap().unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
    drop(reading.await.unwrap());
}
