//! What other crates do with a stream.

use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use reconnecting_stream::testing::{Direction, Fault, FaultProxy, Plan};
use reconnecting_stream::{Backoff, Policy, ResumableListener, ResumableStream, SessionOptions};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::codec::{Framed, LengthDelimitedCodec, LinesCodec};

use crate::support::{byte, cut, pair, settle, soon};
use crate::task::Task;

#[tokio::test(start_paused = true)]
async fn a_codec_loses_no_message() {
    let (client, server, _network) = pair().await;
    let handle = client.handle();
    let (mut client, mut server) = (
        Framed::new(client, LinesCodec::new()),
        Framed::new(server, LinesCodec::new()),
    );
    for number in 0..200 {
        client.send(format!("request {number}")).await.unwrap();
        handle.reconnect();
        let request = soon(server.next()).await.unwrap().unwrap();
        assert_eq!(request, format!("request {number}"));
        server.send(format!("reply {number}")).await.unwrap();
        handle.reconnect();
        let reply = soon(client.next()).await.unwrap().unwrap();
        assert_eq!(reply, format!("reply {number}"));
    }
    let _ = LengthDelimitedCodec::new();
    let (a, b) = soon(async {
        tokio::join!(
            SinkExt::<String>::close(&mut client),
            SinkExt::<String>::close(&mut server)
        )
    })
    .await;
    a.and(b).unwrap();
    assert!(soon(client.next()).await.is_none());
}

#[tokio::test]
async fn a_session_relayed_to_a_socket_keeps_half_closes() {
    let (client, server, _network) = pair().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let upstream = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).await.unwrap();
        socket.write_all(&bytes).await.unwrap();
        socket.shutdown().await.unwrap();
    });
    let relay = tokio::spawn(async move {
        let mut server = server;
        let mut socket = TcpStream::connect(address).await.unwrap();
        copy_bidirectional(&mut server, &mut socket).await.unwrap()
    });
    let (mut reader, mut writer) = tokio::io::split(client);
    let bytes: Vec<u8> = (0..300_000).map(|at| byte(3, at)).collect();
    soon(writer.write_all(&bytes)).await.unwrap();
    soon(writer.shutdown()).await.unwrap();
    let mut back = Vec::new();
    soon(reader.read_to_end(&mut back)).await.unwrap();
    assert!(back == bytes);
    assert_eq!(soon(relay).await.unwrap(), (300_000, 300_000));
    upstream.await.unwrap();
}

/// Sends and checks bytes in both directions through a proxy that resets the connections.
async fn storm(seed: u64) {
    let options = SessionOptions::new().max_resumes_per_second(u32::MAX);
    let listener = ResumableListener::builder().options(options);
    let listener = listener.bind("127.0.0.1:0").await.unwrap();
    let proxy = FaultProxy::start(listener.local_addr().unwrap())
        .await
        .unwrap();
    proxy.default_plan(move |number| {
        let mut random = fastrand::Rng::with_seed(seed << 32 | number);
        Plan::new()
            .after(
                random.u64(2_000..400_000),
                Direction::ToClient,
                Fault::Reset,
            )
            .after(
                random.u64(2_000..400_000),
                Direction::ToServer,
                Fault::Reset,
            )
    });
    let address = proxy.addr();
    let policy = Policy::default()
        .backoff(Backoff::constant(Duration::from_millis(1)))
        .max_attempts(None);
    let client = ResumableStream::builder(move || TcpStream::connect(address))
        .policy(policy)
        .retry_initial_connect(true);
    let (client, server) = tokio::join!(client.connect(), listener.accept());
    let (client, server) = (client.unwrap(), server.unwrap());
    let mut tasks = Vec::new();
    for (stream, seed, other) in [(client, seed, seed + 1), (server, seed + 1, seed)] {
        let (mut reader, mut writer) = stream.into_split();
        let len = 4 << 20;
        tasks.push(tokio::spawn(async move {
            let bytes: Vec<u8> = (0..len).map(|at| byte(seed, at)).collect();
            for chunk in bytes.chunks(10_007) {
                writer.write_all(chunk).await.unwrap();
            }
            writer.shutdown().await.unwrap();
        }));
        tasks.push(tokio::spawn(async move {
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).await.unwrap();
            assert_eq!(bytes.len(), len);
            assert!(
                bytes
                    .iter()
                    .enumerate()
                    .all(|(at, b)| *b == byte(other, at))
            );
        }));
    }
    for task in tasks {
        soon(task).await.unwrap();
    }
    let stats = proxy.stats();
    assert!(stats.accepted > 5, "{stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_storm_of_resets_over_sockets_and_threads_loses_nothing() {
    let storms: Vec<_> = (0..4).map(|seed| tokio::spawn(storm(seed * 2))).collect();
    for storm in storms {
        tokio::time::timeout(Duration::from_secs(30), storm)
            .await
            .expect("it hangs")
            .unwrap();
    }
}

