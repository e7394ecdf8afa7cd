//! An HTTP server that is cruel to its clients.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// How many requests of a connection are answered before its fate.
const PATIENCE: u32 = 25;

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The last request is executed, and reset instead of answered.
    Reset,
    /// The last answer is cut in the middle.
    Cut,
    /// The last answer is whole, and says `Connection: close`.
    Close,
}

impl Fate {
    const ALL: [Self; 3] = [Self::Reset, Self::Cut, Self::Close];
}

/// What the server has done.
#[derive(Debug, Default)]
pub struct Deeds {
    pub executed: AtomicU32,
    pub resets: AtomicU32,
    pub cuts: AtomicU32,
    pub closes: AtomicU32,
}

pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    // For a server that is restarted.
    socket.set_reuseaddr(cfg!(not(windows)))?;
    socket.bind(address)?;
    socket.listen(16)
}

/// Each connection has the next fate, by turns.
pub async fn run(listener: TcpListener, deeds: Arc<Deeds>) -> io::Result<()> {
    for fate in Fate::ALL.into_iter().cycle() {
        let (io, _) = listener.accept().await?;
        let deeds = Arc::clone(&deeds);
        tokio::spawn(async move {
            // A client that is gone comes back, or not: it is up to the client.
            let _ = serve(io, fate, deeds).await;
        });
    }
    Ok(())
}

async fn serve(io: TcpStream, fate: Fate, deeds: Arc<Deeds>) -> hyper::Result<()> {
    if fate == Fate::Reset {
        // Whenever it is closed, it is reset.
        let _ = io.set_zero_linger();
    }
    let patience = AtomicU32::new(PATIENCE);
    let service = service_fn(|request| {
        let is_last = patience.fetch_sub(1, Ordering::Relaxed) == 1;
        let fate = is_last.then_some(fate);
        answer(request, fate, Arc::clone(&deeds))
    });
    http1::Builder::new()
        .serve_connection(TokioIo::new(io), service)
        .await
}

/// The answer that everyone can check.
pub fn answer_to(path: &str, body: &[u8]) -> String {
    let body = String::from_utf8_lossy(body);
    format!(
        "{path} was asked, and {body:?} was sent. {}",
        "blah".repeat(500)
    )
}

async fn answer(
    request: Request<Incoming>,
    fate: Option<Fate>,
    deeds: Arc<Deeds>,
) -> Result<Response<Answer>, io::Error> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await;
    let body = body.map_err(io::Error::other)?.to_bytes();
    deeds.executed.fetch_add(1, Ordering::Relaxed);
    let mut response = Response::new(Answer::whole(answer_to(&path, &body)));
    let deed = match fate {
        None => return Ok(response),
        Some(Fate::Reset) => {
            deeds.resets.fetch_add(1, Ordering::Relaxed);
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Some(Fate::Cut) => {
            response.body_mut().cut();
            &deeds.cuts
        }
        Some(Fate::Close) => {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
            &deeds.closes
        }
    };
    deed.fetch_add(1, Ordering::Relaxed);
    Ok(response)
}

/// The body of an answer: all of it, or its first half and then an error.
struct Answer {
    left: Bytes,
    /// How much is to come.
    size: u64,
    is_cut: bool,
}

impl Answer {
    fn whole(text: String) -> Self {
        Self {
            size: text.len() as u64,
            left: text.into(),
            is_cut: false,
        }
    }

    fn cut(&mut self) {
        self.is_cut = true;
        self.left.truncate(self.left.len() / 2);
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let left = std::mem::take(&mut self.left);
        if !left.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(left))));
        }
        let error = || Err(io::ErrorKind::ConnectionReset.into());
        Poll::Ready(self.is_cut.then(error))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.size)
    }
}
