//! A policy in a configuration file.

use std::time::Duration;

use proptest::prelude::*;
use reconnecting_stream::{Backoff, Eof, Jitter, Policy};
use serde::{Deserialize, Serialize};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// Everything of a policy but its code, exactly: no setting is rounded by `Debug`.
fn facts(policy: &Policy) -> String {
    let all = format!("{policy:?}");
    let (facts, _) = all.split_once(", classify").unwrap();
    facts.to_owned()
}

fn read(text: &str) -> Policy {
    toml::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn assert_reads(text: &str, policy: &Policy) {
    assert_eq!(facts(&read(text)), facts(policy), "{text}");
}

/// What is wrong with a text.
fn refusal(text: &str) -> String {
    match toml::from_str::<Policy>(text) {
        Ok(policy) => panic!("{text} was read as {policy:?}"),
        Err(error) => error.to_string(),
    }
}

fn refusal_in_json(text: &str) -> String {
    match serde_json::from_str::<Policy>(text) {
        Ok(policy) => panic!("{text} was read as {policy:?}"),
        Err(error) => error.to_string(),
    }
}

mod reading {
    use super::*;

    #[test]
    fn every_field_is_read() {
        assert_reads(
            r#"
            attempt_timeout = "3s"
            max_attempts = 7
            max_outage = "1h 30m"
            stable_after = "2500ms"
            eof = "pass"
            idle_timeout = "1m 30s"

            [backoff.exponential]
            initial = "200ms"
            factor = 1.5
            max = "30s"
            jitter = "equal"
            "#,
            &Policy::default()
                .attempt_timeout(3 * SECOND)
                .max_attempts(7)
                .max_outage(5400 * SECOND)
                .stable_after(2500 * MS)
                .eof(Eof::Pass)
                .idle_timeout(90 * SECOND)
                .backoff(
                    Backoff::exponential(200 * MS)
                        .factor(1.5)
                        .max(30 * SECOND)
                        .jitter(Jitter::Equal),
                ),
        );
    }

    #[test]
    fn a_missing_field_is_its_default() {
        assert_reads("", &Policy::default());
        assert_reads("[backoff.exponential]", &Policy::default());
        for line in [
            "attempt_timeout = '10s'",
            "max_attempts = 100",
            "max_outage = 'none'",
            "stable_after = '10s'",
            "eof = 'reconnect'",
            "idle_timeout = 'none'",
            "backoff.exponential.initial = '100ms'",
            "backoff.exponential.factor = 2",
            "backoff.exponential.max = '10s'",
            "backoff.exponential.jitter = 'full'",
        ] {
            assert_reads(line, &Policy::default());
        }
    }

    #[test]
    fn a_policy_is_a_part_of_a_services_own_file() {
        #[derive(Deserialize)]
        struct Service {
            name: String,
            #[serde(default)]
            upstream: Policy,
        }
        let with: Service = toml::from_str("name = 'x'\n[upstream]\nmax_attempts = 3").unwrap();
        assert_eq!(
            facts(&with.upstream),
            facts(&Policy::default().max_attempts(3))
        );
        let without: Service = toml::from_str("name = 'x'").unwrap();
        assert_eq!(facts(&without.upstream), facts(&Policy::default()));
        assert_eq!(without.name, "x");
    }

    #[test]
    fn none_is_no_limit() {
        let set = Policy::default()
            .max_attempts(None)
            .max_outage(None)
            .idle_timeout(None);
        assert_reads(
            "max_attempts = 'none'\nmax_outage = 'none'\nidle_timeout = 'none'",
            &set,
        );
        let null: Policy = serde_json::from_str(
            r#"{"max_attempts": null, "max_outage": null, "idle_timeout": null}"#,
        )
        .unwrap();
        assert_eq!(facts(&null), facts(&set));
    }

    #[test]
    fn a_backoff_may_be_none_or_constant() {
        let with = |backoff| Policy::default().backoff(backoff);
        assert_reads("backoff = 'none'", &with(Backoff::none()));
        assert_reads(
            "backoff.constant.delay = '1s'",
            &with(Backoff::constant(SECOND)),
        );
        assert_reads(
            "[backoff.constant]\ndelay = '1s'\nfactor = 2\nmax = '4s'\njitter = 'full'",
            &with(
                Backoff::constant(SECOND)
                    .factor(2.0)
                    .max(4 * SECOND)
                    .jitter(Jitter::Full),
            ),
        );
        assert_reads(
            "backoff.exponential.max = 'none'",
            &with(Backoff::exponential(100 * MS).max(Duration::MAX)),
        );
    }

    #[test]
    fn what_the_setters_clamp_is_clamped() {
        let clamped = Policy::default().backoff(Backoff::exponential(MS).factor(1.0));
        for factor in ["nan", "-inf", "-3.0", "0"] {
            let text = format!("[backoff.exponential]\ninitial = '0s'\nfactor = {factor}");
            assert_reads(&text, &clamped);
        }
        assert_reads(
            "backoff.exponential.factor = inf",
            &Policy::default().backoff(Backoff::exponential(100 * MS).factor(f64::INFINITY)),
        );
        assert_reads(
            "attempt_timeout = '0s'\nidle_timeout = '0s'\nmax_attempts = 0",
            &Policy::default()
                .attempt_timeout(Duration::ZERO)
                .idle_timeout(Duration::ZERO)
                .max_attempts(0),
        );
    }

    #[test]
    fn the_parts_can_be_read_alone() {
        #[derive(Deserialize, Serialize)]
        struct Parts {
            backoff: Backoff,
            eof: Eof,
            jitter: Jitter,
        }
        let text = "backoff = \"none\"\neof = \"pass\"\njitter = \"equal\"\n";
        let parts: Parts = toml::from_str(text).unwrap();
        assert_eq!(
            format!("{:?}", parts.backoff),
            format!("{:?}", Backoff::none())
        );
        assert_eq!((parts.eof, parts.jitter), (Eof::Pass, Jitter::Equal));
        assert_eq!(toml::to_string(&parts).unwrap(), text);
    }
}

mod refusing {
    use super::*;

    #[test]
    fn unknown_fields_are_refused_and_named() {
        for (text, name) in [
            ("max_attemps = 3", "max_attemps"),
            ("classify = 'none'", "classify"),
            ("backoff.exponential.delay = '1s'", "delay"),
            (
                "[backoff.constant]\ndelay = '1s'\ninitial = '1s'",
                "initial",
            ),
        ] {
            let refusal = refusal(text);
            assert!(
                refusal.contains(&format!("unknown field `{name}`")),
                "{refusal}"
            );
        }
        for (text, name) in [
            ("backoff.linear.step = '1s'", "linear"),
            ("backoff = 'Exponential'", "Exponential"),
            ("eof = 'ignore'", "ignore"),
            ("backoff.exponential.jitter = 'some'", "some"),
        ] {
            let refusal = refusal(text);
            assert!(
                refusal.contains(&format!("unknown variant `{name}`")),
                "{refusal}"
            );
        }
    }

    #[test]
    fn a_constant_needs_its_delay() {
        let refusal = refusal("backoff.constant.jitter = 'full'");
        assert!(refusal.contains("missing field `delay`"), "{refusal}");
    }

    #[test]
    fn a_number_is_no_duration() {
        for field in [
            "attempt_timeout",
            "max_outage",
            "stable_after",
            "idle_timeout",
            "backoff.exponential.initial",
            "backoff.exponential.max",
            "backoff.constant.delay",
        ] {
            for (number, reason) in [
                ("5", "expected a duration such as"),
                ("-5", "expected a duration such as"),
                ("'5'", "\"5\" is not a duration: time unit needed"),
                ("'-5s'", "\"-5s\" is not a duration: expected number"),
                ("''", "\"\" is not a duration: value was empty"),
                ("'None'", "\"None\" is not a duration"),
                ("'584942417356years'", "number is too large"),
                ("'18446744073709551615s 1000ms'", "number is too large"),
            ] {
                let refusal = refusal(&format!("{field} = {number}"));
                assert!(refusal.contains(reason), "{refusal}");
                let name = field.rsplit('.').next().unwrap();
                assert!(refusal.contains(name), "the line is shown: {refusal}");
            }
        }
    }

    #[test]
    fn values_of_other_types_are_refused() {
        for (text, reason) in [
            ("max_attempts = -1", "expected u32, or \"none\""),
            ("max_attempts = 4294967296", "expected u32, or \"none\""),
            ("max_attempts = 'many'", "expected u32, or \"none\""),
            ("max_attempts = 1.5", "expected a limit, or \"none\""),
            ("max_attempts = true", "expected a limit, or \"none\""),
            ("max_outage = ['1s']", "expected a limit, or \"none\""),
            ("stable_after = 'none'", "\"none\" is not a duration"),
            ("backoff.exponential.factor = '2'", "expected f64"),
            ("backoff = 3", "wanted string or table"),
        ] {
            let refusal = refusal(text);
            assert!(refusal.contains(reason), "{refusal}");
        }
        for (text, reason) in [
            (r#"{"stable_after": null}"#, "expected a duration such as"),
            (
                r#"{"backoff": {"exponential": {"factor": null}}}"#,
                "expected f64",
            ),
            (r#"{"backoff": null}"#, "expected value"),
        ] {
            let refusal = refusal_in_json(text);
            assert!(refusal.contains(reason), "{refusal}");
        }
    }
}

mod writing {
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
}
