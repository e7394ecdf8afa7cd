//! Errors that say what the classifier is to say of them, and where they are met.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use reconnecting_stream::{Phase, Verdict};

use super::harness::Rig;
use super::hook::Op;

/// What a read of a connection may fail with, and stay connected.
pub const TRANSIENT_READ: ErrorKind = ErrorKind::PermissionDenied;
pub const TRANSIENT_WRITE: ErrorKind = ErrorKind::OutOfMemory;
/// What an attempt may fail with, and the caller gets.
pub const TRANSIENT_ATTEMPT: ErrorKind = ErrorKind::AddrInUse;

pub const VERDICTS: [Verdict; 3] = [Verdict::Lost, Verdict::Surface, Verdict::Permanent];

/// What a connection or an attempt fails with.
struct Scripted {
    verdict: Verdict,
    phase: Phase,
    rig: Arc<Rig>,
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} in {:?}", self.verdict, self.phase)
    }
}

impl fmt::Display for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Error for Scripted {}

/// Returns the phase in which an error of this operation is met.
pub const fn phase_of(op: Op) -> Phase {
    match op {
        Op::Read => Phase::Read,
        Op::Write => Phase::Write,
        Op::Flush | Op::Shutdown => Phase::Flush,
    }
}

/// Returns an error whose verdict is scripted. Its kind tells whom it is for if it passes.
pub fn error(rig: &Arc<Rig>, verdict: Verdict, phase: Phase) -> io::Error {
    let kind = match (verdict, phase) {
        (Verdict::Surface, Phase::Read) => TRANSIENT_READ,
        (Verdict::Surface, Phase::Connect { .. }) => TRANSIENT_ATTEMPT,
        (Verdict::Surface, _) => TRANSIENT_WRITE,
        (Verdict::Lost | Verdict::Permanent, _) => ErrorKind::Other,
    };
    let rig = Arc::clone(rig);
    let scripted = Scripted {
        verdict,
        phase,
        rig,
    };
    io::Error::new(kind, scripted)
}

/// "the classifier is told where an error was met (`Phase`), whichever half met it."
pub fn classify(error: &io::Error, phase: Phase) -> Verdict {
    let scripted = error.get_ref().and_then(|error| error.downcast_ref());
    let Some(Scripted {
        verdict,
        phase: expected,
        rig,
    }) = scripted
    else {
        return Verdict::of(error, phase);
    };
    let mut harness = rig.harness();
    if phase != *expected {
        harness.fail(format!("phase: {phase:?} instead of {expected:?}"));
    }
    harness.stats.classified += 1;
    harness.is_permanent |= *verdict == Verdict::Permanent;
    harness.shutdown_is_permanent |= harness.is_permanent && harness.is_closing;
    *verdict
}
