//! A connector that produces a stream and sink of messages.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};

use futures::SinkExt;
use reconnecting_stream::{
    ConnectionLost, GaveUp, MessageTransport, ReconnectingStream, State, Verdict,
};
use tokio::time::timeout;

use super::support::Task;
use super::*;

#[derive(Debug)]
enum Failed {
    Io(io::Error),
    Gone,
    TooLarge,
    Banned,
    Unknown,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Failed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Gone | Self::TooLarge | Self::Banned | Self::Unknown => None,
        }
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn classify(error: &Failed) -> Verdict {
    match error {
        Failed::TooLarge => Verdict::Surface,
        Failed::Banned => Verdict::Permanent,
        Failed::Gone | Failed::Io(_) => Verdict::Lost,
        Failed::Unknown => panic!("scripted"),
    }
}

/// A strict connection: a message that it was not ready for fails the test.
#[derive(Clone, Default)]
struct Strict(Arc<Mutex<Connection>>);

#[derive(Default)]
struct Connection {
    arriving: VecDeque<Result<String, Failed>>,
    is_ready: bool,
    is_gone: bool,
    sent: Vec<String>,
    closing: Option<Failed>,
    closes: usize,
}

impl Strict {
    fn change(&self, change: impl FnOnce(&mut Connection)) {
        change(&mut self.0.lock().unwrap());
    }

    fn sent(&self) -> Vec<String> {
        self.0.lock().unwrap().sent.clone()
    }
}

impl Stream for Strict {
    type Item = Result<String, Failed>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.0.lock().unwrap();
        if let Some(item) = this.arriving.pop_front() {
            return Poll::Ready(Some(item));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Sink<String> for Strict {
    type Error = Failed;

    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        let mut this = self.0.lock().unwrap();
        if this.is_gone {
            return Poll::Ready(Err(Failed::Gone));
        }
        this.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn start_send(self: Pin<&mut Self>, message: String) -> Result<(), Failed> {
        let mut this = self.0.lock().unwrap();
        assert!(
            std::mem::take(&mut this.is_ready),
            "it was not asked whether it is ready for {message:?}"
        );
        this.sent.push(message);
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        let mut this = self.0.lock().unwrap();
        this.closes += 1;
        Poll::Ready(this.closing.take().map_or(Ok(()), Err))
    }
}

type Connections = Arc<Mutex<Vec<Strict>>>;
type Classify = fn(&Failed) -> Verdict;

fn strict(
    seam: Seam,
) -> (
    Builder<impl Connect<Io = MessageTransport<Strict, Classify>, Future: Send> + Send>,
    Connections,
) {
    let connections = Connections::default();
    let kept = Arc::clone(&connections);
    let connector = move || {
        let connection = Strict::default();
        kept.lock().unwrap().push(connection.clone());
        async move { Ok(MessageTransport::new(connection, classify as Classify)) }
    };
    let builder = ReconnectingStream::builder(connector);
    (builder.policy(policy()).seam(seam), connections)
}

fn nth(connections: &Connections, generation: usize) -> Strict {
    connections.lock().unwrap()[generation - 1].clone()
}

#[tokio::test(start_paused = true)]
async fn a_message_is_never_passed_to_a_connection_that_was_not_asked_whether_it_is_ready() {
    for seam in SEAMS {
        for replaced in [true, false] {
            let (builder, connections) = strict(seam);
            let mut stream = builder.connect().await.unwrap();
            let task = Task::new();
            let ready = task.poll(|cx| stream.poll_ready_unpin(cx));
            assert!(ready.is_ready());
            // The reader meets the loss, and perhaps makes the next connection.
            nth(&connections, 1).change(|first| first.arriving.push_back(Err(Failed::Gone)));
            let _ = timeout(SECOND / 2, stream.next()).await;
            if replaced {
                assert_eq!(stream.connected().await.unwrap(), 2);
            }
            let refused = stream.start_send_unpin("x".to_owned());
            assert!(refused.is_err(), "{seam:?}, replaced: {replaced}");
            // Its sender knows, and sends it again.
            if replaced {
                stream.send("y".to_owned()).await.unwrap();
                assert_eq!(nth(&connections, 2).sent(), ["y"]);
            }
            assert!(nth(&connections, 1).sent().is_empty());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_asked_again_before_each_message() {
    let (builder, connections) = strict(Seam::Hidden);
    let mut stream = builder.connect().await.unwrap();
    for message in ["a", "b", "c"] {
        stream.feed(message.to_owned()).await.unwrap();
    }
    assert_eq!(nth(&connections, 1).sent(), ["a", "b", "c"]);
    // A second message without asking is refused, not handed over.
    assert!(stream.start_send_unpin("d".to_owned()).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_sender_gets_the_loss_before_its_message_goes_to_the_next_connection() {
    for seam in [Seam::Error, Seam::Eof] {
        let (builder, connections) = strict(seam);
        let mut stream = builder.connect().await.unwrap();
        let task = Task::new();
        assert!(task.poll(|cx| stream.poll_ready_unpin(cx)).is_ready());
        nth(&connections, 1).change(|first| first.arriving.push_back(Err(Failed::Gone)));
        let _ = timeout(SECOND / 2, stream.next()).await;
        stream.connected().await.unwrap();
        let told = stream.start_send_unpin("x".to_owned()).unwrap_err();
        assert_eq!(ConnectionLost::find(&told).unwrap().generation, 1);
        stream.send("x".to_owned()).await.unwrap();
        assert_eq!(nth(&connections, 2).sent(), ["x"], "{seam:?}: once");
    }
}

#[tokio::test(start_paused = true)]
async fn the_classification_counts_at_a_close() {
    for seam in SEAMS {
        for (error, is_loss, is_final) in [
            (Failed::TooLarge, false, false),
            (Failed::Gone, true, false),
            (Failed::Banned, false, true),
        ] {
            let (builder, connections) = strict(seam);
            let mut stream = builder.connect().await.unwrap();
            nth(&connections, 1).change(|first| first.closing = Some(error));
            let error = stream.close().await.unwrap_err();
            assert_eq!(ConnectionLost::find(&error).is_some(), is_loss, "{error}");
            assert_eq!(GaveUp::find(&error).is_some(), is_final, "{error}");
            let again = stream.close().await;
            assert_eq!(again.is_err(), is_loss || is_final, "{again:?}");
            assert_eq!(connections.lock().unwrap().len(), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_classification_of_messages_that_panics_loses_the_connection() {
    let (builder, connections) = strict(Seam::Error);
    let mut stream = builder.connect().await.unwrap();
    nth(&connections, 1).change(|first| first.arriving.push_back(Err(Failed::Unknown)));
    assert!(caught(stream.next()).await.is_none());
    assert!(matches!(stream.state(), State::Backoff { .. }));
    let told = stream.next().await.unwrap().unwrap_err();
    assert!(ConnectionLost::find(&told).is_some());
    stream.connected().await.unwrap();
    assert_eq!(connections.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_classification_of_messages_that_panics_at_a_close_leaves_a_close_whose_loss_is_told() {
    let (builder, connections) = strict(Seam::Error);
    let mut stream = builder.connect().await.unwrap();
    nth(&connections, 1).change(|first| first.closing = Some(Failed::Unknown));
    assert!(caught(stream.close()).await.is_none());
    let told = stream.close().await.unwrap_err();
    assert!(ConnectionLost::find(&told).is_some());
    assert_eq!(connections.lock().unwrap().len(), 1);
}