fn read(task: &Task, stream: &mut (impl AsyncRead + Unpin), buf: &mut [u8]) -> Poll<usize> {
    let mut buf = ReadBuf::new(buf);
    task.poll(|cx| Pin::new(stream).poll_read(cx, &mut buf))
        .map(|result| result.map(|()| buf.filled().len()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_reader_and_a_writer_are_woken_for_their_own_reasons() {
    let (client, mut server, network) = pair().await;
    let (mut reader, mut writer) = client.into_split();
    let (reading, writing) = (Task::new(), Task::new());
    let mut buf = [0; 8];
    assert!(read(&reading, &mut reader, &mut buf).is_pending());
    // Fill the send buffer and the window.
    loop {
        let poll = writing.poll(|cx| Pin::new(&mut writer).poll_write(cx, &[7; 1000]));
        tokio::time::sleep(Duration::from_millis(100)).await;
        if poll.is_pending() && !writing.is_woken() {
            break;
        }
    }
    assert_eq!((reading.take_wakes(), writing.take_wakes()), (0, 0));
    // Data wakes the reader alone.
    server.write_all(b"x").await.unwrap();
    settle().await;
    assert_eq!((reading.take_wakes(), writing.take_wakes()), (1, 0));
    assert_eq!(read(&reading, &mut reader, &mut buf), Poll::Ready(1));
    assert!(read(&reading, &mut reader, &mut buf).is_pending());
    // Room wakes the writer alone: the peer has read.
    let mut much = vec![0; 16 * 1024];
    server.read_exact(&mut much).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!((reading.take_wakes(), writing.take_wakes()), (0, 1));
    // A cut wakes neither.
    let poll = writing.poll(|cx| Pin::new(&mut writer).poll_write(cx, &[7; 16 * 1024]));
    assert!(poll.is_ready());
    settle().await;
    network.go_down(true);
    reader.handle().reconnect();
    settle().await;
    assert_eq!((reading.take_wakes(), writing.take_wakes()), (0, 0));
    // A loss wakes both.
    assert!(
        writing
            .poll(|cx| Pin::new(&mut writer).poll_shutdown(cx))
            .is_pending()
    );
    reader.handle().close();
    settle().await;
    assert_eq!((reading.take_wakes(), writing.take_wakes()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn two_ends_that_write_more_than_a_window_and_flush_before_they_read_do_not_wait_for_each_other()
 {
    let (client, server, _network) = pair().await;
    let run = |mut stream: ResumableStream| async move {
        // The window has 16 KiB, and the send buffer, too.
        stream.write_all(&[7; 24 * 1024]).await.unwrap();
        stream.flush().await.unwrap();
        stream.read_exact(&mut [0; 24 * 1024]).await.unwrap();
        stream
    };
    soon(async { tokio::join!(run(client), run(server)) }).await;
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_acknowledgments_lasts_through_an_outage() {
    let (mut client, _server, network) = pair().await;
    cut(&client, &network).await;
    client.write_all(b"hello").await.unwrap();
    assert_eq!(client.unacknowledged(), 5);
    let waiting = tokio::time::timeout(Duration::from_secs(60), client.acknowledged());
    assert!(waiting.await.is_err());
    network.go_down(false);
    soon(client.acknowledged()).await.unwrap();
    assert_eq!(client.unacknowledged(), 0);
}
