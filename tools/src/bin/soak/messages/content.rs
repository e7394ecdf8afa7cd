//! Messages that tell whether they are whole.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use tokio_util::codec::LengthDelimitedCodec;

use reconnecting_stream_tools::lab::Failure;
use reconnecting_stream_tools::lab::pattern::Place;

const LONGEST: usize = 8 + 300;

/// Fails on a length that no message has: what is torn has many.
pub(super) fn codec() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder()
        .max_frame_length(LONGEST)
        .new_codec()
}

/// Its number, and up to 300 bytes that only this number has.
pub(super) fn message(number: u64) -> Bytes {
    let length = usize::try_from(number * 37 % 300).unwrap_or_default();
    let mut message = BytesMut::with_capacity(length + 8);
    message.put_u64(number);
    message.extend(Place::beginning(number % (1 << 24)).bytes().take(length));
    message.freeze()
}

/// The number of a message, if it is whole and nothing else.
pub(super) fn number(bytes: &[u8]) -> Result<u64, Failure> {
    let mut rest = bytes;
    let number = rest.try_get_u64().map_err(|_| "a message without number")?;
    match message(number) == bytes {
        true => Ok(number),
        false => Err(format!("{number} is torn, {} bytes", bytes.len())),
    }
}
