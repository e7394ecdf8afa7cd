//! A client that matches replies to commands, although a reply does not say which one it is for.
//!
//! Its commands are transient messages: each one is sent on one connection, or not at all, so the
//! client knows that every command of a lost connection has no reply, and that none is sent again
//! behind its back.

use std::collections::VecDeque;
use std::io;

use futures::StreamExt;
use reconnecting_stream::{Connect, ConnectionLost, ReconnectingFramed};
use tokio::net::TcpStream;

use crate::codec::{Command, MemcachedCodec, Reply};
use crate::soon;

pub(crate) struct Client<C: Connect> {
    framed: ReconnectingFramed<C, MemcachedCodec>,
    /// The connection that the next item comes from.
    reading: u64,
    pub(crate) retried: u32,
}

/// A command that waits for its reply.
struct Sent {
    /// Its place among the commands of the caller.
    index: usize,
    /// The connection that it was sent on.
    generation: u64,
}

impl<C: Connect<Io = TcpStream>> Client<C> {
    /// A client of a `framed` with `Seam::Error`, from which nothing was received.
    pub(crate) fn new(framed: ReconnectingFramed<C, MemcachedCodec>) -> Self {
        Self {
            framed,
            reading: 1,
            retried: 0,
        }
    }

    /// Sends the commands without waiting in between, and those of a lost connection again.
    /// Returns their replies. A command may be executed more than once.
    pub(crate) async fn call(&mut self, commands: &[Command]) -> io::Result<Vec<Reply>> {
        let mut replies = vec![None; commands.len()];
        let mut todo: Vec<usize> = (0..commands.len()).collect();
        while !todo.is_empty() {
            let sent = self.send(commands, &todo).await?;
            todo = self.receive(sent, &mut replies).await?;
            self.retried += u32::try_from(todo.len()).unwrap();
        }
        Ok(replies.into_iter().flatten().collect())
    }

    async fn send(&mut self, commands: &[Command], todo: &[usize]) -> io::Result<VecDeque<Sent>> {
        // Without a connection they would be dropped, and no loss would be reported after that.
        soon(self.framed.connected()).await?;
        let mut sent = VecDeque::new();
        for &index in todo {
            let command = commands[index].clone();
            soon(self.framed.feed_transient(command)).await?;
            let generation = self.framed.generation();
            sent.push_back(Sent { index, generation });
        }
        soon(self.framed.flush()).await?;
        Ok(sent)
    }

    /// Receives the replies, and returns the commands that were lost with their connection.
    async fn receive(
        &mut self,
        mut sent: VecDeque<Sent>,
        replies: &mut [Option<Reply>],
    ) -> io::Result<Vec<usize>> {
        let mut lost = Vec::new();
        while let Some(oldest) = sent.front() {
            match soon(self.framed.next()).await.expect("no end") {
                Ok(reply) => {
                    assert_eq!(oldest.generation, self.reading, "a reply to nothing");
                    replies[oldest.index] = Some(reply);
                    sent.pop_front();
                }
                Err(error) => match ConnectionLost::find(&error) {
                    None => return Err(error),
                    Some(seam) => {
                        self.reading = seam.generation + 1;
                        while let Some(oldest) = sent.front() {
                            if oldest.generation >= self.reading {
                                break;
                            }
                            lost.push(oldest.index);
                            sent.pop_front();
                        }
                    }
                },
            }
        }
        Ok(lost)
    }
}
