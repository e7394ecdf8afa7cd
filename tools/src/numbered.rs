//! Messages that begin with their number, and of which every byte follows from it.

/// Returns the message of this number: up to 600 bytes, one in a hundred 5 KiB.
pub fn message(number: u32) -> Vec<u8> {
    let length = match number % 100 {
        42 => 5 * 1024,
        k => 8 + k as usize * 6,
    };
    let mut message = format!("{number} ").into_bytes();
    let seed = number as usize;
    message.extend((message.len()..length).map(|at| (seed * 31 + at * 7).to_le_bytes()[0]));
    message
}

/// Returns the number of a message; `None` if it is not exactly what was made of that number.
pub fn number(bytes: &[u8]) -> Option<u32> {
    let end = bytes.iter().position(|&byte| byte == b' ')?;
    let number = std::str::from_utf8(&bytes[..end]).ok()?.parse().ok()?;
    (bytes == message(number)).then_some(number)
}
