//! Negative controls: each case of the suite fails for a stream with a flaw.

use crate::broken::{Broken, Flaw};
use crate::suite::cases;

/// For each case a flaw that it finds.
const FOUND: [(Flaw, &str); 19] = [
    (Flaw::LosesAByte, "writes_and_reads_of_all_sizes"),
    (Flaw::IgnoresSlices, "vectored_writes"),
    (
        Flaw::ForgetsWakers,
        "both_directions_in_halves_in_two_tasks",
    ),
    (
        Flaw::EndsBothDirections,
        "copy_bidirectional_passes_half_closes_on",
    ),
    (
        Flaw::EndsBothDirections,
        "one_direction_ends_and_the_other_continues",
    ),
    (
        Flaw::EndsBothDirections,
        "both_directions_end_at_the_same_time",
    ),
    (Flaw::EndsOnce, "an_end_is_read_again_and_again"),
    (
        Flaw::AcceptsAfterTheEnd,
        "a_write_after_a_shutdown_is_an_error",
    ),
    (
        Flaw::FailsTheSecondShutdown,
        "a_shutdown_again_and_a_flush_after_it",
    ),
    (Flaw::NeverFlushes, "a_flush_with_nothing_to_flush"),
    (Flaw::EndsForAnEmptyWrite, "empty_reads_and_writes"),
    (Flaw::DropsWhatADroppedReadHad, "dropped_reads"),
    (
        Flaw::KeepsWhatADroppedWriteHad,
        "dropped_writes_and_flushes",
    ),
    (Flaw::FailsTheSecondShutdown, "dropped_shutdowns"),
    (Flaw::EndsEarly, "a_deadline_around_a_read"),
    (Flaw::KeepsWhatADroppedWriteHad, "a_deadline_around_a_write"),
    (
        Flaw::KeepsTheFirstReader,
        "a_reader_that_comes_with_another_waker",
    ),
    (
        Flaw::KeepsTheFirstWriter,
        "a_writer_that_comes_with_another_waker",
    ),
    (
        Flaw::WakesTheLastTaskOnly,
        "a_reader_and_a_writer_in_two_tasks",
    ),
];

#[tokio::test(start_paused = true)]
async fn every_case_finds_a_flaw() {
    for case in cases() {
        let flaws = FOUND.iter().filter(|(_, name)| *name == case.name);
        let mut found = 0;
        for (flaw, name) in flaws {
            let outcome = case.run(Broken::pair(*flaw)).await;
            assert!(outcome.is_err(), "{name} does not find {flaw:?}");
            found += 1;
        }
        assert_eq!(found, 1, "{}", case.name);
        let control = case.run(Broken::pair(Flaw::None)).await;
        assert!(control.is_ok(), "{}: {control:?}", case.name);
    }
}
