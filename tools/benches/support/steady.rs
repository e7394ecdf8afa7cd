//! What a clock needs that compares copies.

use std::env;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

const TUNABLES: &str = "GLIBC_TUNABLES";

/// Starts this program over with a `memcpy` that does without `rep movsb`.
///
/// On some processors that instruction takes twice as long if source and destination lie at
/// nearly the same place of their pages, which is up to the allocator and to what was measured
/// before: a row was 0.5 or 1.0 by chance. Does nothing with another C library.
pub fn copy_steadily() -> io::Result<()> {
    if env::var_os(TUNABLES).is_some() {
        return Ok(());
    }
    let error = Command::new(env::current_exe()?)
        .args(env::args().skip(1))
        .env(TUNABLES, "glibc.cpu.x86_rep_movsb_threshold=4294967296")
        .exec();
    Err(error)
}
