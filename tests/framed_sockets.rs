//! Ten thousand messages over real sockets with small buffers, and a real reset about every five
//! hundred: nothing torn, and nothing missing if it is confirmed.
#![cfg(all(feature = "codec", target_os = "linux"))]

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::{SinkExt, StreamExt};
use reconnecting_stream::{Backoff, Policy, ReconnectingFramed, Resend};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

const MESSAGES: u32 = 10_000;
const BETWEEN_RESETS: u32 = 500;
const DEADLINE: Duration = Duration::from_secs(60);

/// A number, and as many bytes made of it as it says.
fn message(number: u32) -> Bytes {
    let length = (number as usize * 37) % 300;
    let mut message = BytesMut::with_capacity(length + 4);
    message.put_u32(number);
    message.extend((0..length).map(|i| byte(number, i)));
    message.freeze()
}

fn byte(number: u32, i: usize) -> u8 {
    number.to_le_bytes()[i % 3].wrapping_add(i.to_le_bytes()[0])
}

/// The number of a message, if it is whole and nothing else.
fn number(mut message: &[u8]) -> Option<u32> {
    let whole = message;
    let number = message.try_get_u32().ok()?;
    (self::message(number) == whole).then_some(number)
}

fn small_socket() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    // Small, and not so small that the kernel waits for its persist timer.
    socket.set_send_buffer_size(16 * 1024).unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    socket.set_nodelay(true).unwrap();
    socket
}

fn listen() -> (TcpListener, SocketAddr) {
    let socket = small_socket();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(16).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    small_socket().connect(address).await
}

/// What the server has got.
#[derive(Debug, Default)]
struct Got {
    numbers: Vec<u32>,
    torn: usize,
    connections: usize,
}

/// Takes messages, and answers each with its number; resets every connection after some of them,
/// in the middle of whatever is on its way. Reports when the last one is there.
async fn take(listener: TcpListener, done: mpsc::Sender<Got>) {
    let mut got = Got::default();
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        got.connections += 1;
        let mut framed = Framed::new(socket, LengthDelimitedCodec::new());
        let until = BETWEEN_RESETS + u32::try_from(got.connections).unwrap() * 7 % 50;
        for _ in 0..until {
            let Some(Ok(bytes)) = framed.next().await else {
                break;
            };
            let Some(number) = number(&bytes) else {
                got.torn += 1;
                continue;
            };
            got.numbers.push(number);
            if number == MESSAGES - 1 {
                let _ = done.send(std::mem::take(&mut got)).await;
            }
            if framed.send(bytes.freeze().slice(..4)).await.is_err() {
                break;
            }
        }
        framed.get_ref().set_zero_linger().unwrap();
    }
}

