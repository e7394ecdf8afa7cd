//! Ends, and operations that move no byte.

use std::io::ErrorKind;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::suite::{Outcome, Pair, bytes, ensure, expect, expect_end};

pub(crate) async fn one_direction_ends_and_the_other_continues(mut pair: Pair) -> Outcome {
    const LEN: usize = 30_000;
    let (end, read) = tokio::join!(
        async {
            pair.near.write_all(b"question").await?;
            pair.near.shutdown().await
        },
        async {
            let mut question = Vec::new();
            pair.far.read_to_end(&mut question).await?;
            Ok::<_, std::io::Error>(question)
        }
    );
    end?;
    ensure(read? == b"question", "the question")?;
    (pair.cut)();
    let answer = async {
        pair.far.write_all(&bytes(6, 0, LEN)).await?;
        pair.far.shutdown().await?;
        Ok(())
    };
    let read = async {
        expect(&mut pair.near, 6, 0, LEN).await?;
        expect_end(&mut pair.near).await
    };
    tokio::try_join!(answer, read)?;
    Ok(())
}

pub(crate) async fn both_directions_end_at_the_same_time(mut pair: Pair) -> Outcome {
    for io in [&mut pair.near, &mut pair.far] {
        io.write_all(b"last words").await?;
    }
    (pair.cut)();
    let (near, far) = tokio::join!(pair.near.shutdown(), pair.far.shutdown());
    near.and(far)?;
    for io in [&mut pair.near, &mut pair.far] {
        let mut words = Vec::new();
        io.read_to_end(&mut words).await?;
        ensure(words == b"last words", "what was written before the end")?;
    }
    Ok(())
}

pub(crate) async fn an_end_is_read_again_and_again(mut pair: Pair) -> Outcome {
    tokio::try_join!(pair.near.shutdown(), async {
        for _ in 0..3 {
            let end = pair.far.read(&mut [0; 8]).await?;
            if end > 0 {
                return Err(ErrorKind::InvalidData.into());
            }
            (pair.cut)();
            tokio::task::yield_now().await;
        }
        Ok(())
    })?;
    Ok(())
}

pub(crate) async fn a_write_after_a_shutdown_is_an_error(mut pair: Pair) -> Outcome {
    tokio::try_join!(
        async { pair.near.shutdown().await.map_err(Into::into) },
        expect_end(&mut pair.far)
    )?;
    for _ in 0..2 {
        match pair.near.write(b"too late").await {
            Ok(_) => return Err("a write after a shutdown is accepted".into()),
            Err(error) => ensure(error.kind() == ErrorKind::BrokenPipe, "another error")?,
        }
        (pair.cut)();
    }
    expect_end(&mut pair.far).await?;
    pair.far.write_all(b"on").await?;
    pair.far.flush().await?;
    let mut on = [0; 2];
    pair.near.read_exact(&mut on).await?;
    ensure(&on == b"on", "the other direction")
}

pub(crate) async fn a_shutdown_again_and_a_flush_after_it(mut pair: Pair) -> Outcome {
    pair.near.write_all(b"word").await?;
    tokio::try_join!(
        async {
            pair.near.shutdown().await?;
            (pair.cut)();
            pair.near.shutdown().await?;
            pair.near.flush().await?;
            Ok(())
        },
        async {
            let mut word = Vec::new();
            pair.far.read_to_end(&mut word).await?;
            ensure(word == b"word", "the word")
        }
    )?;
    Ok(())
}

pub(crate) async fn a_flush_with_nothing_to_flush(mut pair: Pair) -> Outcome {
    pair.near.flush().await?;
    pair.near.flush().await?;
    (pair.cut)();
    pair.near.flush().await?;
    pair.near.write_all(b"a").await?;
    pair.near.flush().await?;
    pair.near.flush().await?;
    ensure(pair.far.read_u8().await? == b'a', "the byte")
}

pub(crate) async fn empty_reads_and_writes(mut pair: Pair) -> Outcome {
    ensure(pair.near.write(&[]).await? == 0, "an empty write")?;
    pair.near.write_all(b"ab").await?;
    ensure(pair.near.write(&[]).await? == 0, "an empty write")?;
    pair.near.flush().await?;
    ensure(pair.far.read_u8().await? == b'a', "the first byte")?;
    // There is another byte, so that nothing waits.
    ensure(pair.far.read(&mut []).await? == 0, "an empty read")?;
    (pair.cut)();
    ensure(pair.far.read_u8().await? == b'b', "the second byte")?;
    ensure(pair.near.write(&[]).await? == 0, "an empty write")?;
    pair.near.write_all(b"c").await?;
    pair.near.flush().await?;
    ensure(pair.far.read_u8().await? == b'c', "the third byte")
}
