//! Conversations of a client.

use reconnecting_stream::Seam;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Failure;
use super::client::{Read, Reading, Writing};

/// Checks that each half was told of the last loss, if its seam reports losses to it.
pub fn check_notices(
    seam: Seam,
    lost: u64,
    reading: &Reading,
    writing: &Writing,
) -> Result<(), Failure> {
    let (reader, writer) = (reading.notices.generation, writing.notices.generation);
    let is_told = match seam {
        Seam::Hidden => true,
        Seam::Error => reader >= lost && writer >= lost,
        Seam::Eof => writer >= lost,
    };
    match is_told {
        true => Ok(()),
        false => Err(format!("{lost} was lost, told were {reader} and {writer}")),
    }
}

/// Writes and reads by turns until the reader has got enough.
pub async fn talk_whole(
    io: &mut (impl AsyncRead + AsyncWrite + Unpin),
    reading: &mut Reading,
    writing: &mut Writing,
    mut is_enough: impl FnMut(&Reading) -> bool,
) -> Result<(), Failure> {
    while !is_enough(reading) {
        if writing.write(io).await? && reading.read(io).await? == Read::End {
            return Err("an end where the seams do not look like one".into());
        }
    }
    Ok(())
}

/// The same with a task for each half. The writer waits for the reader after each write.
pub async fn talk_split<S>(
    io: S,
    reading: &mut Reading,
    mut writing: Writing,
    mut is_enough: impl FnMut(&Reading) -> bool,
) -> Result<Writing, Failure>
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (mut reader, mut writer) = tokio::io::split(io);
    let (reads, mut has_read) = watch::channel(());
    // Ended by a drop, should the reader find something wrong.
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        loop {
            let went_through = writing.write(&mut writer).await?;
            if went_through && has_read.changed().await.is_err() {
                return Ok::<_, Failure>(writing);
            }
        }
    });
    while !is_enough(reading) {
        if reading.read(&mut reader).await? == Read::End {
            return Err("an end where the seams do not look like one".into());
        }
        reads.send_replace(());
        if let Some(ended) = tasks.try_join_next() {
            return flatten(ended);
        }
    }
    drop(reads);
    match tasks.join_next().await {
        Some(ended) => flatten(ended),
        None => Err("there is no writer".into()),
    }
}

fn flatten<T>(ended: Result<Result<T, Failure>, tokio::task::JoinError>) -> Result<T, Failure> {
    ended.map_err(|panic| panic.to_string())?
}
