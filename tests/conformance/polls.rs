//! Futures that are dropped, deadlines, and wakers.

use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;

use crate::suite::{Io, Outcome, Pair, bytes, ensure, expect, expect_end};
use crate::task::Task;

/// Time for what is under way, in which nothing else is expected.
const MOMENT: Duration = Duration::from_millis(20);

/// Polls a future once and drops it.
async fn once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

pub(crate) async fn dropped_reads(mut pair: Pair) -> Outcome {
    const LEN: usize = 20_000;
    let writing = tokio::spawn(async move {
        for at in (0..LEN).step_by(500) {
            pair.near.write_all(&bytes(7, at, 500)).await?;
            pair.near.flush().await?;
            tokio::task::yield_now().await;
        }
        Ok::<_, std::io::Error>(pair.near)
    });
    let (mut offset, mut buffer) = (0, [0; 700]);
    while offset < LEN {
        match once(pair.far.read(&mut buffer)).await {
            Some(n) => {
                let n = n?;
                ensure(n > 0, "an early end")?;
                ensure(buffer[..n] == bytes(7, offset, n), "wrong bytes")?;
                let half = LEN / 2;
                if offset < half && offset + n >= half {
                    (pair.cut)();
                }
                offset += n;
            }
            None => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
    writing.await??;
    Ok(())
}

pub(crate) async fn dropped_writes_and_flushes(mut pair: Pair) -> Outcome {
    const LEN: usize = 100_000;
    let write = async {
        let mut offset = 0;
        while offset < LEN {
            // Other bytes, which are not sent unless the write says so.
            match once(pair.near.write(&bytes(8, offset, 700.min(LEN - offset)))).await {
                Some(n) => offset += n?,
                None => tokio::time::sleep(Duration::from_millis(1)).await,
            }
            once(pair.near.flush()).await.transpose()?;
        }
        pair.near.shutdown().await?;
        Ok(())
    };
    let read = async {
        expect(&mut pair.far, 8, 0, LEN / 2).await?;
        (pair.cut)();
        expect(&mut pair.far, 8, LEN / 2, LEN / 2).await?;
        expect_end(&mut pair.far).await
    };
    tokio::try_join!(write, read)?;
    Ok(())
}

pub(crate) async fn dropped_shutdowns(mut pair: Pair) -> Outcome {
    const LEN: usize = 3000;
    pair.near.write_all(&bytes(9, 0, LEN)).await?;
    let end = async {
        for _ in 0..5 {
            once(pair.near.shutdown()).await.transpose()?;
            (pair.cut)();
        }
        pair.near.shutdown().await?;
        Ok(())
    };
    let read = async {
        expect(&mut pair.far, 9, 0, LEN).await?;
        expect_end(&mut pair.far).await
    };
    tokio::try_join!(end, read)?;
    Ok(())
}

pub(crate) async fn a_deadline_around_a_read(mut pair: Pair) -> Outcome {
    let mut buffer = [0; 8];
    for round in 0..3 {
        let read = timeout(MOMENT, pair.far.read(&mut buffer)).await;
        ensure(read.is_err(), "a read without a byte or an end")?;
        (pair.cut)();
        pair.near.write_all(&bytes(10, round * 8, 8)).await?;
        pair.near.flush().await?;
        expect(&mut pair.far, 10, round * 8, 8).await?;
    }
    Ok(())
}

/// Writes until nothing more is accepted. Returns the offset.
async fn fill(io: &mut Box<dyn Io>, seed: u64, mut offset: usize) -> std::io::Result<usize> {
    while let Ok(written) = timeout(MOMENT, io.write(&bytes(seed, offset, 30_000))).await {
        offset += written?;
    }
    Ok(offset)
}

pub(crate) async fn a_deadline_around_a_write(mut pair: Pair) -> Outcome {
    let mut read = 0;
    let mut written = 0;
    for _ in 0..2 {
        written = fill(&mut pair.near, 11, written).await?;
        (pair.cut)();
        expect(&mut pair.far, 11, read, (written - read) / 2).await?;
        read += (written - read) / 2;
    }
    tokio::try_join!(
        async { pair.near.shutdown().await.map_err(Into::into) },
        async {
            expect(&mut pair.far, 11, read, written - read).await?;
            expect_end(&mut pair.far).await
        }
    )?;
    Ok(())
}

fn poll_read(task: &Task, io: &mut Box<dyn Io>) -> Poll<std::io::Result<Vec<u8>>> {
    let mut buffer = [0; 64];
    let mut buffer = ReadBuf::new(&mut buffer);
    let polled = task.poll(|cx| Pin::new(io).poll_read(cx, &mut buffer));
    polled.map_ok(|()| buffer.filled().to_vec())
}

/// Waits until a task is woken. Polls of a socket may wake without a reason.
async fn woken(task: &Task) {
    while !task.is_woken() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Waits for a task to read so many bytes.
async fn read_woken(task: &Task, io: &mut Box<dyn Io>, len: usize) -> std::io::Result<Vec<u8>> {
    let mut read = Vec::new();
    while read.len() < len {
        woken(task).await;
        while let Poll::Ready(bytes) = poll_read(task, io) {
            read.extend(bytes?);
            if read.len() >= len {
                break;
            }
        }
    }
    Ok(read)
}

pub(crate) async fn a_reader_that_comes_with_another_waker(mut pair: Pair) -> Outcome {
    let tasks = [Task::new(), Task::new()];
    for round in 0..3 {
        for task in &tasks {
            ensure(poll_read(task, &mut pair.far).is_pending(), "nothing")?;
        }
        (pair.cut)();
        pair.near.write_all(&bytes(12, round * 40, 40)).await?;
        pair.near.flush().await?;
        let read = read_woken(&tasks[1], &mut pair.far, 40).await?;
        ensure(read == bytes(12, round * 40, 40), "wrong bytes")?;
    }
    Ok(())
}

/// Writes with polls of the task until one is pending. Returns the offset.
async fn fill_as(
    task: &Task,
    io: &mut Box<dyn Io>,
    seed: u64,
    offset: usize,
) -> std::io::Result<usize> {
    let mut offset = fill(io, seed, offset).await?;
    loop {
        let buffer = bytes(seed, offset, 5000);
        match task.poll(|cx| Pin::new(&mut *io).poll_write(cx, &buffer)) {
            Poll::Ready(n) => offset += n?,
            Poll::Pending => return Ok(offset),
        }
    }
}

pub(crate) async fn a_writer_that_comes_with_another_waker(mut pair: Pair) -> Outcome {
    let tasks = [Task::new(), Task::new()];
    let (mut written, mut read) = (0, 0);
    for _ in 0..2 {
        for task in &tasks {
            written = fill_as(task, &mut pair.near, 13, written).await?;
        }
        (pair.cut)();
        expect(&mut pair.far, 13, read, written - read).await?;
        read = written;
        woken(&tasks[1]).await;
    }
    Ok(())
}

/// Wakes the one for a byte and the other one for room, in both orders.
pub(crate) async fn a_reader_and_a_writer_in_two_tasks(mut pair: Pair) -> Outcome {
    let (reader, writer) = (Task::new(), Task::new());
    let (mut written, mut read) = (0, 0);
    for round in 0..4 {
        let is_reader_first = round % 2 == 0;
        if is_reader_first {
            let polled = poll_read(&reader, &mut pair.near);
            ensure(polled.is_pending(), "nothing to read")?;
        }
        written = fill_as(&writer, &mut pair.near, 14, written).await?;
        if !is_reader_first {
            let polled = poll_read(&reader, &mut pair.near);
            ensure(polled.is_pending(), "nothing to read")?;
        }
        (pair.cut)();
        pair.far.write_all(&bytes(15, round * 40, 40)).await?;
        pair.far.flush().await?;
        let answer = read_woken(&reader, &mut pair.near, 40).await?;
        ensure(answer == bytes(15, round * 40, 40), "wrong bytes")?;
        expect(&mut pair.far, 14, read, written - read).await?;
        read = written;
        woken(&writer).await;
    }
    Ok(())
}
