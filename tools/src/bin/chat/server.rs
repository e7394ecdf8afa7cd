//! A plain chat server that resets its clients.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::codec::{Framed, LinesCodec, LinesCodecError};

use crate::Console;
use crate::protocol::{Answer, Message, Request, is_whole};

/// How often each client is reset.
pub(crate) const RESETS: usize = 8;
/// How many messages are read or written on a connection before it is reset.
const MESSAGES_PER_CONNECTION: usize = 100;
/// How long half of a message stays unread or unwritten before the reset.
const RESET_DELAY: Duration = Duration::from_millis(20);
/// How long it takes to show a message.
const SHOW_TIME: Duration = Duration::from_millis(1);
/// The server says `got` once for so many messages.
const GOT_EVERY: usize = 10;
/// Small enough that a client soon has to wait in the middle of a message.
const RECEIVE_BUFFER: u32 = 16 * 1024;

/// The messages of the room, and what was wrong with messages that arrived.
#[derive(Default)]
pub(crate) struct Room {
    messages: Vec<Message>,
    members: BTreeMap<String, Member>,
    pub(crate) torn: usize,
    pub(crate) missing: usize,
    pub(crate) twice: usize,
    /// Resets with half of a message on its way in at least one direction.
    pub(crate) halves: usize,
}

/// What the server remembers of a client from one connection to the next.
#[derive(Clone, Copy, Default)]
struct Member {
    /// The number of the last message that it said.
    said: usize,
    /// How often it was reset.
    resets: usize,
}

impl Room {
    pub(crate) fn shown(&self) -> usize {
        self.messages.len()
    }

    pub(crate) fn resets(&self) -> usize {
        self.members.values().map(|it| it.resets).sum()
    }

    fn member(&mut self, name: &str) -> &mut Member {
        self.members.entry(name.into()).or_default()
    }

    /// Shows a message, unless it is here already. Returns whether it was shown.
    fn show(&mut self, message: Message) -> bool {
        let said = &mut self.members.entry(message.author.clone()).or_default().said;
        if message.number <= *said {
            self.twice += 1;
            return false;
        }
        self.missing += message.number - *said - 1;
        self.torn += usize::from(!is_whole(&message));
        *said = message.number;
        self.messages.push(message);
        true
    }
}

/// How a connection ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// After half of a message was written to it.
    Torn,
    /// While the server does not read.
    Ignored,
    /// When the client closes it.
    Closed,
}

impl Ending {
    fn of(member: &Member) -> Self {
        match member.resets {
            RESETS.. => Self::Closed,
            resets if resets % 2 == 0 => Self::Torn,
            _ => Self::Ignored,
        }
    }
}

pub(crate) fn listen() -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    socket.listen(16)
}

pub(crate) async fn run(
    listener: TcpListener,
    room: watch::Sender<Room>,
    console: Console,
) -> io::Result<()> {
    loop {
        let (io, _) = listener.accept().await?;
        let room = room.clone();
        tokio::spawn(async move {
            // A client that is gone reconnects by itself.
            let _ = receive(io, &room, console).await;
        });
    }
}

/// The first line of a connection is the login.
async fn receive(
    io: TcpStream,
    room: &watch::Sender<Room>,
    console: Console,
) -> Result<(), LinesCodecError> {
    let mut lines = Framed::new(io, LinesCodec::new());
    let Some(login) = lines.next().await else {
        return Ok(());
    };
    let Ok(Request::Login { name, after }) = login?.parse() else {
        room.send_modify(|room| room.torn += 1);
        return Ok(());
    };
    let mut member = Member::default();
    room.send_modify(|room| member = *room.member(&name));
    lines.send(got(member.said)).await?;
    let visit = Visit {
        lines,
        written: after,
        left: MESSAGES_PER_CONNECTION,
        ending: Ending::of(&member),
        room,
        name: &name,
    };
    if let Some(words) = visit.run().await? {
        console.say("server", words);
    }
    Ok(())
}

