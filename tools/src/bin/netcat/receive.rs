//! From the server to stdout.

use std::io;

use reconnecting_stream::{Handle, Seam, State};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, Stdout, stdout};

use crate::{LONGEST_LINE, is_loss, say};

/// Receives until the end of the stream.
pub(crate) async fn receive(
    mut reader: impl AsyncRead + Unpin,
    mut output: Output,
    handle: &Handle,
) -> io::Result<()> {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        match reader.read(&mut bytes).await {
            Ok(0) => return output.finish().await,
            Ok(n) => output.write(&bytes[..n]).await?,
            // The same error without a seam: it was lost after the end of stdin, for good.
            Err(error) if handle.state() == State::Closed => return Err(error),
            Err(error) if is_loss(&error) => output.cut(),
            Err(error) => return Err(error),
        }
    }
}

/// Stdout, in whole lines or as it comes.
pub(crate) struct Output {
    stdout: Stdout,
    seam: Seam,
    /// The beginning of a line, whose end has not come yet.
    pending: Vec<u8>,
}

impl Output {
    pub(crate) fn new(seam: Seam) -> Self {
        Self {
            stdout: stdout(),
            seam,
            pending: Vec::new(),
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.pending.extend(bytes);
        let due = self.due();
        self.stdout.write_all(&self.pending[..due]).await?;
        self.pending.drain(..due);
        self.stdout.flush().await
    }

    /// Returns how many of the pending bytes can be written.
    fn due(&self) -> usize {
        let last = self.pending.iter().rposition(|byte| *byte == b'\n');
        let lines = last.map_or(0, |last| last + 1);
        let rest = self.pending.len() - lines;
        match self.seam {
            Seam::Error if rest < LONGEST_LINE => lines,
            Seam::Error | Seam::Hidden | Seam::Eof => self.pending.len(),
        }
    }

    /// Drops a line whose end was lost with its connection.
    fn cut(&mut self) {
        if !self.pending.is_empty() {
            let n = self.pending.len();
            self.pending.clear();
            say(format_args!(
                "a line of output was cut, {n} bytes of it dropped"
            ));
        }
    }

    async fn finish(mut self) -> io::Result<()> {
        self.stdout.write_all(&self.pending).await?;
        self.stdout.flush().await
    }
}
