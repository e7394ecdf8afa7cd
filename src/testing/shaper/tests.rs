//! In invented time.

use super::super::fault::Direction;
use super::*;

const MS: Duration = Duration::from_millis(1);
const NOW: Duration = Duration::ZERO;

fn latency(delay: Duration, jitter: Duration) -> Fault {
    Fault::Latency { delay, jitter }
}

fn bandwidth(bytes_per_second: u64) -> Fault {
    Fault::Bandwidth {
        direction: Direction::ToClient,
        bytes_per_second,
    }
}

/// A shaper, and the instant that is its time 0.
fn shaper(seed: u64, faults: &[Fault]) -> (Shaper, Instant) {
    let begun = Instant::now();
    let mut shaper = Shaper::new(seed, begun);
    faults.iter().for_each(|fault| shaper.apply(*fault));
    (shaper, begun)
}

/// Writes everything, each time so late, and returns when and how much.
fn drain(shaper: &mut Shaper, begun: Instant, late: Duration) -> Vec<(Duration, usize)> {
    let (mut now, mut writes) = (begun, Vec::new());
    while let Some((due, Next::Bytes(bytes))) = shaper.next(usize::MAX) {
        let len = bytes.len();
        if due > now {
            now = due + late;
        }
        shaper.relayed(len, now);
        writes.push((now - begun, len));
    }
    writes
}

#[test]
fn the_bandwidth_is_that_of_the_limit() {
    for rate in [3, 1000, 1_000_000, 5_000_000_000] {
        let (mut shaper, begun) = shaper(0, &[bandwidth(rate)]);
        let bytes = usize::try_from(rate * 2).unwrap().min(1 << 24);
        shaper.push(&vec![0; bytes], begun);
        let writes = drain(&mut shaper, begun, Duration::ZERO);
        let expected = bytes as f64 / rate as f64;
        let took = writes.last().unwrap().0.as_secs_f64();
        let burst = BURST.as_secs_f64() + 2.0 / rate as f64;
        assert!(took <= expected, "{rate}: {took} s");
        assert!(took >= expected - 2.0 * burst, "{rate}: {took} s");
    }
}

#[test]
fn timers_that_fire_late_do_not_lower_the_bandwidth() {
    let (mut shaper, begun) = shaper(0, &[bandwidth(100_000)]);
    shaper.push(&[0; 100_000], begun);
    let writes = drain(&mut shaper, begun, MS);
    let took = writes.last().unwrap().0;
    assert!(took <= 1001 * MS, "{took:?}");
}

#[test]
fn time_without_data_gives_no_credit_beyond_a_burst() {
    let (mut shaper, begun) = shaper(0, &[bandwidth(1000)]);
    let later = begun + 3600 * 1000 * MS;
    shaper.push(&[0; 1000], later);
    let writes = drain(&mut shaper, begun, Duration::ZERO);
    assert!(writes.last().unwrap().0 - writes[0].0 >= 970 * MS);
}

#[test]
fn after_an_idle_time_two_bursts_go_out_immediately() {
    let (mut shaper, begun) = shaper(0, &[bandwidth(1000)]);
    let later = begun + 1000 * MS;
    shaper.push(&[0; 100], later);
    let writes = drain(&mut shaper, begun, NOW);
    let first = writes.iter().filter(|write| write.0 == 1000 * MS);
    assert_eq!(first.map(|write| write.1).sum::<usize>(), 20);
}

#[test]
fn bytes_in_flight_do_not_wait_for_each_other() {
    let (mut shaper, begun) = shaper(0, &[latency(100 * MS, NOW)]);
    for ms in 0..3 {
        assert!(shaper.has_room());
        shaper.push(&[0; 10], begun + ms * MS);
    }
    let writes = drain(&mut shaper, begun, NOW);
    assert_eq!(writes, [(100 * MS, 10), (101 * MS, 10), (102 * MS, 10)]);
}

#[test]
fn a_delay_lets_one_read_wait_at_a_time() {
    let (mut shaper, begun) = shaper(0, &[latency(MS, NOW), Fault::Delay(100 * MS)]);
    shaper.push(&[0; 10], begun);
    assert!(!shaper.has_room());
    assert_eq!(drain(&mut shaper, begun, NOW), [(100 * MS, 10)]);
    assert!(shaper.has_room());
}

