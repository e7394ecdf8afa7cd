//! From stdin to the server.

use std::future::pending;
use std::io;

use reconnecting_stream::{Handle, Seam, State};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::io::{BufReader, stdin};

use crate::{LONGEST_LINE, is_loss, say};

/// Sends until the end of stdin.
pub(crate) async fn send(
    mut writer: impl AsyncWrite + Unpin,
    seam: Seam,
    handle: &Handle,
) -> io::Result<()> {
    let mut input = BufReader::new(stdin());
    let mut piece = Vec::with_capacity(LONGEST_LINE);
    while next_piece(&mut input, seam, &mut piece).await? > 0 {
        send_piece(&mut writer, seam, &piece).await?;
        piece.clear();
    }
    finish(writer, handle).await
}

/// After the end of stdin the server may still answer, on this connection only.
async fn finish(mut writer: impl AsyncWrite + Unpin, handle: &Handle) -> io::Result<()> {
    loop {
        if let State::Backoff { .. } | State::Connecting { .. } = handle.state() {
            let what = "stdin ended while there was no connection";
            return Err(io::Error::other(what));
        }
        match writer.shutdown().await {
            // A loss of the last connection, or of this one, which the reader reports, too.
            Err(error) if is_loss(&error) => {}
            ended => return ended,
        }
    }
}

/// What a loss must not cut: a line, or nothing in particular.
async fn next_piece(
    input: &mut (impl AsyncBufRead + Unpin),
    seam: Seam,
    piece: &mut Vec<u8>,
) -> io::Result<usize> {
    match seam {
        Seam::Error => {
            let mut line = input.take(LONGEST_LINE as u64);
            line.read_until(b'\n', piece).await
        }
        Seam::Hidden | Seam::Eof => input.read_buf(piece).await,
    }
}

/// Sends all of it on one connection, unless the seam is hidden.
async fn send_piece(
    writer: &mut (impl AsyncWrite + Unpin),
    seam: Seam,
    piece: &[u8],
) -> io::Result<()> {
    let mut sent = 0;
    while sent < piece.len() {
        match writer.write(&piece[sent..]).await {
            Ok(n) => sent += n,
            Err(error) if !is_loss(&error) => return Err(error),
            // The reader gets the end of the stream, and ends the session.
            Err(_) if seam == Seam::Eof => pending().await,
            Err(_) if sent == 0 => {}
            Err(_) => {
                let cut = format!("a line was cut after {sent} bytes, and is sent again");
                say(cut);
                sent = 0;
            }
        }
    }
    Ok(())
}
