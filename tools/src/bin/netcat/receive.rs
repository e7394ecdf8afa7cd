//! From the server to stdout.

use std::io;

use reconnecting_stream::{Handle, Seam, State};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, Stdout, stdout};

use crate::{LONGEST_LINE, is_loss, say};

/// Until the end of the stream.
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
    held: Vec<u8>,
}

impl Output {
    pub(crate) fn new(seam: Seam) -> Self {
        Self {
            stdout: stdout(),
            seam,
            held: Vec::new(),
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.held.extend(bytes);
        let due = self.due();
        self.stdout.write_all(&self.held[..due]).await?;
        self.held.drain(..due);
        self.stdout.flush().await
    }

    /// How much of it need not be held.
    fn due(&self) -> usize {
        let last = self.held.iter().rposition(|byte| *byte == b'\n');
        let lines = last.map_or(0, |last| last + 1);
        let rest = self.held.len() - lines;
        match self.seam {
            Seam::Error if rest < LONGEST_LINE => lines,
            Seam::Error | Seam::Hidden | Seam::Eof => self.held.len(),
        }
    }

    /// The line that was coming will not go on.
    fn cut(&mut self) {
        if !self.held.is_empty() {
            let n = self.held.len();
            self.held.clear();
            say(format_args!(
                "a line of output was cut, {n} bytes of it dropped"
            ));
        }
    }

    async fn finish(mut self) -> io::Result<()> {
        self.stdout.write_all(&self.held).await?;
        self.stdout.flush().await
    }
}