/// When 500 reads of one instant each are due, a second apart from each other.
fn jittered(seed: u64, jitter: Duration) -> Vec<Duration> {
    let (mut shaper, begun) = shaper(seed, &[latency(100 * MS, jitter)]);
    let pushed = (0..500).map(|second| {
        let now = begun + second * 1000 * MS;
        shaper.push(&[0], now);
        let due = shaper.last_due - now;
        shaper.relayed(1, now);
        due
    });
    pushed.collect()
}

#[test]
fn the_jitter_is_that_of_its_seed_and_around_the_delay() {
    let delays = jittered(7, 30 * MS);
    assert_eq!(delays, jittered(7, 30 * MS));
    assert_ne!(delays, jittered(8, 30 * MS));
    assert!(delays.iter().all(|d| (70 * MS..=130 * MS).contains(d)));
    assert!(delays.iter().any(|d| *d < 80 * MS));
    assert!(delays.iter().any(|d| *d > 120 * MS));
}

#[test]
fn a_jitter_that_exceeds_the_delay_counts_as_the_delay() {
    assert_eq!(jittered(7, 900 * MS), jittered(7, 100 * MS));
}

#[test]
fn jitter_never_reorders() {
    let (mut shaper, begun) = shaper(3, &[latency(100 * MS, 100 * MS)]);
    for number in 0..200 {
        shaper.push(&[number], begun);
    }
    let mut order = Vec::new();
    let mut former = begun;
    while let Some((due, Next::Bytes(bytes))) = shaper.next(usize::MAX) {
        assert!(due >= former);
        order.extend_from_slice(bytes);
        former = due;
        shaper.relayed(1, due);
    }
    assert_eq!(order, (0..200).collect::<Vec<_>>());
}

#[test]
fn what_is_in_flight_is_bounded() {
    for (len, most) in [(16 * 1024, MAX_BYTES), (1, MAX_PACKETS)] {
        let (mut shaper, begun) = shaper(0, &[latency(MS, NOW)]);
        while shaper.has_room() {
            shaper.push(&vec![0; len], begun);
        }
        assert_eq!(shaper.len, most);
        shaper.relayed(len, begun);
        assert!(shaper.has_room());
    }
}

#[test]
fn the_end_is_as_late_as_the_bytes_and_then_slow() {
    let faults = [latency(100 * MS, NOW), Fault::SlowClose(50 * MS)];
    let (mut shaper, begun) = shaper(0, &faults);
    shaper.push(b"x", begun);
    shaper.push(b"", begun + MS);
    assert!(!shaper.has_room());
    assert_eq!(drain(&mut shaper, begun, NOW), [(100 * MS, 1)]);
    assert_eq!(shaper.next(1), Some((begun + 151 * MS, Next::End)));
}

#[test]
fn the_end_is_slow_after_the_last_write_even_if_the_bandwidth_makes_that_late() {
    let faults = [
        latency(10 * MS, NOW),
        bandwidth(1000),
        Fault::SlowClose(50 * MS),
    ];
    let (mut shaper, begun) = shaper(0, &faults);
    shaper.push(&[0; 1000], begun);
    shaper.push(b"", begun);
    let writes = drain(&mut shaper, begun, NOW);
    let last = writes.last().unwrap().0;
    assert!(last >= 900 * MS, "{last:?}");
    assert_eq!(shaper.next(1), Some((begun + last + 50 * MS, Next::End)));
}

#[test]
fn a_slice_is_the_longest_write_and_is_not_empty() {
    for (slice, len) in [(0, 1), (1, 1), (7, 7), (usize::MAX, 100)] {
        let (mut shaper, begun) = shaper(0, &[Fault::Slice(slice)]);
        shaper.push(&[0; 100], begun);
        assert_eq!(
            shaper.next(usize::MAX),
            Some((begun, Next::Bytes(&vec![0; len])))
        );
    }
}

#[test]
fn extreme_values_neither_panic_nor_spin() {
    for time in [NOW, Duration::MAX, Duration::from_secs(u64::MAX / 4)] {
        for rate in [0, 1, u64::MAX] {
            for lateness in [latency(time, time), latency(NOW, time), Fault::Delay(time)] {
                let faults = [lateness, bandwidth(rate), Fault::SlowClose(time)];
                let (mut shaper, begun) = shaper(1, &faults);
                shaper.push(&[0; 40], begun);
                shaper.push(&[], begun);
                let writes = drain(&mut shaper, begun, NOW);
                assert_eq!(writes.iter().map(|write| write.1).sum::<usize>(), 40);
                assert!(writes.len() <= 40);
                assert!(matches!(shaper.next(1), Some((_, Next::End))));
            }
        }
    }
}
