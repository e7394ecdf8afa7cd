//! The book: texts about using the crate well.
#![cfg_attr(all(feature = "codec", feature = "net"), doc = include_str!("contents.md"))]
#![cfg_attr(
    not(all(feature = "codec", feature = "net")),
    doc = "\n\nIt is there with the default features, `codec` and `net`."
)]
#![cfg_attr(
    all(feature = "codec", feature = "net", feature = "session"),
    doc = "- [`sessions`]: a stream that loses nothing, between two ends of your own."
)]
#![cfg_attr(
    feature = "serde",
    doc = "- [`config`]: every field of a policy in a configuration file."
)]

#[cfg(all(feature = "codec", feature = "net"))]
#[doc = include_str!("choosing.md")]
pub mod choosing {}

#[cfg(all(feature = "codec", feature = "net"))]
#[doc = include_str!("clients.md")]
#[cfg_attr(
    feature = "testing",
    doc = "[`testing::FaultProxy`](crate::testing::FaultProxy) injects the faults."
)]
pub mod clients {}

#[cfg(feature = "serde")]
#[doc = include_str!("config.md")]
pub mod config {}

#[cfg(all(feature = "codec", feature = "net"))]
#[doc = include_str!("faq.md")]
pub mod faq {}

#[cfg(feature = "codec")]
#[doc = include_str!("framed_over_stream.md")]
pub mod framed_over_stream {}

#[cfg(all(feature = "codec", feature = "net"))]
#[doc = include_str!("login.md")]
#[cfg_attr(
    feature = "rustls",
    doc = "[`TlsConnector`](crate::TlsConnector) lists them all."
)]
pub mod login {}

#[cfg(all(feature = "codec", feature = "net"))]
#[doc = include_str!("moving.md")]
pub mod moving {}

#[cfg(all(feature = "codec", feature = "net"))]
#[doc = include_str!("observing.md")]
#[cfg_attr(
    feature = "metrics",
    doc = "[`Metrics`](crate::Metrics) lists the names."
)]
pub mod observing {}

#[cfg(all(feature = "codec", feature = "net"))]
#[doc = include_str!("policy.md")]
#[cfg_attr(
    feature = "serde",
    doc = "[`docs::config`](crate::docs::config) has every field."
)]
pub mod policy {}

#[cfg(all(feature = "codec", feature = "net", feature = "session"))]
#[doc = include_str!("sessions.md")]
pub mod sessions {}

#[doc = include_str!("supervised.md")]
pub mod supervised {}

#[cfg(all(feature = "codec", feature = "net"))]
#[doc = include_str!("testing.md")]
#[cfg_attr(
    feature = "testing",
    doc = "[`testing::FaultProxy`](crate::testing::FaultProxy) has a complete example."
)]
pub mod testing {}
