//! Transports that take everything, and say so or more.

use std::task::Waker;

use tokio::io::{duplex, empty, join};

use super::*;
use crate::SessionOptions;
use crate::session::closing::Closing;
use crate::session::exchange::{Exchanged, exchange};
use crate::session::protocol::{Dialer, MAX_PAYLOAD};
use crate::session::shared::{End, Session};
use crate::session::timer::{RoundTime, now};

/// Says that it has written all of a buffer, and so many bytes more.
struct Boaster {
    more: usize,
    is_vectored: bool,
}

impl AsyncWrite for Boaster {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len() + self.more))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(
            bufs.iter().map(|buf| buf.len()).sum::<usize>() + self.more
        ))
    }

    fn is_write_vectored(&self) -> bool {
        self.is_vectored
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Returns a client's end with so many bytes to send on its connection.
fn dialer_with(bytes: usize) -> Dialer {
    let options = SessionOptions::new().send_buffer(16 << 20);
    let mut dialer = Dialer::new(options.of_session(options.full_share()), Vec::new());
    dialer.core.attach(now(), 1, (0, u64::MAX), &[]).unwrap();
    assert_eq!(dialer.core.write(&vec![0; bytes]), bytes);
    dialer
}

#[test]
fn an_exchange_writes_a_megabyte_and_lets_others_run() {
    let session = Session::new(End::Dialer(dialer_with(8 << 20)), &[]);
    let (reader, _peer) = duplex(1);
    let writer = Boaster {
        more: 0,
        is_vectored: true,
    };
    let mut connection = Connection::new(Box::pin(join(reader, writer)), 1, Vec::new());
    let cx = &mut Context::from_waker(Waker::noop());
    let (now, closing) = (&RoundTime::default(), &mut Closing::default());
    let exchanged = exchange(&mut connection, &session, cx, now, closing, false);
    assert_eq!(exchanged.unwrap(), Exchanged::More);
    let sent = usize::try_from(session.lock().core().send().sent()).unwrap();
    let least = 1 << 20;
    assert!((least..least + 4 * MAX_PAYLOAD).contains(&sent), "{sent}");
}

#[test]
fn a_connection_that_says_it_has_written_more_than_it_was_given_fails() {
    let cx = &mut Context::from_waker(Waker::noop());
    for (bytes, is_vectored) in [1, 10_000, 200_000]
        .map(|n| [(n, true), (n, false)])
        .concat()
    {
        let mut core = dialer_with(bytes).core;
        let transmit = core.poll_transmit().unwrap();
        let first = transmit.slices.concat().len();
        let expected = if is_vectored {
            transmit.all().len()
        } else {
            first
        };
        for more in [0, 1] {
            let mut io: BoxTransport = Box::pin(join(empty(), Boaster { more, is_vectored }));
            let Poll::Ready(written) = poll_write(&mut io, cx, transmit) else {
                panic!("it takes everything");
            };
            let written = written.map_err(|error| error.kind());
            let is_right = match more {
                0 => written == Ok(expected),
                _ => written == Err(io::ErrorKind::Other),
            };
            assert!(is_right, "{bytes} {is_vectored} {more}: {written:?}");
        }
    }
}