fn got(number: usize) -> String {
    Answer::Got { number }.to_string()
}

/// One connection of one client.
struct Visit<'a> {
    lines: Framed<TcpStream, LinesCodec>,
    /// The place of the last message that was written to it.
    written: usize,
    /// How many more messages the connection carries before its ending.
    left: usize,
    ending: Ending,
    room: &'a watch::Sender<Room>,
    name: &'a str,
}

impl Visit<'_> {
    /// Runs until the connection ends. Returns a description if it was reset.
    async fn run(mut self) -> Result<Option<String>, LinesCodecError> {
        let mut changes = self.room.subscribe();
        loop {
            changes.mark_unchanged();
            if !self.write_new_messages().await? {
                return Ok(Some(self.tear().await?));
            }
            tokio::select! {
                line = self.lines.next() => match line {
                    Some(line) => self.read(&line?).await?,
                    None => return Ok(None),
                },
                _ = changes.changed() => {}
            }
            if self.ending == Ending::Ignored && self.left == 0 {
                return Ok(Some(self.ignore().await?));
            }
        }
    }

    /// Writes the messages that the client does not have yet. Returns false if the ending comes before
    /// the next one.
    async fn write_new_messages(&mut self) -> Result<bool, LinesCodecError> {
        while let Some(line) = self.next_message() {
            if self.ending == Ending::Torn {
                if self.left == 0 {
                    return Ok(false);
                }
                self.left -= 1;
            }
            self.lines.feed(line).await?;
            self.written += 1;
        }
        SinkExt::<String>::flush(&mut self.lines).await?;
        Ok(true)
    }

    fn next_message(&self) -> Option<String> {
        let room = self.room.borrow();
        let message = room.messages.get(self.written)?;
        let place = self.written + 1;
        let message = message.clone();
        Some(Answer::Message { place, message }.to_string())
    }

    async fn read(&mut self, line: &str) -> Result<(), LinesCodecError> {
        let Ok(Request::Say { number, text }) = line.parse() else {
            self.room.send_modify(|room| room.torn += 1);
            return Ok(());
        };
        let author = self.name.into();
        let message = Message {
            author,
            number,
            text,
        };
        let is_new = self.room.send_if_modified(|room| room.show(message));
        if is_new {
            sleep(SHOW_TIME).await;
            if self.ending == Ending::Ignored {
                self.left -= 1;
            }
        }
        if number % GOT_EVERY == 0 {
            self.lines.send(got(number)).await?;
        }
        Ok(())
    }

    async fn tear(mut self) -> Result<String, LinesCodecError> {
        let line = self.next_message().unwrap_or_default();
        SinkExt::<String>::flush(&mut self.lines).await?;
        let io = self.lines.get_mut();
        io.write_all(&line.as_bytes()[..line.len() / 2]).await?;
        sleep(RESET_DELAY).await;
        self.reset(true)?;
        let (name, place) = (self.name, self.written + 1);
        Ok(format!(
            "writes half of message {place} to {name}, then resets"
        ))
    }

    async fn ignore(self) -> Result<String, LinesCodecError> {
        sleep(RESET_DELAY).await;
        let last = self.lines.read_buffer().last();
        let is_half = last.is_some_and(|byte| *byte != b'\n');
        self.reset(is_half)?;
        let name = self.name;
        let said = self.room.borrow().members[name].said;
        let half = if is_half { " and a half" } else { "" };
        Ok(format!(
            "reads only {said} messages{half} of {name}, then resets"
        ))
    }

    /// The connection is reset, and not closed, when it is dropped.
    fn reset(&self, is_half: bool) -> io::Result<()> {
        self.room.send_modify(|room| {
            room.halves += usize::from(is_half);
            room.member(self.name).resets += 1;
        });
        self.lines.get_ref().set_zero_linger()
    }
}
