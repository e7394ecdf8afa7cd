//! Whole messages that had arrived when a write met the reset: the kernel still has them.

use std::task::{Context, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::*;

/// A message and a reset come in the moment of the first write, which is told of the reset.
struct ResetByWrite {
    arriving: &'static [u8],
    state: State,
}

enum State {
    Silent(Option<Waker>),
    Reset,
    Read,
}

impl AsyncRead for ResetByWrite {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.state {
            State::Silent(waker) => {
                *waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            State::Reset => buf.put_slice(self.arriving),
            State::Read => {}
        }
        self.state = State::Read;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ResetByWrite {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let State::Silent(waker) = &mut self.state {
            waker.take().into_iter().for_each(Waker::wake);
            self.state = State::Reset;
        }
        Poll::Ready(Err(ErrorKind::ConnectionReset.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

type Connector = Box<dyn FnMut() -> std::future::Ready<io::Result<ResetByWrite>> + Send>;

async fn connect() -> ReconnectingFramed<Connector, LinesCodec> {
    let connector: Connector = Box::new(|| {
        std::future::ready(Ok(ResetByWrite {
            arriving: b"whole\nhal",
            state: State::Silent(None),
        }))
    });
    ReconnectingFramed::builder(connector, LinesCodec::new())
        .policy(policy().max_attempts(2))
        .seam(Seam::Error)
        .connect()
        .await
        .unwrap()
}

async fn read_all(framed: &mut ReconnectingFramed<Connector, LinesCodec>) -> Vec<String> {
    let mut items = Vec::new();
    loop {
        match framed.next().await.unwrap() {
            Ok(line) => items.push(line),
            Err(LinesCodecError::Io(error)) if gave_up(&error).is_some() => return items,
            Err(error) => items.push(error.to_string()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn messages_that_arrived_before_a_reset_are_delivered_if_the_sink_meets_it() {
    let mut framed = connect().await;
    framed.send("x").await.unwrap_err();
    let lost = |n| format!("connection {n} was lost: connection reset");
    let expected = ["whole", &lost(1), "whole", &lost(2), "whole"];
    assert_eq!(read_all(&mut framed).await, expected);
}

#[tokio::test(start_paused = true)]
async fn messages_that_arrived_before_a_reset_are_delivered_if_the_reader_meets_it() {
    let mut framed = connect().await;
    framed.feed("x").await.unwrap();
    framed.reconnect();
    let items = read_all(&mut framed).await;
    assert_eq!(
        items.iter().filter(|line| *line == "whole").count(),
        2,
        "{items:?}"
    );
}
