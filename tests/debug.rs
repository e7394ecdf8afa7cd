//! What the types say of themselves.
#![cfg(feature = "codec")]

mod support;

use std::fmt::Debug;
use std::io;
use std::time::Duration;

use reconnecting_stream::{
    Attempt, Backoff, MessageTransport, Policy, ReconnectingFramed, ReconnectingStream, Seam,
    Verdict,
};
use support::Network;
use tokio_util::codec::LinesCodec;

fn assert_says(it: &impl Debug, parts: &[&str]) {
    let said = format!("{it:?}");
    for part in parts {
        assert!(said.contains(part), "{part} is not in {said}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_debug_of_a_stream_shows_its_state_and_its_seam() {
    let network = Network::new();
    let builder = ReconnectingStream::builder(network.connector()).seam(Seam::Error);
    assert_says(&builder, &["Builder", "Error"]);
    let stream = builder.connect().await.unwrap();
    assert_says(&stream, &["ReconnectingStream", "Connected", "1", "Error"]);
    assert_says(&stream.handle(), &["Handle"]);
}

#[tokio::test(start_paused = true)]
async fn the_debug_of_a_framed_stream_shows_what_it_keeps() {
    let network = Network::new();
    let builder = ReconnectingFramed::builder(network.connector(), LinesCodec::new());
    assert_says(&builder, &["Builder", "Policy", "Hidden"]);
    let framed = builder.seam(Seam::Eof).lazy();
    assert_says(&framed, &["ReconnectingFramed", "Eof", "SendBuffer"]);
    assert_says(&framed.confirm_handle(), &["ConfirmHandle"]);
}

#[test]
fn the_debug_of_connections_of_messages_and_attempts_has_their_name() {
    let classify = |_: &io::Error| Verdict::Lost;
    assert_says(&MessageTransport::new((), classify), &["MessageTransport"]);
    assert_says(&Attempt::first(), &["Attempt", "number"]);
}

#[test]
fn the_debug_of_a_policy_shows_every_setting() {
    let backoff = Backoff::exponential(Duration::from_millis(20)).factor(3.0);
    assert_says(&backoff, &["20ms", "3.0", "max: Some(10s)", "jitter"]);
    let constant = Backoff::constant(Duration::from_secs(1));
    assert_says(&constant, &["1s", "max: None"]);
    let own = Backoff::from_factory(std::iter::empty);
    assert_says(&own, &["from a factory"]);
    let policy = Policy::default().backoff(backoff).max_attempts(7);
    assert_says(&policy, &["Policy", "20ms", "7", "attempt_timeout"]);
}
