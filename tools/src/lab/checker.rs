//! Checks what arrives.

use super::Failure;
use super::pattern::{Place, TELLING};

/// How many bytes of connections that died early may come between two streams that can be
/// recognized.
const FRAGMENTS: usize = 8 * TELLING;
/// So many bytes of the next stream may look like the last one continued.
const COINCIDENCE: usize = 8;

/// What the streams that arrive may look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One stream, from its beginning.
    Whole,
    /// One stream, from anywhere.
    Part,
    /// Streams from their beginnings, each one later than the last, each one cut anywhere.
    Spliced,
}

#[derive(Debug)]
pub struct Checker {
    shape: Shape,
    /// Some that were checked, then those that were not.
    window: Vec<u8>,
    checked: usize,
    began: Option<Place>,
    /// Of the first byte that was not checked.
    next: Option<Place>,
    /// No stream of before may come again.
    least: u64,
    run: u64,
    total: u64,
}

impl Checker {
    pub fn new(shape: Shape) -> Self {
        Self {
            shape,
            window: Vec::new(),
            checked: 0,
            began: None,
            next: None,
            least: 0,
            run: 0,
            total: 0,
        }
    }

    /// How many bytes of the present stream were checked.
    pub fn run(&self) -> u64 {
        self.run
    }

    pub fn total(&self) -> u64 {
        self.total
    }

    /// The stream that arrives, once it can be told.
    pub fn stream(&self) -> Option<u64> {
        self.next.map(|next| next.stream)
    }

    /// Where it began, and where it has come to.
    pub fn extent(&self) -> Option<(Place, Place)> {
        self.began.zip(self.next)
    }

    /// Another stream will follow, and it is known where.
    pub fn cut(&mut self) {
        self.least = self.next.map_or(self.least, |next| next.stream + 1);
        self.window.clear();
        (self.checked, self.began, self.next, self.run) = (0, None, None, 0);
    }

    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.window.extend_from_slice(bytes);
        self.total += bytes.len() as u64;
        loop {
            let Some(next) = self.next else {
                if self.window.len() < TELLING || !self.begin()? {
                    return Ok(());
                }
                continue;
            };
            let matching = next.matches(&self.window[self.checked..]);
            self.checked += matching;
            self.run += matching as u64;
            let next = next.after(matching);
            self.next = Some(next);
            if self.checked == self.window.len() {
                let old = self.checked.saturating_sub(COINCIDENCE);
                self.window.drain(..old);
                self.checked -= old;
                return Ok(());
            }
            match self.splice(next)? {
                Some(begin) => self.cut_at(begin),
                None => return Ok(()),
            }
        }
    }

    /// Returns false if more bytes are needed to tell.
    fn begin(&mut self) -> Result<bool, Failure> {
        let place = match Place::of(&self.window) {
            Some(place) => place,
            None if self.shape != Shape::Spliced => {
                return Err("bytes of no stream at the beginning".to_owned());
            }
            // The first connections may have died within their first bytes.
            None => match self.find_beginning(1, 0, self.least) {
                Some(begin) => {
                    self.cut_at(begin);
                    return Ok(true);
                }
                None if self.window.len() <= FRAGMENTS + TELLING => return Ok(false),
                None => return Err("no stream begins after the first fragments".to_owned()),
            },
        };
        if self.shape != Shape::Part && place.position != 0 {
            return Err(format!("torn: it begins at {place:?}"));
        }
        if place.stream < self.least {
            return Err(format!("{place:?} came again"));
        }
        (self.began, self.next) = (Some(place), Some(place));
        Ok(true)
    }

    /// Where the next stream begins in the window, if there are enough bytes to tell.
    fn splice(&self, next: Place) -> Result<Option<usize>, Failure> {
        if self.shape != Shape::Spliced {
            return Err(format!("a wrong byte at {next:?}"));
        }
        let earliest = self.checked.saturating_sub(COINCIDENCE);
        if let Some(begin) = self.find_beginning(earliest, self.checked, next.stream + 1) {
            return Ok(Some(begin));
        }
        if self.window.len() - self.checked > FRAGMENTS + TELLING {
            return Err(format!(
                "a wrong byte at {next:?}, and no other stream begins"
            ));
        }
        Ok(None)
    }

    /// Returns where a later stream begins, at `earliest` or after it. Between the end of the last
    /// stream, at `checked` or shortly before it, and that place are only beginnings of streams
    /// from `first` on.
    fn find_beginning(&self, earliest: usize, checked: usize, first: u64) -> Option<usize> {
        let last = (checked + FRAGMENTS).min(self.window.len().saturating_sub(TELLING - 1));
        (earliest..last).find(|begin| {
            let later = Place::of(&self.window[*begin..])
                .filter(|place| place.position == 0 && place.stream >= first);
            let Some(later) = later else {
                return false;
            };
            let from = checked.saturating_sub(COINCIDENCE);
            (from..=checked.min(*begin))
                .any(|end| are_fragments(&self.window[end..*begin], first, later.stream))
        })
    }

    fn cut_at(&mut self, begin: usize) {
        self.window.drain(..begin);
        let place = Place::of(&self.window);
        (self.began, self.next) = (place, place);
        (self.checked, self.run) = (0, 0);
    }
}

/// Whether these are beginnings of streams from `first` to `before`, in their order.
fn are_fragments(bytes: &[u8], first: u64, before: u64) -> bool {
    if bytes.is_empty() {
        return true;
    }
    (first..before).any(|stream| {
        let most = Place::beginning(stream).matches(bytes);
        (1..=most).any(|n| are_fragments(&bytes[n..], stream + 1, before))
    })
}
