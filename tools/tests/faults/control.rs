//! Faulty clients and faulty bytes are caught by the checks of the matrix.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use reconnecting_stream::testing::{Direction, Fault, FaultProxy, Plan};
use reconnecting_stream::{ConnectionLost, ReconnectingStream, Seam};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use super::cell::ENOUGH;
use reconnecting_stream_tools::lab::Failure;
use reconnecting_stream_tools::lab::checker::{Checker, Shape};
use reconnecting_stream_tools::lab::client::{Put, Reading, Writing};
use reconnecting_stream_tools::lab::pattern::Place;
use reconnecting_stream_tools::lab::server::{Answer, Server, ServerOptions};
use reconnecting_stream_tools::lab::talk::talk_whole;

const OPTIONS: ServerOptions = ServerOptions {
    shape: Shape::Whole,
    answer: Answer::Part(4),
    closing_bytes: 0,
};

/// Dials again on a loss, and continues where it was as if nothing had happened.
struct Naive {
    addr: SocketAddr,
    socket: TcpStream,
    /// Of the connection.
    number: u64,
    dialing: Option<Dialing>,
}

type Dialing = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

async fn dial(addr: SocketAddr, number: u64) -> io::Result<TcpStream> {
    let mut socket = TcpStream::connect(addr).await?;
    socket.write_u64(number).await?;
    Ok(socket)
}

impl Naive {
    async fn connect(addr: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            addr,
            socket: dial(addr, 1).await?,
            number: 1,
            dialing: None,
        })
    }

    fn poll_over(
        &mut self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        loop {
            if let Some(dialing) = &mut self.dialing {
                let Poll::Ready(socket) = dialing.as_mut().poll(cx) else {
                    return Poll::Pending;
                };
                (self.socket, self.dialing) = (socket.unwrap(), None);
            }
            match poll(Pin::new(&mut self.socket), cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(moved @ 1..)) => return Poll::Ready(Ok(moved)),
                Poll::Ready(Ok(0) | Err(_)) => {
                    self.number += 1;
                    self.dialing = Some(Box::pin(dial(self.addr, self.number)));
                }
            }
        }
    }
}

impl AsyncRead for Naive {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = self.get_mut().poll_over(cx, |socket, cx| {
            let before = buf.filled().len();
            socket
                .poll_read(cx, buf)
                .map_ok(|()| buf.filled().len() - before)
        });
        read.map_ok(|_| ())
    }
}

impl AsyncWrite for Naive {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut()
            .poll_over(cx, |socket, cx| socket.poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}

/// What the conversation of a cell comes to over this client, whose seams are told if `seam`
/// says so.
async fn outcome(
    plan: Plan,
    seam: Seam,
    options: ServerOptions,
) -> (Result<(), Failure>, Result<u64, Failure>) {
    let server = Server::start(options).await.unwrap();
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    proxy.script([plan]);
    let mut naive = Naive::connect(proxy.addr()).await.unwrap();
    let mut reading = Reading::new(seam);
    let mut writing = Writing::new(seam, Put::Write, 1024);
    let is_enough = |reading: &Reading| reading.checker.run() >= ENOUGH || server.check().is_err();
    let client = talk_whole(&mut naive, &mut reading, &mut writing, is_enough).await;
    drop((naive, proxy));
    (client, server.finish().await)
}

#[tokio::test]
async fn the_checker_detects_a_client_that_hides_a_seam() {
    let in_request = Plan::new().after(50, Direction::ToServer, Fault::Reset);
    let (client, server) = outcome(in_request, Seam::Error, OPTIONS).await;
    let client = client.expect_err("the answers of two connections, and the client was not told");
    assert!(client.contains("a wrong byte"), "{client}");

    // The reader does not mind, the server does.
    let in_request = Plan::new().after(50, Direction::ToServer, Fault::Fin);
    let (client, server_too) = outcome(in_request, Seam::Hidden, OPTIONS).await;
    assert_eq!(client, Ok(()));
    for server in [server, server_too] {
        let torn = server.expect_err("a connection that begins in the middle");
        assert!(torn.contains("torn"), "{torn}");
    }
}

#[tokio::test]
async fn the_checker_accepts_the_same_client_where_seams_are_hidden_or_there_are_none() {
    let hidden = ServerOptions {
        shape: Shape::Part,
        ..OPTIONS
    };
    let in_request = Plan::new().after(50, Direction::ToServer, Fault::Reset);
    for (plan, seam, options) in [
        (in_request, Seam::Hidden, hidden),
        (Plan::new(), Seam::Error, OPTIONS),
    ] {
        let (client, server) = outcome(plan, seam, options).await;
        assert_eq!(client, Ok(()));
        server.unwrap();
    }
}

#[tokio::test]
async fn the_checker_detects_a_seam_that_is_reported_twice() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let mut stream = ReconnectingStream::builder(move || TcpStream::connect(addr))
        .seam(Seam::Error)
        .connect()
        .await
        .unwrap();
    drop(listener.accept().await.unwrap());
    let error = stream.read_u8().await.unwrap_err();
    let lost: &ConnectionLost = error.get_ref().unwrap().downcast_ref().unwrap();
    let mut io = tokio_test::io::Builder::new()
        .read_error(lost.clone().into())
        .read_error(lost.clone().into())
        .read_error(ErrorKind::ConnectionReset.into())
        .build();
    let mut reading = Reading::new(Seam::Error);
    assert!(reading.read(&mut io).await.is_ok());
    let wrong = reading.read(&mut io).await.unwrap_err();
    assert!(wrong.contains("told twice"), "{wrong}");
    let wrong = reading.read(&mut io).await.unwrap_err();
    assert!(wrong.contains("tells of no loss"), "{wrong}");
}

