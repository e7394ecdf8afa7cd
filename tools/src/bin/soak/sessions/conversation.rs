//! One session: what both ends say, and how they end.

use std::io::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use fastrand::Rng;
use reconnecting_stream::{ResumableListener, ResumableStream, SessionLost, SessionLostReason};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::task::JoinSet;

use crate::worker::Counts;
use reconnecting_stream_tools::lab::pattern::Place;

#[derive(Clone, Copy, Debug)]
enum Order {
    /// Both ends talk at the same time and end when they like.
    Both,
    /// The server answers when it has read the end.
    ClientFirst,
    /// The client answers when it has read the end.
    ServerFirst,
    /// The client is dropped without a shutdown.
    Dropped,
}

#[derive(Clone, Copy, Debug)]
enum Halves {
    Owned,
    Shared,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Conversation {
    order: Order,
    halves: Halves,
    /// Of the patterns: this one is the client's, the next one the server's.
    pattern: u64,
    to_server: u64,
    to_client: u64,
    chunk: usize,
}

impl Conversation {
    pub(crate) fn draw(random: &mut Rng) -> Self {
        // All orders of magnitude are equally likely.
        let length = |random: &mut Rng| {
            let magnitude = random.u32(0..=20);
            random.u64(0..=1 << magnitude)
        };
        Self {
            order: match random.u8(0..8) {
                0 => Order::Dropped,
                1..3 => Order::ClientFirst,
                3..5 => Order::ServerFirst,
                _ => Order::Both,
            },
            halves: match random.bool() {
                true => Halves::Owned,
                false => Halves::Shared,
            },
            pattern: random.u64(0..1 << 22) * 2,
            to_server: length(random).max(1),
            to_client: length(random),
            chunk: 1 << random.u32(4..=15),
        }
    }

    /// Runs both ends. Both check every byte, the end, and that there is no other end.
    pub(crate) async fn run(
        self,
        client: ResumableStream,
        listener: &ResumableListener,
        counts: &Arc<Counts>,
        dropped: &mut JoinSet<Result<()>>,
    ) -> Result<()> {
        let server = async {
            let (reader, writer) = listener.accept().await?.into_split();
            let counts = Arc::clone(counts);
            let serving = async move { self.serve(reader, writer, &counts.bytes).await };
            if matches!(self.order, Order::Dropped) {
                dropped.spawn(serving);
                return Ok(());
            }
            serving.await
        };
        let client = async {
            match self.halves {
                _ if matches!(self.order, Order::Dropped) => self.talk_and_drop(client).await,
                Halves::Owned => {
                    let (reader, writer) = client.into_split();
                    self.ask(reader, writer, &counts.bytes).await
                }
                Halves::Shared => {
                    let (reader, writer) = split(client);
                    self.ask(reader, writer, &counts.bytes).await
                }
            }
        };
        tokio::try_join!(server, client)?;
        Ok(())
    }

    /// Drops the client once the server knows the session: one that has not begun is none.
    async fn talk_and_drop(self, mut client: ResumableStream) -> Result<()> {
        let first = Place::beginning(self.pattern)
            .bytes()
            .take(1)
            .collect::<Vec<_>>();
        client.write_all(&first).await?;
        client.acknowledged().await?;
        let rest = Place::beginning(self.pattern).after(1);
        self.write(&mut client, rest, self.to_server).await
    }

    async fn ask(
        self,
        mut reader: impl AsyncRead + Unpin,
        mut writer: impl AsyncWrite + Unpin,
        bytes: &AtomicU64,
    ) -> Result<()> {
        let Self { pattern, .. } = self;
        let read = read(&mut reader, pattern + 1, self.to_client, bytes);
        match self.order {
            Order::ServerFirst => {
                read.await?;
                self.write(&mut writer, Place::beginning(pattern), self.to_server)
                    .await?;
                writer.shutdown().await?;
            }
            Order::Both | Order::ClientFirst | Order::Dropped => {
                let write = async {
                    self.write(&mut writer, Place::beginning(pattern), self.to_server)
                        .await?;
                    writer.shutdown().await
                };
                tokio::try_join!(read, write)?;
            }
        }
        Ok(())
    }

    async fn serve(
        self,
        mut reader: impl AsyncRead + Unpin,
        mut writer: impl AsyncWrite + Unpin,
        bytes: &AtomicU64,
    ) -> Result<()> {
        let other = self.pattern + 1;
        let read = read(&mut reader, self.pattern, self.to_server, bytes);
        match self.order {
            Order::Dropped => return lost(read.await),
            Order::ClientFirst => {
                read.await?;
                self.write(&mut writer, Place::beginning(other), self.to_client)
                    .await?;
                writer.shutdown().await?;
            }
            Order::Both | Order::ServerFirst => {
                let write = async {
                    self.write(&mut writer, Place::beginning(other), self.to_client)
                        .await?;
                    writer.shutdown().await
                };
                tokio::try_join!(read, write)?;
            }
        }
        Ok(())
    }

    async fn write(
        self,
        writer: &mut (impl AsyncWrite + Unpin),
        mut place: Place,
        len: u64,
    ) -> Result<()> {
        while place.position < len {
            let left = usize::try_from(len - place.position).unwrap_or(usize::MAX);
            let chunk: Vec<u8> = place.bytes().take(left.min(self.chunk)).collect();
            writer.write_all(&chunk).await?;
            place = place.after(chunk.len());
            if place.position % 3 == 0 {
                writer.flush().await?;
            }
        }
        Ok(())
    }
}

/// Reads the pattern to its end. An early end is wrong.
async fn read(
    reader: &mut (impl AsyncRead + Unpin),
    pattern: u64,
    len: u64,
    bytes: &AtomicU64,
) -> Result<()> {
    let mut place = Place::beginning(pattern);
    let mut buffer = vec![0; 8192];
    loop {
        let n = reader.read(&mut buffer).await?;
        if n == 0 && place.position == len {
            return Ok(());
        }
        let right = place.matches(&buffer[..n]);
        place = place.after(right);
        if n == 0 || right < n || place.position > len {
            let what = format!("wrong or missing at {}, expected {len}", place.position);
            return Err(Error::new(ErrorKind::InvalidData, what));
        }
        bytes.fetch_add(n as u64, SeqCst);
    }
}

/// A client that was dropped must be an error for its server.
fn lost(read: Result<()>) -> Result<()> {
    let error = match read {
        Ok(()) => return Err(Error::other("a dropped client looked like an end")),
        Err(error) => error,
    };
    match SessionLost::find(&error).map(|lost| lost.reason) {
        // The last one at the end of the soak.
        Some(
            SessionLostReason::PeerReset | SessionLostReason::Expired | SessionLostReason::Closed,
        ) => Ok(()),
        _ => Err(error),
    }
}
