//! The chain of an error and its sources.

use std::error::Error;
use std::io;

#[cfg(feature = "codec")]
use tokio_util::codec::{AnyDelimiterCodecError, LinesCodecError};

/// Returns the first error of this type in the chain of an error.
#[cfg(feature = "session")]
pub(crate) fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    chain(error).find_map(|error| error.downcast_ref())
}

/// Returns the kind of the first [`io::Error`] in the chain of an error, or `Other`.
#[cfg(feature = "codec")]
pub(crate) fn kind_of(error: &(dyn Error + 'static)) -> io::ErrorKind {
    let first = chain(error).find_map(|error| error.downcast_ref());
    first.map_or(io::ErrorKind::Other, io::Error::kind)
}

/// Returns an error and its sources, outermost first.
pub(super) fn chain<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error: &&'a (dyn Error + 'static)| {
        inner(error).or_else(|| error.source())
    })
}

/// Returns the error inside another one whose `source` does not return it: an [`io::Error`] skips
/// the error inside, and some codecs' errors have no source.
fn inner<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return Some(error.get_ref()?);
    }
    #[cfg(feature = "codec")]
    if let Some(LinesCodecError::Io(error)) = error.downcast_ref() {
        return Some(error);
    }
    #[cfg(feature = "codec")]
    if let Some(AnyDelimiterCodecError::Io(error)) = error.downcast_ref() {
        return Some(error);
    }
    None
}
