//! A transport of tarpc's client that outlives its connections.

mod window;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use futures::{Sink, Stream};
use reconnecting_stream::{Connect, Policy, ReconnectingFramed, Resend};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tarpc::{ClientMessage, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_serde::formats::Json;
use tokio_util::codec::LengthDelimitedCodec;

use window::Window;

/// Messages in JSON, each behind its length, over one connection after another.
pub type Messages<C, Req, Resp> = tokio_serde::Framed<
    ReconnectingFramed<C, LengthDelimitedCodec>,
    Response<Resp>,
    ClientMessage<Req>,
    Json<Response<Resp>, ClientMessage<Req>>,
>;

/// A transport that sends each request until it is answered, on as many connections as it takes.
///
/// A request may be executed twice, so every method of the service has to be idempotent. The client
/// gets one reply to each. A server needs nothing but tarpc.
///
/// The replies of tarpc come in any order, and a request that is canceled or too late gets none. So
/// a reply confirms the request that it names, and not the oldest one.
pub struct Transport<C: Connect, Req, Resp> {
    messages: Messages<C, Req, Resp>,
    window: Window,
    /// The last `poll_ready` has found no room.
    is_full: bool,
}

impl<C, Req, Resp> Transport<C, Req, Resp>
where
    C: Connect<Io: AsyncRead + AsyncWrite + Unpin>,
{
    /// Makes a transport that connects when it is used. At most `max_bytes` of requests wait for
    /// their replies.
    pub fn lazy(connector: C, policy: Policy, max_bytes: usize) -> Self {
        let messages = ReconnectingFramed::builder(connector, LengthDelimitedCodec::new())
            .policy(policy)
            .resend(Resend::Unconfirmed { max_bytes })
            .lazy();
        Self {
            messages: tokio_serde::Framed::new(messages, Json::default()),
            window: Window::default(),
            is_full: false,
        }
    }

    /// Confirms the oldest messages that need no reply any more. A message that is not written yet
    /// can't be confirmed: it stays in the window, and its turn comes later.
    fn confirm(&mut self) {
        let done = self.window.done(Instant::now());
        if done > 0 {
            let messages = self.messages.get_mut();
            let before = messages.unconfirmed();
            messages.confirm(done);
            self.window.remove(before - messages.unconfirmed());
        }
    }
}

impl<C, Req, Resp> Stream for Transport<C, Req, Resp>
where
    C: Connect<Io: AsyncRead + AsyncWrite + Unpin>,
    Resp: DeserializeOwned,
    Messages<C, Req, Resp>: Unpin,
{
    type Item = io::Result<Response<Resp>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            self.confirm();
            match ready!(Pin::new(&mut self.messages).poll_next(cx)) {
                Some(Ok(reply)) => {
                    if self.window.answer(reply.request_id) {
                        self.confirm();
                        return Poll::Ready(Some(Ok(reply)));
                    }
                    // The second reply to a request that was sent twice.
                }
                end => return Poll::Ready(end),
            }
        }
    }
}

impl<C, Req, Resp> Sink<ClientMessage<Req>> for Transport<C, Req, Resp>
where
    C: Connect<Io: AsyncRead + AsyncWrite + Unpin>,
    Req: Serialize,
    Messages<C, Req, Resp>: Unpin,
{
    type Error = io::Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.confirm();
        let ready = Pin::new(&mut self.messages).poll_ready(cx);
        self.is_full = ready.is_pending();
        ready
    }

    fn start_send(mut self: Pin<&mut Self>, message: ClientMessage<Req>) -> io::Result<()> {
        let sent = Window::entry(&message);
        Pin::new(&mut self.messages).start_send(message)?;
        self.window.push(sent);
        Ok(())
    }

    /// Flushes, and waits for room if `poll_ready` has found none: tarpc calls the two in turn
    /// until one of them waits, and a flush alone would never wait for a confirmation.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.messages).poll_flush(cx))?;
        if self.is_full {
            ready!(self.poll_ready(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.messages).poll_close(cx)
    }
}
