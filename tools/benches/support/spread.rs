//! What repeated runs came to.

use std::fmt;

/// The middle of some values, and how far they lie apart.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

impl Spread {
    /// The median of an odd number of values, from the lowest to the highest.
    pub fn of(values: Vec<f64>) -> Self {
        Self::between(values, 0)
    }

    /// The median of an odd number of values, and the half of them that lies around it.
    pub fn of_half(values: Vec<f64>) -> Self {
        let quarter = values.len() / 4;
        Self::between(values, quarter)
    }

    /// Without so many of the lowest and of the highest.
    fn between(mut values: Vec<f64>, without: usize) -> Self {
        values.sort_by(f64::total_cmp);
        Self {
            median: values[values.len() / 2],
            low: values[without],
            high: values[values.len() - 1 - without],
        }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { median, low, high } = self;
        write!(f, "{median:.3} ({low:.3} to {high:.3})")
    }
}
