//! Rules that are taken out, and frames that are rewritten on their way for that.

use crate::session::protocol::decoder::{Decoder, Piece};
use crate::session::protocol::frame::{Frame, Head};
use crate::session::protocol::receive::RecvBuffer;

/// A rule that is taken out, to see that it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Without {
    Nothing,
    /// A RESUME of an earlier dial is accepted after one of a later dial.
    Epoch,
    /// DATA is appended wherever it begins, and the connection that was replaced still delivers.
    Offset,
    /// The acceptor forgets a session that is complete.
    Tombstone,
    /// The dialer is gone as soon as its application has finished.
    Linger,
    /// What is not read is not acknowledged.
    Window,
}

/// Acknowledges what the application has read, instead of what has arrived.
pub(super) fn acknowledge_what_is_read(batch: &[u8], recv: &RecvBuffer) -> Vec<u8> {
    let read = recv.read_offset() + u64::from(recv.is_at_end());
    rewrite(batch, |frame| match frame {
        Frame::Ack { received, limit } => Frame::Ack {
            received: received.min(read),
            limit: limit.min(read + (limit - recv.read_offset())),
        },
        other => other,
    })
}

/// Moves DATA to where it is expected.
pub(super) fn append_data(batch: &[u8], recv: &RecvBuffer) -> Vec<u8> {
    let mut offset = recv.received();
    rewrite(batch, |frame| match frame {
        Frame::Data { len, .. } => {
            let data = Frame::Data { offset, len };
            offset += len as u64;
            data
        }
        Frame::Fin { .. } => Frame::Fin { offset },
        other => other,
    })
}

/// Rewrites the frames of a batch, which holds whole ones; a handshake message is left as it is.
fn rewrite(batch: &[u8], mut change: impl FnMut(Frame) -> Frame) -> Vec<u8> {
    if batch.first().is_some_and(|kind| *kind < 0x10) {
        return batch.to_vec();
    }
    let (mut decoder, mut rest, mut out) = (Decoder::default(), batch, Vec::new());
    while let Some(piece) = decoder.next(&mut rest).expect("a whole batch") {
        match piece {
            Piece::Frame(frame) => {
                let mut head = Head::EMPTY;
                change(frame).encode(&mut head);
                out.extend(head.as_slice());
            }
            Piece::Payload(payload) => out.extend(payload),
        }
    }
    out
}
