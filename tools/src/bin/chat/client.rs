//! A member of the chat: one task that sends, one that receives.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::{Sink, SinkExt, Stream, StreamExt};
use reconnecting_stream::{Backoff, ConfirmHandle, Connect, ConnectionLost, Event};
use reconnecting_stream::{Policy, ReconnectingFramed, Resend, Seam, State};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio_util::codec::{Framed, LinesCodec, LinesCodecError};

use crate::protocol::{Answer, Message, Request, Torn, is_whole, text};
use crate::{Console, Failure, MESSAGES};

/// How many bytes are kept until the server has got them. Then the client waits.
const KEPT: usize = 128 * 1024;
/// Small enough that a connection soon takes half of a message only.
const SEND_BUFFER: u32 = 16 * 1024;
/// How many messages are shown on the console.
const SHOWN: usize = 3;

/// What a client has done and seen.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) sent: usize,
    pub(crate) received: usize,
    pub(crate) torn: usize,
    pub(crate) missing: usize,
    pub(crate) twice: usize,
    pub(crate) connections: usize,
}

/// What the login and the observer share with the receiving task.
#[derive(Default)]
struct Notes {
    /// The place of the last message that was read.
    read: AtomicUsize,
    connections: AtomicUsize,
}

/// Sends all messages of this member, and receives all messages of the room.
pub(crate) async fn chat(
    name: &'static str,
    address: SocketAddr,
    console: Console,
) -> Result<Report, Failure> {
    let notes = Arc::new(Notes::default());
    let lines = connect(name, address, console, Arc::clone(&notes)).await?;
    let (done, is_done) = oneshot::channel();
    let listener = Listener {
        name,
        console,
        notes: Arc::clone(&notes),
        confirmations: lines.confirm_handle(),
        confirmed: 0,
        report: Report::default(),
        _done: done,
    };
    let states = lines.handle().subscribe();
    let (sink, stream) = lines.split();
    let (sent, report) = tokio::try_join!(
        on_a_task(talk(name, sink, states, is_done)),
        on_a_task(listener.listen(stream)),
    )?;
    Ok(Report {
        sent,
        connections: notes.connections.load(Ordering::Relaxed),
        ..report
    })
}

/// Connects. The server gets each line at least once.
async fn connect(
    name: &'static str,
    address: SocketAddr,
    console: Console,
    notes: Arc<Notes>,
) -> io::Result<ReconnectingFramed<impl Connect<Io = TcpStream, Future: Send> + Send, LinesCodec>> {
    let (events, logins) = (Arc::clone(&notes), notes);
    ReconnectingFramed::builder(move || dial(address), LinesCodec::new())
        .policy(policy())
        .resend(Resend::Unconfirmed { max_bytes: KEPT })
        .seam(Seam::Error)
        .on_event(move |event| {
            if let Event::Connected { .. } = event {
                events.connections.fetch_add(1, Ordering::Relaxed);
            }
            if let Some(words) = words(event) {
                console.say(name, words);
            }
        })
        .on_connect(move |lines| {
            let after = logins.read.load(Ordering::Relaxed);
            log_in(lines, name, after)
        })
        .connect()
        .await
}

async fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.connect(address).await
}

/// Returns the default policy with shorter times.
fn policy() -> Policy {
    Policy::default()
        .backoff(Backoff::exponential(Duration::from_millis(20)).max(Duration::from_millis(200)))
        .stable_after(Duration::from_millis(20))
}

/// Logs in on a new connection, before any message.
async fn log_in(
    mut lines: Framed<TcpStream, LinesCodec>,
    name: &str,
    after: usize,
) -> io::Result<Framed<TcpStream, LinesCodec>> {
    let name = name.into();
    let login = Request::Login { name, after };
    let sent = lines.send(login.to_string()).await;
    sent.map_err(io::Error::other)?;
    Ok(lines)
}

async fn on_a_task<T: Send + 'static>(
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    tokio::spawn(work).await?
}

/// Sends all messages and returns how many. The sink reports no loss.
async fn talk(
    name: &str,
    mut sink: impl Sink<String, Error = LinesCodecError> + Unpin,
    mut states: watch::Receiver<State>,
    mut is_done: oneshot::Receiver<()>,
) -> Result<usize, Failure> {
    for number in 1..=MESSAGES {
        let text = text(name, number);
        sink.feed(Request::Say { number, text }.to_string()).await?;
    }
    // Unconfirmed messages are sent again when the sink is used, so use it after each loss.
    loop {
        sink.flush().await?;
        tokio::select! {
            _ = &mut is_done => break,
            changed = states.changed() => changed?,
        }
    }
    sink.close().await?;
    Ok(MESSAGES)
}

/// Receives the lines of the server.
struct Listener {
    name: &'static str,
    console: Console,
    notes: Arc<Notes>,
    confirmations: ConfirmHandle,
    /// The number of the last message that the server has got.
    confirmed: usize,
    report: Report,
    /// Tells the talker when it is dropped.
    _done: oneshot::Sender<()>,
}

impl Listener {
    /// Receives until the server has confirmed all messages and has sent all of the room.
    async fn listen(
        mut self,
        mut lines: impl Stream<Item = Result<String, LinesCodecError>> + Unpin,
    ) -> Result<Report, Failure> {
        while self.confirmed < MESSAGES || self.read() < 2 * MESSAGES {
            match lines.next().await {
                Some(Ok(line)) => self.handle_line(&line),
                // The next line comes from the next connection.
                Some(Err(error)) if ConnectionLost::find(&error).is_some() => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Err("the stream has ended".into()),
            }
        }
        Ok(self.report)
    }

    fn read(&self) -> usize {
        self.notes.read.load(Ordering::Relaxed)
    }

    fn handle_line(&mut self, line: &str) {
        match line.parse() {
            Ok(Answer::Got { number }) => {
                let newly = number.saturating_sub(self.confirmed);
                self.confirmed += newly;
                self.confirmations.confirm(newly);
            }
            Ok(Answer::Message { place, message }) => self.handle_message(place, &message),
            Err(Torn) => self.report.torn += 1,
        }
    }

    fn handle_message(&mut self, place: usize, message: &Message) {
        let expected = self.read() + 1;
        if place < expected {
            self.report.twice += 1;
            return;
        }
        self.notes.read.store(place, Ordering::Relaxed);
        self.report.received += 1;
        self.report.missing += place - expected;
        self.report.torn += usize::from(!is_whole(message));
        if place <= SHOWN {
            let (author, text) = (&message.author, &message.text);
            let words = format!("reads message {place}, by {author}: {text:.21}...");
            self.console.say(self.name, words);
        }
    }
}

/// Describes an event; `None` for one that is not shown.
fn words(event: &Event) -> Option<String> {
    match event {
        Event::Lost { generation, .. } => Some(format!("has lost connection {generation}")),
        Event::Connected { generation, .. } => Some(format!("is on connection {generation}")),
        Event::AttemptFailed { error, .. } => Some(format!("could not connect: {error}")),
        _ => None,
    }
}
