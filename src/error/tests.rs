//! Unit tests of the errors.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "codec")]
use tokio_util::codec::{AnyDelimiterCodecError, LinesCodecError};

#[cfg(feature = "codec")]
use super::kind_of;
use super::{ConnectionLost, GaveUp, Permanent};

#[derive(Debug)]
struct OfACodec(io::Error);

impl fmt::Display for OfACodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("of a codec")
    }
}

impl Error for OfACodec {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

#[test]
fn a_loss_is_found_inside_of_the_errors_of_other_crates() {
    let lost = ConnectionLost {
        generation: 3,
        cause: Arc::new(refused()),
        dropped_bytes: 0,
    };
    let direct = io::Error::from(lost);
    assert_eq!(ConnectionLost::find(&direct).unwrap().generation, 3);
    let wrapped = io::Error::other(OfACodec(direct));
    assert_eq!(ConnectionLost::find(&wrapped).unwrap().generation, 3);
    assert!(GaveUp::find(&wrapped).is_none());
    assert!(ConnectionLost::find(&refused()).is_none());
    assert!(ConnectionLost::find(&OfACodec(io::Error::other("no"))).is_none());
}

#[test]
fn of_the_losses_of_two_nested_streams_the_outer_one_is_found() {
    let lost = |cause: io::Error| {
        io::Error::from(ConnectionLost {
            generation: 3,
            cause: Arc::new(cause),
            dropped_bytes: 0,
        })
    };
    let gave_up = |last_error: io::Error| {
        io::Error::from(GaveUp {
            attempts: 7,
            outage: Duration::ZERO,
            last_error: Arc::new(last_error),
        })
    };
    let over = gave_up(lost(refused()));
    assert!(GaveUp::find(&over).is_some() && ConnectionLost::find(&over).is_none());
    let goes_on = lost(gave_up(refused()));
    assert!(ConnectionLost::find(&goes_on).is_some() && GaveUp::find(&goes_on).is_none());
}

#[test]
#[cfg(feature = "codec")]
fn a_loss_is_found_inside_of_errors_of_codecs_that_have_no_source() {
    let lost = || ConnectionLost {
        generation: 3,
        cause: Arc::new(refused()),
        dropped_bytes: 0,
    };
    let lines = LinesCodecError::Io(lost().into());
    assert_eq!(ConnectionLost::find(&lines).unwrap().generation, 3);
    assert_eq!(kind_of(&lines), io::ErrorKind::ConnectionReset);
    let wrapped = io::Error::other(AnyDelimiterCodecError::Io(lost().into()));
    assert_eq!(ConnectionLost::find(&wrapped).unwrap().generation, 3);
    assert!(GaveUp::find(&wrapped).is_none());
    let long = LinesCodecError::MaxLineLengthExceeded;
    assert!(ConnectionLost::find(&long).is_none());
}

fn refused() -> io::Error {
    io::ErrorKind::ConnectionRefused.into()
}

#[test]
fn a_lost_connection_is_a_reset_and_names_its_cause() {
    let error = io::Error::from(ConnectionLost {
        generation: 3,
        cause: Arc::new(io::ErrorKind::UnexpectedEof.into()),
        dropped_bytes: 0,
    });
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(
        error.to_string(),
        "connection 3 was lost: unexpected end of file"
    );
    let lost = error.get_ref().unwrap();
    let cause = lost.source().unwrap().downcast_ref::<io::Error>().unwrap();
    assert_eq!(cause.kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn giving_up_keeps_the_kind_of_the_last_error() {
    let error = io::Error::from(GaveUp {
        attempts: 7,
        outage: Duration::from_millis(1500),
        last_error: Arc::new(refused()),
    });
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!(
        error.to_string(),
        "gave up after 7 attempts in 1.5s: connection refused"
    );
    let once = GaveUp {
        attempts: 1,
        outage: Duration::from_millis(2),
        last_error: Arc::new(refused()),
    };
    let text = "gave up after 1 attempt in 2.0ms: connection refused";
    assert_eq!(once.to_string(), text);
    assert!(error.get_ref().unwrap().source().is_some());
}

#[test]
fn the_permanent_mark_keeps_the_kind_and_is_found() {
    let error = io::Error::from(Permanent::new(refused()));
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    assert!(Permanent::is_marked(&error));
    assert!(!Permanent::is_marked(&refused()));
    assert_eq!(
        io::Error::from(Permanent::new("no")).kind(),
        io::ErrorKind::Other
    );
}
