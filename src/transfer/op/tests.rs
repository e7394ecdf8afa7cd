//! The tables of operations, tested whole.

use std::sync::Arc;

use super::*;

const OPS: [Op; 5] = [Op::Read, Op::Write, Op::Flush, Op::Receive, Op::Send];

/// What a half gets instead of progress.
#[derive(Debug, PartialEq, Eq)]
enum Gets {
    Nothing,
    End,
    /// The loss of this generation, inside a reset.
    Lost(u64),
    BrokenPipe,
}

fn gets(result: Result<(), NoProgress>) -> Gets {
    match result {
        Ok(()) => Gets::Nothing,
        Err(NoProgress::End) => Gets::End,
        Err(NoProgress::Error(error)) => match ConnectionLost::find(&error) {
            Some(lost) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                Gets::Lost(lost.generation)
            }
            None => {
                assert_eq!(error.kind(), ErrorKind::BrokenPipe);
                Gets::BrokenPipe
            }
        },
        Err(NoProgress::Surfaced(..) | NoProgress::Changed) => unreachable!(),
    }
}

#[test]
fn every_operation_belongs_to_one_half_and_fails_in_one_phase() {
    let table = OPS.map(|op| (op.role(), op.phase()));
    let expected = [
        (Role::Read, Phase::Read),
        (Role::Write, Phase::Write),
        (Role::Write, Phase::Flush),
        (Role::Read, Phase::Read),
        (Role::Write, Phase::Write),
    ];
    assert_eq!(table, expected);
}

#[test]
fn a_half_gets_the_losses_that_were_not_reported_to_it() {
    let table = OPS.map(Op::loss_flag);
    let (read, write) = (READ_LOSS, WRITE_LOSS);
    assert_eq!(table, [read, write, write, read, write]);
}

#[test]
fn an_operation_leaves_the_fast_path_for_each_flag_that_concerns_it() {
    let flags = [
        COMMANDS,
        CHANGED,
        READ_LOSS,
        WRITE_LOSS,
        IDLE,
        SHUTTING_DOWN,
        WRITER_WAITS,
    ];
    let table = OPS.map(|op| flags.map(|flag| op.slow_flags() & flag == flag));
    let expected = [
        [true, false, true, false, true, false, false],
        [true, false, false, true, false, true, false],
        [true, false, false, true, false, true, false],
        [true, true, false, false, true, false, false],
        [true, true, false, false, false, true, true],
    ];
    assert_eq!(table, expected);
    let all = flags.iter().fold(0, |all, flag| all | flag);
    assert!(OPS.iter().all(|op| op.slow_flags() & !all == 0));
}

#[test]
fn a_seam_is_nothing_an_error_or_the_end_for_bytes_and_nothing_for_messages() {
    let lost = ConnectionLost {
        generation: 3,
        cause: Arc::new(ErrorKind::TimedOut.into()),
        dropped_bytes: 0,
    };
    let table = [Seam::Hidden, Seam::Error, Seam::Eof]
        .map(|seam| OPS.map(|op| gets(op.on_seam(seam, lost.clone()))));
    use Gets::{End, Lost, Nothing};
    let expected = [
        [Nothing, Nothing, Nothing, Nothing, Nothing],
        [Lost(3), Lost(3), Lost(3), Nothing, Nothing],
        [End, Lost(3), Lost(3), Nothing, Nothing],
    ];
    assert_eq!(table, expected);
}

#[test]
fn a_closed_stream_has_ended_for_readers_and_is_broken_for_writers() {
    let table = [false, true]
        .map(|is_shutting_down| OPS.map(|op| gets(Err(op.on_closed(is_shutting_down)))));
    use Gets::{BrokenPipe, End};
    let expected = [
        [End, BrokenPipe, BrokenPipe, End, BrokenPipe],
        // After a shutdown a flush has nothing to do.
        [End, BrokenPipe, End, End, BrokenPipe],
    ];
    assert_eq!(table, expected);
}

#[test]
fn no_progress_is_an_error_for_a_writer_and_nothing_for_what_may_move_nothing() {
    let table = |convert: fn(NoProgress) -> Option<ErrorKind>| {
        [
            NoProgress::End,
            NoProgress::Changed,
            NoProgress::Error(ErrorKind::TimedOut.into()),
            NoProgress::Surfaced(Phase::Read, ErrorKind::OutOfMemory.into()),
        ]
        .map(convert)
    };
    let write_errors = table(|no_progress| Some(no_progress.into_write_error().kind()));
    let nothing_moved = table(|no_progress| no_progress.into_empty().err().map(|e| e.kind()));
    let [timed_out, out_of_memory] = [ErrorKind::TimedOut, ErrorKind::OutOfMemory].map(Some);
    let closed = Some(ErrorKind::BrokenPipe);
    assert_eq!(write_errors, [closed, closed, timed_out, out_of_memory]);
    assert_eq!(nothing_moved, [None, None, timed_out, out_of_memory]);
}

#[test]
fn a_link_without_a_connection_says_why() {
    let kind = ErrorKind::NotConnected;
    assert_eq!(Unavailable::Closed.into_error(kind).kind(), kind);
    let surfaced = Unavailable::Surfaced(ErrorKind::PermissionDenied.into());
    assert_eq!(
        surfaced.into_error(kind).kind(),
        ErrorKind::PermissionDenied
    );
    let gave_up = Unavailable::GaveUp(crate::GaveUp {
        attempts: 7,
        outage: std::time::Duration::ZERO,
        last_error: Arc::new(ErrorKind::ConnectionRefused.into()),
    });
    let error = gave_up.into_error(kind);
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(
        crate::GaveUp::find(&error).map(|gave_up| gave_up.attempts),
        Some(7)
    );
}
