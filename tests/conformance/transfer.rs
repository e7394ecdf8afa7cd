//! Bytes in all sizes, in both directions.

use std::io::IoSlice;

use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional, duplex, split,
};

use crate::suite::{Outcome, Pair, bytes, ensure, expect, expect_end};

const SIZES: [usize; 10] = [1, 2, 0, 7, 100, 1000, 65_536, 3, 100_000, 1];

async fn write_all_sizes(mut writer: impl AsyncWrite + Unpin, seed: u64) -> Outcome {
    let mut offset = 0;
    for size in SIZES {
        writer.write_all(&bytes(seed, offset, size)).await?;
        offset += size;
    }
    writer.shutdown().await?;
    Ok(())
}

/// Reads to the end with buffers of all sizes. Calls `middle` in the middle.
async fn read_all_sizes(
    mut reader: impl AsyncRead + Unpin,
    seed: u64,
    middle: impl Fn(),
) -> Outcome {
    let (total, mut offset) = (SIZES.iter().sum(), 0);
    for size in [1, 5, 64, 4096, 100_000].into_iter().cycle() {
        let mut buffer = vec![0; size];
        let n = reader.read(&mut buffer).await?;
        ensure(buffer[..n] == bytes(seed, offset, n), "wrong bytes")?;
        if n == 0 {
            break;
        }
        let half = total / 2;
        if offset < half && offset + n >= half {
            middle();
        }
        offset += n;
    }
    ensure(offset == total, "the end is early or late")
}

pub(crate) async fn writes_and_reads_of_all_sizes(mut pair: Pair) -> Outcome {
    let write = write_all_sizes(&mut pair.near, 1);
    tokio::try_join!(write, read_all_sizes(&mut pair.far, 1, &pair.cut))?;
    Ok(())
}

pub(crate) async fn vectored_writes(mut pair: Pair) -> Outcome {
    let all = bytes(2, 0, 30_000);
    let write = async {
        let mut offset = 0;
        while offset < all.len() {
            let rest = &all[offset..];
            let (one, rest) = rest.split_at(rest.len().min(1));
            let (some, rest) = rest.split_at(rest.len().min(900));
            let (more, _) = rest.split_at(rest.len().min(4000));
            let slices = [one, &[], some, &[], more].map(IoSlice::new);
            let most = one.len() + some.len() + more.len();
            let n = pair.near.write_vectored(&slices).await?;
            ensure(n > 0 && n <= most, "as many as there are")?;
            offset += n;
        }
        pair.near.flush().await?;
        Ok(())
    };
    tokio::try_join!(write, async {
        expect(&mut pair.far, 2, 0, 15_000).await?;
        (pair.cut)();
        expect(&mut pair.far, 2, 15_000, 15_000).await
    })?;
    Ok(())
}

pub(crate) async fn both_directions_in_halves_in_two_tasks(pair: Pair) -> Outcome {
    let (near_reader, near_writer) = split(pair.near);
    let (far_reader, far_writer) = split(pair.far);
    let writers = [
        tokio::spawn(write_all_sizes(near_writer, 3)),
        tokio::spawn(write_all_sizes(far_writer, 4)),
    ];
    let far = tokio::spawn(read_all_sizes(far_reader, 3, || ()));
    read_all_sizes(near_reader, 4, &pair.cut).await?;
    far.await??;
    for writer in writers {
        writer.await??;
    }
    Ok(())
}

/// near <-> far = relay <-> echo.
pub(crate) async fn copy_bidirectional_passes_half_closes_on(mut pair: Pair) -> Outcome {
    const LEN: usize = 50_000;
    let (mut relayed, echo) = duplex(1000);
    let relay = tokio::spawn(async move { copy_bidirectional(&mut pair.far, &mut relayed).await });
    let echo = tokio::spawn(async move {
        let (mut reader, mut writer) = split(echo);
        tokio::io::copy(&mut reader, &mut writer).await?;
        writer.write_all(b"behind the end").await?;
        writer.shutdown().await
    });
    let (mut reader, mut writer) = split(pair.near);
    let write = async {
        writer.write_all(&bytes(5, 0, LEN)).await?;
        writer.shutdown().await?;
        Ok(())
    };
    let read = async {
        expect(&mut reader, 5, 0, LEN / 2).await?;
        (pair.cut)();
        expect(&mut reader, 5, LEN / 2, LEN / 2).await?;
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).await?;
        ensure(rest == b"behind the end", "the answer")?;
        expect_end(&mut reader).await
    };
    tokio::try_join!(write, read)?;
    echo.await??;
    let (up, down) = relay.await??;
    let len = LEN as u64;
    ensure((up, down) == (len, len + 14), "the counts of the relay")
}
