//! Bytes that tell where they belong.

/// So many bytes tell their place.
pub const TELLING: usize = 16;

const WORD: usize = 8;
const INDEX_BITS: u32 = 40;
/// Odd, so that the product can be undone; with bits all over.
const FACTORS: [u64; 2] = [0x9E37_79B9_7F4A_7C15, 0xD6E8_FEB8_6659_FD93];

/// The place of a byte: in which stream, and after how many others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Below 2^24.
    pub stream: u64,
    pub position: u64,
}

impl Place {
    pub const fn beginning(stream: u64) -> Self {
        Self {
            stream,
            position: 0,
        }
    }

    pub const fn after(self, bytes: usize) -> Self {
        Self {
            stream: self.stream,
            position: self.position + bytes as u64,
        }
    }

    /// The bytes from here on.
    pub fn bytes(self) -> impl Iterator<Item = u8> {
        let first = self.position / WORD as u64;
        // Less than a word.
        let skipped = self.position % WORD as u64;
        (first..)
            .flat_map(move |index| word(self.stream, index).to_le_bytes())
            .skip(usize::try_from(skipped).unwrap_or_default())
    }

    /// How many of these are the bytes from here on.
    pub fn matches(self, bytes: &[u8]) -> usize {
        self.bytes()
            .zip(bytes)
            .take_while(|(expected, byte)| expected == *byte)
            .count()
    }

    /// Where these bytes belong, at least [`TELLING`] of them.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let telling = bytes.get(..TELLING)?;
        (0..WORD).find_map(|skipped| {
            let word = telling.get(skipped..skipped + WORD)?.try_into().ok()?;
            let (stream, index) = unword(u64::from_le_bytes(word));
            let position = (index * WORD as u64).checked_sub(skipped as u64)?;
            let place = Self { stream, position };
            (place.matches(telling) == TELLING).then_some(place)
        })
    }
}

fn word(stream: u64, index: u64) -> u64 {
    let mut word = ((stream << INDEX_BITS) | index).wrapping_mul(FACTORS[0]);
    word ^= word >> 32;
    word.wrapping_mul(FACTORS[1])
}

fn unword(word: u64) -> (u64, u64) {
    let mut word = word.wrapping_mul(const { inverse(FACTORS[1]) });
    word ^= word >> 32;
    word = word.wrapping_mul(const { inverse(FACTORS[0]) });
    (word >> INDEX_BITS, word & ((1 << INDEX_BITS) - 1))
}

/// By Newton: each turn doubles the number of right bits, and the first three are.
const fn inverse(odd: u64) -> u64 {
    let mut inverse = odd;
    let mut turn = 0;
    while turn < 5 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse)));
        turn += 1;
    }
    inverse
}
