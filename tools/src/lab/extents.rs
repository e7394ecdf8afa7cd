//! What came over which connection.

use std::collections::BTreeMap;
use std::fmt::Debug;

use super::Failure;

/// How many connections are remembered, since they may end in another order than they began.
const REMEMBERED: usize = 64;

/// The first place of each connection, and the one after its last.
#[derive(Debug)]
pub struct Extents<T>(BTreeMap<u64, (T, T)>);

impl<T> Default for Extents<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: Copy + Debug + Ord> Extents<T> {
    /// A connection begins where those before it have ended, or later.
    pub fn note(&mut self, connection: u64, begin: T, end: T) -> Result<(), Failure> {
        let before = self.0.range(..connection).next_back();
        if let Some((other, (_, last))) = before.filter(|(_, (_, last))| *last > begin) {
            return Err(format!(
                "{connection} begins at {begin:?}, {other} ends at {last:?}"
            ));
        }
        let after = self.0.range(connection + 1..).next();
        if let Some((other, (first, _))) = after.filter(|(_, (first, _))| *first < end) {
            return Err(format!(
                "{connection} ends at {end:?}, {other} begins at {first:?}"
            ));
        }
        self.0.insert(connection, (begin, end));
        if self.0.len() > REMEMBERED {
            self.0.pop_first();
        }
        Ok(())
    }
}
