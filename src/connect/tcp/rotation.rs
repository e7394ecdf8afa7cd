//! The order in which the endpoints are tried.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::endpoint::Endpoint;

/// The endpoints, in the order of the next attempt.
///
/// Another connection is wanted because the one before was lost, or the attempt before has
/// failed: so the endpoint that was used last, or waited for, goes last.
#[derive(Debug)]
pub(super) struct Rotation {
    endpoints: Vec<Endpoint>,
    /// Of the endpoint that the running or latest attempt began with, or has connected to.
    used: Arc<AtomicUsize>,
}

/// There was no attempt yet.
const NONE: usize = usize::MAX;

impl Rotation {
    pub(super) fn new(endpoints: Vec<Endpoint>) -> Self {
        Self {
            endpoints,
            used: Arc::new(AtomicUsize::new(NONE)),
        }
    }

    /// The order of an attempt that begins now.
    pub(super) fn next(&mut self) -> &[Endpoint] {
        // If the attempt is cut off in the middle, it was the first that it waited for.
        let used = self.used.swap(0, Ordering::Relaxed);
        if let Some(later) = self.endpoints.get_mut(used..) {
            later.rotate_left(1.min(later.len()));
        }
        &self.endpoints
    }

    /// To be told which of the endpoints was connected to.
    pub(super) fn used(&self) -> Used {
        Used(Arc::clone(&self.used))
    }
}

/// The running attempt's part of a [`Rotation`].
pub(super) struct Used(Arc<AtomicUsize>);

impl Used {
    pub(super) fn set(&self, index: usize) {
        self.0.store(index, Ordering::Relaxed);
    }
}

impl Clone for Rotation {
    /// Another connector, with a rotation of its own.
    fn clone(&self) -> Self {
        let used = self.used.load(Ordering::Relaxed);
        Self {
            endpoints: self.endpoints.clone(),
            used: Arc::new(AtomicUsize::new(used)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rotation(names: &[&str]) -> Rotation {
        Rotation::new(names.iter().map(|&name| name.into()).collect())
    }

    fn order(rotation: &mut Rotation) -> String {
        rotation.next().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_endpoint_that_was_waited_for_goes_last() {
        let mut rotation = rotation(&["a", "b", "c"]);
        let orders: Vec<_> = (0..4).map(|_| order(&mut rotation)).collect();
        assert_eq!(orders, ["abc", "bca", "cab", "abc"]);
    }

    #[test]
    fn the_endpoint_that_was_connected_to_goes_last() {
        let mut rotation = rotation(&["a", "b", "c"]);
        assert_eq!(order(&mut rotation), "abc");
        rotation.used().set(1);
        assert_eq!(order(&mut rotation), "acb");
        rotation.used().set(2);
        assert_eq!(order(&mut rotation), "acb");
    }

    #[test]
    fn a_clone_has_its_own_rotation() {
        let mut rotation = rotation(&["a", "b"]);
        assert_eq!(order(&mut rotation), "ab");
        let mut other = rotation.clone();
        assert_eq!(order(&mut rotation), "ba");
        assert_eq!(order(&mut other), "ba");
        assert_eq!(order(&mut rotation), "ab");
    }

    #[test]
    fn no_endpoints_have_no_order() {
        assert_eq!(order(&mut rotation(&[])), "");
    }
}
