//! HTTP/1.1 requests over a stream that reconnects: one hyper connection for each connection.

use std::error::Error;
use std::io;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use reconnecting_stream::{Connect, ConnectionLost, ReconnectingStream, State};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};

pub type Failure = Box<dyn Error + Send + Sync>;

/// Sends requests, from any task.
#[derive(Clone)]
pub struct Client(mpsc::Sender<Job>);

/// Sends the requests of the clients, one at a time.
pub struct Worker<C: Connect> {
    /// With `Seam::Error`: hyper has to know of every seam, since a request that went with its
    /// connection will never be answered on another one.
    stream: ReconnectingStream<C>,
    jobs: mpsc::Receiver<Job>,
    pub work: Work,
}

/// What a worker has done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Work {
    pub answered: u32,
    /// Sent again, since their answers were lost.
    pub repeated: u32,
    /// Kept by hyper when its connection ended, and sent on the next one.
    pub kept: u32,
    pub failed: u32,
}

struct Job {
    request: Request<Full<Bytes>>,
    answer: oneshot::Sender<Result<Response<Bytes>, Failure>>,
}

impl Client {
    /// Returns the answer, on as many connections as it takes.
    ///
    /// If it is lost, a request whose method is not idempotent (POST) fails: only its sender
    /// knows whether it may be executed twice.
    pub async fn ask(&self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, Failure> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Job { request, answer }).await?;
        answered.await?
    }
}

/// A client, and the worker that has to run for it. The stream has to have `Seam::Error`.
pub fn client<C: Connect>(stream: ReconnectingStream<C>) -> (Client, Worker<C>) {
    let (asks, jobs) = mpsc::channel(16);
    let work = Work::default();
    (Client(asks), Worker { stream, jobs, work })
}

impl<C> Worker<C>
where
    C: Connect<Io: AsyncRead + AsyncWrite + Unpin>,
{
    /// Until the last client is gone, or the stream gives up.
    pub async fn run(mut self) -> io::Result<Work> {
        let mut asked = None;
        loop {
            // Servers close idle connections, so connect only for a request.
            let job = match asked.take() {
                Some(job) => job,
                None => match self.jobs.recv().await {
                    Some(job) => job,
                    None => break,
                },
            };
            // Without this the half that has not reported the loss yet would report it to the next
            // hyper connection.
            if let Err(error) = self.stream.resync().await {
                let _ = job.answer.send(Err(error.to_string().into()));
                return Err(error);
            }
            let io = TokioIo::new(&mut self.stream);
            let (sender, connection) = http1::handshake(io).await.map_err(io::Error::other)?;
            // To await the connection itself would shut the stream down when the server says
            // `Connection: close`, and a stream that was shut down does not reconnect.
            let connection = connection.without_shutdown();
            let asking = ask_all(sender, job, &mut self.jobs, &mut self.work);
            tokio::pin!(asking);
            asked = tokio::select! {
                biased;
                asked = &mut asking => asked,
                // The rest of the answer is there already, or there is none. Without a request
                // it waits for one, and only then sees that it needs a new connection.
                _ = connection => asking.await,
            };
            // Of no use to hyper any more, though perhaps alive: the server said `close`.
            if matches!(self.stream.state(), State::Connected { .. }) {
                self.stream.reconnect();
            }
        }
        self.stream.shutdown().await.or_else(past_a_seam)?;
        Ok(self.work)
    }
}

fn past_a_seam(error: io::Error) -> io::Result<()> {
    match ConnectionLost::find(&error) {
        Some(_) => Ok(()),
        None => Err(error),
    }
}

/// Puts one request after another to a connection, until it is of no more use. Returns the one
/// that has to be put to the next connection.
async fn ask_all(
    mut sender: SendRequest<Full<Bytes>>,
    mut job: Job,
    jobs: &mut mpsc::Receiver<Job>,
    work: &mut Work,
) -> Option<Job> {
    loop {
        match exchange(&mut sender, job.request.clone()).await {
            Ok(response) => {
                work.answered += 1;
                let _ = job.answer.send(Ok(response));
            }
            Err(Unanswered::Unsent) => {
                work.kept += 1;
                return Some(job);
            }
            Err(Unanswered::Lost(error)) => {
                // It is unknown whether the server has executed it.
                let may_be_repeated = job.request.method().is_idempotent();
                if may_be_repeated && !error.is_parse() && !error.is_user() {
                    work.repeated += 1;
                    return Some(job);
                }
                work.failed += 1;
                let _ = job.answer.send(Err(error.into()));
                return None;
            }
        }
        job = jobs.recv().await?;
    }
}

/// Why there is no answer.
enum Unanswered {
    /// No byte of the request was sent.
    Unsent,
    Lost(hyper::Error),
}

impl From<hyper::Error> for Unanswered {
    fn from(error: hyper::Error) -> Self {
        Self::Lost(error)
    }
}

async fn exchange(
    sender: &mut SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> Result<Response<Bytes>, Unanswered> {
    if sender.ready().await.is_err() {
        return Err(Unanswered::Unsent);
    }
    let response = match sender.try_send_request(request).await {
        Ok(response) => response,
        Err(mut error) => {
            return Err(match error.take_message() {
                Some(_) => Unanswered::Unsent,
                None => error.into_error().into(),
            });
        }
    };
    let (head, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Response::from_parts(head, body))
}
