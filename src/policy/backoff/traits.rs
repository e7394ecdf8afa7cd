//! Comparison and output of backoffs.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{Backoff, Base};

/// Two backoffs are equal if their settings are. Backoffs from a factory are equal if one is a clone
/// of the other, or both are clones of a third.
impl PartialEq for Backoff {
    fn eq(&self, other: &Self) -> bool {
        let Self { base, max, jitter } = self;
        *base == other.base && *max == other.max && *jitter == other.jitter
    }
}

impl PartialEq for Base {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Exponential { initial, factor },
                Self::Exponential {
                    initial: other_initial,
                    factor: other_factor,
                },
            ) => initial == other_initial && factor == other_factor,
            (Self::Factory(factory), Self::Factory(other)) => Arc::ptr_eq(factory, other),
            (Self::Exponential { .. }, Self::Factory(_))
            | (Self::Factory(_), Self::Exponential { .. }) => false,
        }
    }
}

impl fmt::Debug for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Backoff");
        match &self.base {
            Base::Exponential { initial, factor } => {
                out.field("initial", initial).field("factor", factor)
            }
            Base::Factory(_) => out.field("delays", &"from a factory"),
        };
        let max = Some(self.max).filter(|&max| max != Duration::MAX);
        out.field("max", &max)
            .field("jitter", &self.jitter)
            .finish()
    }
}
