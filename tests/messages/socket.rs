//! A scripted connection of messages, and the errors of its protocol.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use futures::{Sink, Stream};
use reconnecting_stream::Verdict;

/// The errors of a protocol that is not `io`.
#[derive(Debug)]
pub(crate) enum WsError {
    Io(io::Error),
    /// The peer has broken off.
    Gone,
    /// This message can't be sent or read; the next one can.
    TooLarge,
    Banned,
}

impl fmt::Display for WsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for WsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Gone | Self::TooLarge | Self::Banned => None,
        }
    }
}

impl From<io::Error> for WsError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

pub(crate) fn classify(error: &WsError) -> Verdict {
    match error {
        WsError::TooLarge => Verdict::Surface,
        WsError::Banned => Verdict::Permanent,
        WsError::Io(_) | WsError::Gone => Verdict::Lost,
    }
}

/// A scripted WebSocket: what arrives, and what was sent.
#[derive(Clone, Default)]
pub(crate) struct Socket(pub(crate) Arc<Mutex<State>>);

#[derive(Default)]
pub(crate) struct State {
    pub(crate) arriving: VecDeque<Option<Result<String, WsError>>>,
    pub(crate) refuses: Option<WsError>,
    pub(crate) sent: Vec<String>,
    pub(crate) flushes: usize,
    pub(crate) is_closed: bool,
    pub(crate) refuses_to_close: Option<WsError>,
    pub(crate) reader: Option<Waker>,
}

impl Socket {
    pub(crate) fn arrive(&self, item: Option<Result<&str, WsError>>) {
        let mut state = self.0.lock().unwrap();
        state
            .arriving
            .push_back(item.map(|item| item.map(String::from)));
        if let Some(waker) = state.reader.take() {
            waker.wake();
        }
    }

    pub(crate) fn refuse(&self, error: WsError) {
        self.0.lock().unwrap().refuses = Some(error);
    }

    pub(crate) fn sent(&self) -> Vec<String> {
        self.0.lock().unwrap().sent.clone()
    }
}

impl Stream for Socket {
    type Item = Result<String, WsError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut state = self.0.lock().unwrap();
        if let Some(item) = state.arriving.pop_front() {
            return Poll::Ready(item);
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Sink<String> for Socket {
    type Error = WsError;

    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), WsError>> {
        Poll::Ready(Ok(()))
    }

    fn start_send(self: Pin<&mut Self>, message: String) -> Result<(), WsError> {
        let mut state = self.0.lock().unwrap();
        match state.refuses.take() {
            Some(error) => Err(error),
            None => {
                state.sent.push(message);
                Ok(())
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), WsError>> {
        self.0.lock().unwrap().flushes += 1;
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), WsError>> {
        let mut state = self.0.lock().unwrap();
        state.is_closed = true;
        Poll::Ready(state.refuses_to_close.take().map_or(Ok(()), Err))
    }
}
