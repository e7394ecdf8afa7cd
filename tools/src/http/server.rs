//! An HTTP server that resets and closes its connections.

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

/// How many requests of a connection are answered before it ends.
const REQUESTS_PER_CONNECTION: u32 = 25;

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The last request is executed, and reset instead of answered.
    Reset,
    /// The last answer is cut in the middle.
    Cut,
    /// The last answer is whole, and says `Connection: close`.
    Close,
}

impl Ending {
    const ALL: [Self; 3] = [Self::Reset, Self::Cut, Self::Close];
}

/// What the server has done.
#[derive(Debug, Default)]
pub struct Stats {
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

/// Serves connections. They end in the ways of [`Ending`], in turn.
pub async fn run(listener: TcpListener, stats: Arc<Stats>) -> io::Result<()> {
    for ending in Ending::ALL.into_iter().cycle() {
        let (io, _) = listener.accept().await?;
        let stats = Arc::clone(&stats);
        tokio::spawn(async move {
            // A client that is gone reconnects by itself.
            let _ = serve(io, ending, stats).await;
        });
    }
    Ok(())
}

async fn serve(io: TcpStream, ending: Ending, stats: Arc<Stats>) -> hyper::Result<()> {
    if ending == Ending::Reset {
        // A close becomes a reset.
        let _ = io.set_zero_linger();
    }
    let left = AtomicU32::new(REQUESTS_PER_CONNECTION);
    let service = service_fn(|request| {
        let is_last = left.fetch_sub(1, Ordering::Relaxed) == 1;
        let ending = is_last.then_some(ending);
        answer(request, ending, Arc::clone(&stats))
    });
    http1::Builder::new()
        .serve_connection(TokioIo::new(io), service)
        .await
}

/// Returns the answer to a request, which both sides can compute.
pub fn answer_to(path: &str, body: &[u8]) -> String {
    let body = String::from_utf8_lossy(body);
    format!(
        "{path} was asked, and {body:?} was sent. {}",
        "word".repeat(500)
    )
}

async fn answer(
    request: Request<Incoming>,
    ending: Option<Ending>,
    stats: Arc<Stats>,
) -> Result<Response<Answer>, io::Error> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await;
    let body = body.map_err(io::Error::other)?.to_bytes();
    stats.executed.fetch_add(1, Ordering::Relaxed);
    let mut response = Response::new(Answer::whole(answer_to(&path, &body)));
    let counter = match ending {
        None => return Ok(response),
        Some(Ending::Reset) => {
            stats.resets.fetch_add(1, Ordering::Relaxed);
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Some(Ending::Cut) => {
            response.body_mut().cut();
            &stats.cuts
        }
        Some(Ending::Close) => {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
            &stats.closes
        }
    };
    counter.fetch_add(1, Ordering::Relaxed);
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