fn pattern(stream: u64, bytes: usize) -> Vec<u8> {
    Place::beginning(stream).bytes().take(bytes).collect()
}

/// As it comes in pieces of every length.
fn check(shape: Shape, bytes: &[u8]) -> Result<Checker, Failure> {
    let mut checked = Err("nothing was checked".to_owned());
    for length in [1, 17, bytes.len()] {
        let mut checker = Checker::new(shape);
        for piece in bytes.chunks(length) {
            checker.push(piece)?;
        }
        checked = Ok(checker);
    }
    checked
}

#[test]
fn the_checker_detects_a_byte_that_is_wrong_missing_twice_or_out_of_place() {
    let right = pattern(3, 500);
    for shape in [Shape::Whole, Shape::Part, Shape::Spliced] {
        assert_eq!(check(shape, &right).unwrap().run(), 500);
        for at in [0, 1, 15, 16, 100, 333] {
            let mut flipped = right.clone();
            flipped[at] ^= 1;
            let mut missing = right.clone();
            missing.remove(at);
            let mut twice = right.clone();
            twice.insert(at, right[at]);
            let mut swapped = right.clone();
            swapped.swap(at, at + 1);
            // From anywhere includes the second byte.
            let is_a_part = shape == Shape::Part && at == 0;
            assert!(check(shape, &flipped).is_err(), "{shape:?} {at}");
            assert!(
                check(shape, &missing).is_err() || is_a_part,
                "{shape:?} {at}"
            );
            // One byte may be all of a connection before: all streams begin with the same one.
            let is_a_fragment = shape == Shape::Spliced && at == 0;
            assert!(
                check(shape, &twice).is_err() || is_a_fragment,
                "{shape:?} {at}"
            );
            assert!(check(shape, &swapped).is_err(), "{shape:?} {at}");
        }
    }
}

#[test]
fn streams_may_be_spliced_where_seams_are_hidden_forwards_only() {
    for cut in (0..100).step_by(7) {
        for fragment in [0, 1, 5, 15] {
            let first = pattern(4, 16 + cut);
            let spliced = [first, pattern(5, fragment), pattern(7, 300)].concat();
            let checker = check(Shape::Spliced, &spliced).unwrap();
            assert_eq!((checker.stream(), checker.run()), (Some(7), 300));
            assert!(check(Shape::Whole, &spliced).is_err());
            assert!(check(Shape::Part, &spliced).is_err());
        }
        let backwards = [pattern(4, 16 + cut), pattern(3, 300)].concat();
        assert!(check(Shape::Spliced, &backwards).is_err());
        let from_the_middle = [pattern(4, 16 + cut), pattern(5, 300)[9..].to_vec()].concat();
        assert!(check(Shape::Spliced, &from_the_middle).is_err());
    }
}

#[test]
fn fragments_may_come_before_the_first_stream_where_seams_are_hidden() {
    for fragment in 1..16 {
        let stream = [pattern(0, fragment), pattern(1, 300)].concat();
        let checker = check(Shape::Spliced, &stream).unwrap();
        assert_eq!((checker.stream(), checker.run()), (Some(1), 300));
        assert!(check(Shape::Whole, &stream).is_err());
        let two = [pattern(0, fragment), pattern(2, fragment), pattern(5, 300)].concat();
        let checker = check(Shape::Spliced, &two).unwrap();
        assert_eq!((checker.stream(), checker.run()), (Some(5), 300));
        let backwards = [pattern(2, 1 + fragment), pattern(1, 300)].concat();
        assert!(check(Shape::Spliced, &backwards).is_err());
    }
}

#[test]
fn any_sixteen_bytes_of_the_pattern_determine_their_offset() {
    for stream in [0, 1, 77, (1 << 24) - 1] {
        for position in (0..300).chain([1 << 20, (1 << 33) + 5]) {
            let place = Place { stream, position };
            let bytes: Vec<_> = place.bytes().take(16).collect();
            assert_eq!(Place::of(&bytes), Some(place));
        }
    }
    assert_eq!(Place::of(&[0; 15]), None);
    assert_eq!(Place::of(&[1; 16]), None);
}
