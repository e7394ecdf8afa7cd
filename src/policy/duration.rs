//! Durations and limits in configuration files.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, IntoDeserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// A duration such as "1m 30s".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HumanDuration(pub(super) Duration);

/// A limit, or "none" for no limit, because TOML has no null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit<T>(pub(super) Option<T>);

const NO_LIMIT: &str = "none";

impl Limit<HumanDuration> {
    pub(super) fn of(limit: Option<Duration>) -> Self {
        Self(limit.map(HumanDuration))
    }

    pub(super) fn duration(self) -> Option<Duration> {
        self.0.map(|HumanDuration(duration)| duration)
    }
}

/// For the attribute `serde(with = "..")` of a field of type [`Duration`].
#[cfg(feature = "session")]
pub(crate) mod human {
    use super::{Deserialize, Deserializer, Duration, HumanDuration, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        HumanDuration(*value).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        HumanDuration::deserialize(from).map(|HumanDuration(duration)| duration)
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(self.0))
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(HumanDurationVisitor)
    }
}

struct HumanDurationVisitor;

impl Visitor<'_> for HumanDurationVisitor {
    type Value = HumanDuration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as \"1m 30s\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<HumanDuration, E> {
        parse(text)
            .map(HumanDuration)
            .map_err(|error| E::custom(format_args!("{text:?} is not a duration: {error}")))
    }
}

/// Parses a duration. `humantime` 2.4 panics if a sum exceeds the maximum by less than a second,
/// also within a span that it then refuses. So it gets no sum that was not checked.
fn parse(text: &str) -> Result<Duration, humantime::DurationError> {
    let mut sum = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let (span, after) = rest.split_at(end_of_span(rest));
        let Ok(span) = humantime::parse_duration(span) else {
            let parsed = humantime::parse_duration(&without_spans(text, rest))?;
            return add(sum, parsed);
        };
        (sum, rest) = (add(sum, span)?, after);
    }
    humantime::parse_duration(text)
}

fn add(sum: Duration, span: Duration) -> Result<Duration, humantime::DurationError> {
    let longer = sum.checked_add(span);
    longer.ok_or(humantime::DurationError::NumberOverflow)
}

/// Returns a text of the same length with a zero in place of the spans before its end `rest`: an error
/// in the rest is at the same place.
fn without_spans(text: &str, rest: &str) -> String {
    match text.len() - rest.len() {
        0 => rest.to_owned(),
        before => format!("{:<before$}{rest}", "0s"),
    }
}

/// Returns the offset at which the first span ends.
fn end_of_span(text: &str) -> usize {
    let unit = text.find(char::is_alphabetic).unwrap_or(text.len());
    text[unit..]
        .find(|c: char| !c.is_alphabetic())
        .map_or(text.len(), |length| unit + length)
}

impl<T: Serialize> Serialize for Limit<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(limit) => limit.serialize(serializer),
            None => serializer.serialize_str(NO_LIMIT),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Limit<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LimitVisitor(PhantomData))
    }
}

struct LimitVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for LimitVisitor<T> {
    type Value = Limit<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a limit, or {NO_LIMIT:?}")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Limit<T>, E> {
        if text == NO_LIMIT {
            return Ok(Limit(None));
        }
        some(text)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Limit<T>, E> {
        some(number)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Limit<T>, E> {
        some(number)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Limit<T>, E> {
        Ok(Limit(None))
    }

    fn visit_none<E: de::Error>(self) -> Result<Limit<T>, E> {
        Ok(Limit(None))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Limit<T>, D::Error> {
        Limit::deserialize(deserializer)
    }
}

/// Deserializes a limit. It uses the plain error of serde, because the error of a format may have
/// text around its message that does not fit into this one.
fn some<'de, T, V, E>(value: V) -> Result<Limit<T>, E>
where
    T: Deserialize<'de>,
    V: IntoDeserializer<'de, de::value::Error>,
    E: de::Error,
{
    T::deserialize(value.into_deserializer())
        .map(|limit| Limit(Some(limit)))
        .map_err(|error| E::custom(format_args!("{error}, or {NO_LIMIT:?}")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_sum_that_is_too_long_is_an_error_and_no_panic() {
        for text in [
            "18446744073709551615s 1000ms",
            "18446744073709551615s 1s",
            "18446744073709551615s 999999999ns 1ns",
            "18446744073709551615s999ms1ms",
            "18446744073709551615.999999999s 1ns",
            "584942417355years 26days",
            "584942417356years",
            "18446744073709551616s",
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error, humantime::DurationError::NumberOverflow, "{text}");
        }
        assert_eq!(
            parse("18446744073709551615s 999999999ns"),
            Ok(Duration::MAX)
        );
        assert_eq!(
            parse("584542046090years"),
            Ok(Duration::from_secs(584_542_046_090 * 31_557_600))
        );
    }

    #[test]
    fn a_fraction_of_a_nanosecond_is_refused_after_any_sum() {
        for text in [
            "18446744073709551615s 1000000000.5ns",
            "18446744073709551615.999999999s 1.5ns",
            "1s 1.5ns",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(parse("1s "), humantime::parse_duration("1s "));
    }

    #[test]
    fn what_is_no_duration_is_refused_as_humantime_refuses_it() {
        for text in [
            "",
            " ",
            "5",
            "-1s",
            "1m -30s",
            "1.s",
            "1m0",
            "s",
            "1 fortnight",
            "1m,2s",
        ] {
            assert_eq!(parse(text), humantime::parse_duration(text), "{text:?}");
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn spaces_and_fractions_are_read_as_humantime_reads_them() {
        for (text, millis) in [
            ("0", 0),
            (" 1m30s ", 90_000),
            ("1 m 30 s", 90_000),
            ("1.5s", 1500),
            ("1h\t2ms", 3_600_002),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_duration_is_read_as_it_was_written(duration: Duration) {
            let text = humantime::format_duration(duration).to_string();
            prop_assert_eq!(parse(&text), Ok(duration));
        }

        #[test]
        fn parsing_a_duration_never_panics(text in "[0-9]{0,20}[a-z µ.-]{0,3}[0-9]{1,20}(s|ms|years|months|ns| )?") {
            let _ = parse(&text);
        }

        #[test]
        fn parsing_what_is_almost_too_long_never_panics(
            text in "18446744073709551615(\\.[0-9]{1,9})?s( ?[0-9]{1,20}(\\.[0-9]{1,9})?(s|ms|ns|x|)){1,3}",
        ) {
            let _ = parse(&text);
        }
    }
}
