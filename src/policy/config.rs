//! Serialization of a [`Policy`] for configuration files.

use std::fmt;
use std::time::Duration;

use serde::de::value::EnumAccessDeserializer;
use serde::de::{
    self, Deserialize, Deserializer, EnumAccess, IntoDeserializer, MapAccess, Visitor,
};
use serde::ser::{Error, Serialize, Serializer};

use super::backoff::{Backoff, Jitter};
use super::duration::{HumanDuration, Limit};
use super::policy::{Eof, Policy};

/// See [`docs::config`](crate::docs::config).
///
/// # Errors
///
/// Returns an error for a backoff [from a factory](Backoff::from_factory), which has no serialized
/// form.
impl Serialize for Policy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        PolicyConfig::of(self).serialize(serializer)
    }
}

/// See [`docs::config`](crate::docs::config).
impl<'de> Deserialize<'de> for Policy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        PolicyConfig::deserialize(deserializer).map(PolicyConfig::policy)
    }
}

/// See [`docs::config`](crate::docs::config).
///
/// # Errors
///
/// Returns an error for a backoff [from a factory](Backoff::from_factory), which has no serialized
/// form.
impl Serialize for Backoff {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        BackoffConfig::of(self)
            .ok_or_else(|| S::Error::custom("a backoff from a factory can't be written"))?
            .serialize(serializer)
    }
}

/// See [`docs::config`](crate::docs::config).
impl<'de> Deserialize<'de> for Backoff {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let config = deserializer.deserialize_any(NameOrTable)?;
        Ok(config.backoff())
    }
}

/// The serialized form of a [`Policy`], without its classifier. The field that becomes a table comes
/// last, as some formats require.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    rename = "Policy",
    rename_all = "snake_case"
)]
struct PolicyConfig {
    attempt_timeout: HumanDuration,
    max_attempts: Limit<u32>,
    max_outage: Limit<HumanDuration>,
    stable_after: HumanDuration,
    eof: Eof,
    idle_timeout: Limit<HumanDuration>,
    backoff: Backoff,
}

impl PolicyConfig {
    fn of(policy: &Policy) -> Self {
        Self {
            attempt_timeout: HumanDuration(policy.attempt_timeout),
            max_attempts: Limit(policy.max_attempts),
            max_outage: Limit::of(policy.max_outage),
            stable_after: HumanDuration(policy.stable_after),
            eof: policy.eof,
            idle_timeout: Limit::of(policy.idle_timeout),
            backoff: policy.backoff.clone(),
        }
    }

    fn policy(self) -> Policy {
        Policy::new()
            .attempt_timeout(self.attempt_timeout.0)
            .max_attempts(self.max_attempts.0)
            .max_outage(self.max_outage.duration())
            .stable_after(self.stable_after.0)
            .eof(self.eof)
            .idle_timeout(self.idle_timeout.duration())
            .backoff(self.backoff)
    }
}

impl Default for PolicyConfig {
    fn default() -> Self {
        Self::of(&Policy::new())
    }
}

/// The serialized form of a [`Backoff`]: its constructor and the arguments of its setters.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(rename = "Backoff", rename_all = "snake_case")]
enum BackoffConfig {
    None,
    Constant(Constant),
    Exponential(Exponential),
}

/// Reads a [`BackoffConfig`], or the name of a backoff that needs no field.
struct NameOrTable;

impl<'de> Visitor<'de> for NameOrTable {
    type Value = BackoffConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name or the table of a backoff")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<BackoffConfig, E> {
        match name {
            "exponential" => Ok(BackoffConfig::Exponential(Exponential::default())),
            "constant" => Err(E::custom(
                "missing field `delay`: a constant backoff is a table",
            )),
            name => BackoffConfig::deserialize(name.into_deserializer()),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<BackoffConfig, A::Error> {
        let kind = map.next_key::<String>()?;
        let backoff = match kind.as_deref() {
            Some("exponential") => BackoffConfig::Exponential(map.next_value()?),
            Some("constant") => BackoffConfig::Constant(map.next_value()?),
            other => return Err(no_kind(other)),
        };
        match map.next_key::<String>()? {
            None => Ok(backoff),
            Some(second) => Err(de::Error::custom(format_args!(
                "a backoff of two kinds, one of which is `{second}`"
            ))),
        }
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<BackoffConfig, A::Error> {
        BackoffConfig::deserialize(EnumAccessDeserializer::new(data))
    }
}

/// The error of a table that does not begin with the kind of its backoff.
fn no_kind<E: de::Error>(key: Option<&str>) -> E {
    let unknown = key.map_or_else(String::new, |key| format!("unknown variant `{key}`, "));
    E::custom(format_args!(
        "{unknown}expected the table `exponential` or `constant` in that of the backoff"
    ))
}

/// The fields of an exponential backoff.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "snake_case")]
struct Exponential {
    initial: HumanDuration,
    factor: f64,
    max: Limit<HumanDuration>,
    jitter: Jitter,
}

/// The fields of a constant backoff.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
struct Constant {
    delay: HumanDuration,
    #[serde(default = "no_growth", skip_serializing_if = "is_no_growth")]
    factor: f64,
    #[serde(default = "no_limit")]
    max: Limit<HumanDuration>,
    #[serde(default = "no_jitter")]
    jitter: Jitter,
}

impl BackoffConfig {
    /// Returns the serialized form of a backoff, or `None` for one from a factory.
    fn of(backoff: &Backoff) -> Option<Self> {
        let initial = backoff.initial()?;
        // JSON has no infinity. The largest number has the same effect.
        let factor = backoff.factor_of_growth().min(f64::MAX);
        let (max, jitter) = (limit_of(backoff.max), backoff.jitter);
        let grows = !is_no_growth(&factor);
        // `exponential` raises a shorter delay to 1 ms.
        let may_be_exponential = initial >= Duration::from_millis(1);
        Some(if grows && may_be_exponential {
            Self::Exponential(Exponential {
                initial: HumanDuration(initial),
                factor,
                max,
                jitter,
            })
        } else if initial.is_zero() && !grows && max.0.is_none() && jitter == Jitter::None {
            Self::None
        } else {
            Self::Constant(Constant {
                delay: HumanDuration(initial),
                factor,
                max,
                jitter,
            })
        })
    }

    fn backoff(self) -> Backoff {
        match self {
            Self::None => Backoff::none(),
            Self::Constant(constant) => Backoff::constant(constant.delay.0)
                .factor(constant.factor)
                .max(longest(constant.max))
                .jitter(constant.jitter),
            Self::Exponential(exponential) => Backoff::exponential(exponential.initial.0)
                .factor(exponential.factor)
                .max(longest(exponential.max))
                .jitter(exponential.jitter),
        }
    }
}

/// The backoff of the default policy.
impl Default for Exponential {
    fn default() -> Self {
        let backoff = Policy::new().backoff;
        Self {
            initial: HumanDuration(backoff.initial().unwrap_or_default()),
            factor: backoff.factor_of_growth(),
            max: limit_of(backoff.max),
            jitter: backoff.jitter,
        }
    }
}

fn limit_of(max: Duration) -> Limit<HumanDuration> {
    Limit::of((max != Duration::MAX).then_some(max))
}

fn longest(max: Limit<HumanDuration>) -> Duration {
    max.duration().unwrap_or(Duration::MAX)
}

fn no_growth() -> f64 {
    1.0
}

fn is_no_growth(factor: &f64) -> bool {
    *factor <= no_growth()
}

fn no_limit() -> Limit<HumanDuration> {
    Limit(None)
}

fn no_jitter() -> Jitter {
    Jitter::None
}