/// Sends all messages while another task confirms the answers; what the server has got.
async fn send(resend: Resend) -> Got {
    let (listener, address) = listen();
    let (done, mut all) = mpsc::channel(1);
    let server = tokio::spawn(take(listener, done));
    let framed = ReconnectingFramed::builder(move || dial(address), LengthDelimitedCodec::new())
        .policy(Policy::default().backoff(Backoff::constant(Duration::from_millis(1))))
        .resend(resend)
        .connect()
        .await
        .unwrap();
    let confirmations = framed.confirm_handle();
    let (mut sink, mut stream) = framed.split();
    let confirming = tokio::spawn(async move {
        let mut confirmed = 0;
        while let Some(Ok(answer)) = stream.next().await {
            let number = answer.freeze().get_u32();
            // Of a message that was sent twice, the first answer counts.
            if number >= confirmed {
                confirmations.confirm((number + 1 - confirmed) as usize);
                confirmed = number + 1;
            }
        }
    });
    let sending = tokio::spawn(async move {
        for number in 0..MESSAGES {
            sink.feed(message(number)).await.unwrap();
        }
        // With `Torn` the last ones may be lost: the server's report may never come.
        loop {
            sink.send(message(MESSAGES - 1)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let got = timeout(DEADLINE, all.recv())
        .await
        .expect("it hangs")
        .unwrap();
    for task in [server, confirming, sending] {
        task.abort();
    }
    got
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resend_torn_tears_nothing_and_repeats_nothing_over_sockets() {
    let got = send(Resend::Torn).await;
    assert_eq!(got.torn, 0);
    assert!(
        got.numbers.is_sorted_by(|a, b| a < b),
        "in order, and none twice"
    );
    let missing = MESSAGES as usize - got.numbers.len();
    assert!(got.connections >= 5);
    println!("{} connections, {missing} missing", got.connections);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resend_unconfirmed_misses_nothing_over_sockets() {
    for max_bytes in [100, 4096, 1 << 20] {
        let got = send(Resend::Unconfirmed { max_bytes }).await;
        assert_eq!(got.torn, 0);
        let mut next = 0;
        for number in &got.numbers {
            assert!(*number <= next, "a gap before {number}");
            next = next.max(number + 1);
        }
        assert_eq!(next, MESSAGES);
        let twice = got.numbers.len() - MESSAGES as usize;
        println!(
            "{} connections, {twice} twice, window {max_bytes}",
            got.connections
        );
    }
}

/// The server sends, and resets its connections in the middle of messages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_arrive_over_sockets_are_whole_and_in_order() {
    let (listener, address) = listen();
    let server = tokio::spawn(async move {
        let mut next = 0;
        while next < MESSAGES {
            let (socket, _) = listener.accept().await.unwrap();
            let mut framed = Framed::new(socket, LengthDelimitedCodec::new());
            let until = MESSAGES.min(next + BETWEEN_RESETS);
            while next < until && framed.feed(message(next)).await.is_ok() {
                next += 1;
            }
            if next < MESSAGES {
                // Some of it is flushed, half a message perhaps.
                let _ = timeout(
                    Duration::from_millis(2),
                    SinkExt::<Bytes>::flush(&mut framed),
                )
                .await;
                framed.get_ref().set_zero_linger().unwrap();
            } else {
                SinkExt::<Bytes>::close(&mut framed).await.unwrap();
            }
        }
    });
    let mut framed =
        ReconnectingFramed::builder(move || dial(address), LengthDelimitedCodec::new())
            .policy(Policy::default().backoff(Backoff::constant(Duration::from_millis(1))))
            .connect()
            .await
            .unwrap();
    let (mut expected, mut got) = (0, 0);
    while expected < MESSAGES {
        let next = timeout(DEADLINE, framed.next()).await.expect("it hangs");
        let number = number(&next.unwrap().unwrap()).expect("a torn message");
        assert!(number >= expected, "out of order");
        (expected, got) = (number + 1, got + 1);
    }
    server.await.unwrap();
    assert!(framed.generation() >= 15);
    println!("{} connections, {got} messages", framed.generation());
}

/// What waits in the kernel is far more than one read ahead takes.
#[tokio::test]
async fn what_the_kernel_has_beyond_the_read_ahead_is_delivered_before_the_seam() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connector = move || async move {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(200 * 1024)?;
        socket.connect(address).await
    };
    let connecting = ReconnectingFramed::connect(connector, LengthDelimitedCodec::new());
    let (framed, accepted) = tokio::join!(connecting, listener.accept());
    let (mut framed, (peer, _)) = (framed.unwrap(), accepted.unwrap());
    let mut peer = Framed::new(peer, LengthDelimitedCodec::new());
    let sent = 1_200_u32;
    for number in 0..sent {
        peer.feed(Bytes::from(vec![number.to_le_bytes()[0]; 100]))
            .await
            .unwrap();
    }
    SinkExt::<Bytes>::flush(&mut peer).await.unwrap();
    let kernel = framed.get_ref().unwrap();
    let mut waiting = vec![0; 200 * 1024];
    while kernel.peek(&mut waiting).await.unwrap() < sent as usize * 104 {
        tokio::task::yield_now().await;
    }
    framed.mark_lost(io::ErrorKind::TimedOut.into());
    // With a hidden seam the next read would wait for the next connection.
    framed.handle().close();
    let mut received = 0;
    while let Some(Ok(message)) = framed.next().await {
        assert_eq!(message[..], [u32::to_le_bytes(received)[0]; 100]);
        received += 1;
    }
    assert_eq!(received, sent);
}
