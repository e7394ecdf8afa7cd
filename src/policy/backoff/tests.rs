//! The delays: their growth, their jitter and their bounds.

use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);

fn delays(backoff: &Backoff, random: f64, n: usize) -> Vec<Duration> {
    backoff.delays(|| random).take(n).collect()
}

#[test]
fn an_exponential_delay_doubles_up_to_the_cap() {
    let backoff = Backoff::exponential(100 * MS).jitter(Jitter::None);
    assert_eq!(
        delays(&backoff, 0.5, 9),
        [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000].map(|n| n * MS)
    );
}

#[test]
fn full_jitter_spreads_from_the_floor_to_the_delay_and_the_first_one_too() {
    let backoff = Backoff::exponential(100 * MS);
    assert_eq!(delays(&backoff, 0.0, 3), [10 * MS; 3]);
    assert_eq!(delays(&backoff, 0.5, 2), [55 * MS, 105 * MS]);
    assert_eq!(delays(&backoff, 1.0, 2), [100 * MS, 200 * MS]);
    let shorter_than_the_floor = Backoff::exponential(4 * MS).factor(1.0);
    assert_eq!(delays(&shorter_than_the_floor, 0.0, 1), [4 * MS]);
}

#[test]
fn equal_jitter_spreads_over_the_upper_half() {
    let backoff = Backoff::exponential(100 * MS).jitter(Jitter::Equal);
    assert_eq!(delays(&backoff, 0.0, 2), [50 * MS, 100 * MS]);
    assert_eq!(delays(&backoff, 1.0, 2), [100 * MS, 200 * MS]);
}

#[test]
fn a_constant_backoff_and_none_repeat_their_delay() {
    assert_eq!(delays(&Backoff::constant(7 * MS), 0.3, 3), [7 * MS; 3]);
    assert_eq!(delays(&Backoff::none(), 0.3, 3), [Duration::ZERO; 3]);
    let none_that_grows = Backoff::none().factor(f64::INFINITY);
    assert_eq!(delays(&none_that_grows, 0.3, 3), [Duration::ZERO; 3]);
}

#[test]
fn a_factory_is_called_for_each_outage_and_its_iterator_ends_the_delays() {
    let backoff = Backoff::from_factory(|| vec![3 * MS, 1 * MS]);
    for _ in 0..2 {
        assert_eq!(delays(&backoff, 0.9, 9), [3 * MS, 1 * MS]);
    }
    assert_eq!(delays(&backoff.max(2 * MS), 0.9, 9), [2 * MS, 1 * MS]);
}

#[test]
fn delays_ask_for_one_random_number_each() {
    for backoff in [
        Backoff::exponential(100 * MS),
        Backoff::constant(MS),
        Backoff::from_factory(|| vec![MS; 9]),
    ] {
        let mut asked = 0;
        let random = || {
            asked += 1;
            0.5
        };
        assert_eq!(backoff.delays(random).take(3).count(), 3);
        assert_eq!(asked, 3);
    }
}

#[test]
fn each_iterator_of_delays_is_independent() {
    let backoff = Backoff::exponential(100 * MS);
    let mut numbers = [0.0, 0.5].into_iter();
    let random = || numbers.next().unwrap();
    let mut one = backoff.delays(random);
    let mut other = backoff.delays(|| 1.0);
    assert_eq!(one.next(), Some(10 * MS));
    assert_eq!(other.next(), Some(100 * MS));
    assert_eq!(one.next(), Some(105 * MS));
    assert_eq!(other.next(), Some(200 * MS));
}

#[test]
fn a_random_number_outside_counts_as_the_nearest_bound() {
    for jitter in [Jitter::None, Jitter::Full, Jitter::Equal] {
        let backoff = Backoff::exponential(100 * MS).jitter(jitter);
        for (outside, bound) in [(-1.0, 0.0), (1.5, 1.0), (f64::INFINITY, 1.0)] {
            assert_eq!(delays(&backoff, outside, 3), delays(&backoff, bound, 3));
        }
    }
}

#[test]
fn the_setters_of_a_backoff_commute() {
    let a = Backoff::exponential(20 * MS)
        .max(50 * MS)
        .factor(3.0)
        .jitter(Jitter::None);
    let b = Backoff::exponential(20 * MS)
        .jitter(Jitter::None)
        .factor(3.0)
        .max(50 * MS);
    assert_eq!(delays(&a, 0.1, 4), delays(&b, 0.1, 4));
}

#[test]
fn a_million_attempts_never_overflow_the_delay() {
    for factor in [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        -3.0,
        0.0,
        1.0,
        2.0,
        f64::MAX,
    ] {
        for jitter in [Jitter::None, Jitter::Full, Jitter::Equal] {
            let backoff = Backoff::exponential(Duration::ZERO)
                .factor(factor)
                .max(Duration::MAX)
                .jitter(jitter);
            let mut schedule = backoff.schedule();
            let mut last = Duration::ZERO;
            for _ in 0..1_000_000 {
                last = schedule.next(&backoff, 1.0).unwrap();
                assert!(!last.is_zero());
            }
            let grows = factor > 1.0;
            assert_eq!(last == Duration::MAX, grows, "{factor} {jitter:?} {last:?}");
        }
    }
}

proptest! {
    #[test]
    fn no_delay_is_ever_above_the_cap_and_zero_only_if_asked(
        initial in any::<Duration>(),
        factor in any::<f64>(),
        max in any::<Duration>(),
        jitter in prop::sample::select(vec![Jitter::None, Jitter::Full, Jitter::Equal]),
        random in prop::collection::vec(any::<f64>(), 1..200),
    ) {
        let backoff =
            Backoff::exponential(initial).factor(factor).max(max).jitter(jitter);
        let mut schedule = backoff.schedule();
        for random in random {
            let delay = schedule.next(&backoff, if random.is_nan() { 0.5 } else { random }).unwrap();
            prop_assert!(delay <= max);
            prop_assert!(!delay.is_zero() || max.as_nanos() <= 1);
        }
    }
}

#[test]
fn backoffs_are_equal_if_their_settings_are() {
    let second = Duration::from_secs(1);
    let backoff = Backoff::exponential(second);
    assert_eq!(backoff, Backoff::exponential(second).factor(2.0));
    assert_eq!(Backoff::none(), Backoff::constant(Duration::ZERO));
    for other in [
        Backoff::exponential(2 * second),
        backoff.clone().factor(3.0),
        backoff.clone().max(second),
        backoff.clone().jitter(Jitter::None),
        Backoff::from_factory(move || [second]),
    ] {
        assert_ne!(other, backoff);
        assert_ne!(backoff, other);
    }
}

#[test]
fn a_backoff_from_a_factory_is_equal_to_its_clones() {
    let factory = || [Duration::ZERO];
    let backoff = Backoff::from_factory(factory);
    assert_eq!(backoff.clone(), backoff);
    assert_ne!(Backoff::from_factory(factory), backoff);
    assert_ne!(backoff.clone().max(Duration::ZERO), backoff);
}
