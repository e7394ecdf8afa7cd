//! Policies that are written, and read again.

use super::*;

#[test]
fn every_field_is_written_as_a_person_would() {
    assert_eq!(
        toml::to_string(&Policy::default().max_outage(5400 * SECOND)).unwrap(),
        concat!(
            "attempt_timeout = \"10s\"\n",
            "max_attempts = 100\n",
            "max_outage = \"1h 30m\"\n",
            "stable_after = \"10s\"\n",
            "eof = \"reconnect\"\n",
            "idle_timeout = \"none\"\n",
            "\n",
            "[backoff.exponential]\n",
            "initial = \"100ms\"\n",
            "factor = 2.0\n",
            "max = \"10s\"\n",
            "jitter = \"full\"\n",
        )
    );
    let constant = serde_json::to_string(&Backoff::constant(SECOND)).unwrap();
    assert_eq!(
        constant,
        r#"{"constant":{"delay":"1s","max":"none","jitter":"none"}}"#
    );
}

#[test]
fn a_backoff_from_a_factory_can_not_be_written() {
    let policy = Policy::default().backoff(Backoff::from_factory(|| [SECOND]));
    let errors = [
        toml::to_string(&policy).unwrap_err().to_string(),
        serde_json::to_string(&policy).unwrap_err().to_string(),
    ];
    for error in errors {
        assert!(
            error.contains("a backoff from a factory can't be written"),
            "{error}"
        );
    }
}

fn durations() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::from_nanos(1)),
        Just(Duration::from_micros(999)),
        Just(Duration::MAX - Duration::from_nanos(1)),
        Just(Duration::MAX),
        (0..100_000_u64).prop_map(Duration::from_millis),
        any::<Duration>(),
    ]
}

fn factors() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(f64::INFINITY),
        Just(f64::NAN),
        Just(f64::MAX),
        Just(1.0),
        Just(1.0 + f64::EPSILON),
        1.0..100.0,
        any::<f64>(),
    ]
}

fn jitters() -> impl Strategy<Value = Jitter> {
    prop::sample::select(vec![Jitter::None, Jitter::Full, Jitter::Equal])
}

/// The factor is finite, as it is read back.
fn backoffs() -> impl Strategy<Value = Backoff> {
    let bases = prop_oneof![
        Just(Backoff::none()),
        durations().prop_map(Backoff::constant),
        durations().prop_map(Backoff::exponential),
    ];
    (
        bases,
        prop::option::of(factors()),
        prop::option::of(durations()),
        prop::option::of(jitters()),
    )
        .prop_map(|(mut backoff, factor, max, jitter)| {
            if let Some(factor) = factor {
                backoff = backoff.factor(factor.min(f64::MAX));
            }
            if let Some(max) = max {
                backoff = backoff.max(max);
            }
            if let Some(jitter) = jitter {
                backoff = backoff.jitter(jitter);
            }
            backoff
        })
}

fn policies() -> impl Strategy<Value = Policy> {
    (
        backoffs(),
        durations(),
        any::<Option<u32>>(),
        prop::option::of(durations()),
        durations(),
        any::<bool>(),
        prop::option::of(durations()),
    )
        .prop_map(|(backoff, attempt, attempts, outage, stable, pass, idle)| {
            Policy::default()
                .backoff(backoff)
                .attempt_timeout(attempt)
                .max_attempts(attempts)
                .max_outage(outage)
                .stable_after(stable)
                .eof(if pass { Eof::Pass } else { Eof::Reconnect })
                .idle_timeout(idle)
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_written_is_read_back(policy in policies()) {
        let text = toml::to_string(&policy).unwrap();
        prop_assert_eq!(facts(&read(&text)), facts(&policy), "{}", text);

        let text = serde_json::to_string(&policy).unwrap();
        let back: Policy = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(facts(&back), facts(&policy), "{}", text);
    }
}

#[test]
fn an_infinite_factor_is_written_as_the_largest_number() {
    for base in [Backoff::exponential(SECOND), Backoff::constant(MS / 2)] {
        let policy = Policy::default().backoff(base.clone().factor(f64::INFINITY));
        let largest = Policy::default().backoff(base.factor(f64::MAX));
        let text = toml::to_string(&policy).unwrap();
        assert_eq!(facts(&read(&text)), facts(&largest));
        let text = serde_json::to_string(&policy).unwrap();
        let back: Policy = serde_json::from_str(&text).unwrap();
        assert_eq!(facts(&back), facts(&largest));
    }
}
