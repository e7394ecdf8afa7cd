//! The end of the stream and errors, as the codec sees them.

use futures::SinkExt;
use reconnecting_stream::{Eof, Seam, State};
use tokio::time::Instant;

use super::contract::{Net, Recorder};
use super::*;

/// Receives the items of a connection that ends, after a close or under `Eof::Pass`.
async fn expect_last(codec: Lines, closes: bool, items: &[&str]) {
    let net = Net::new();
    let eof = if closes { Eof::Reconnect } else { Eof::Pass };
    let mut framed = build_with(&net, codec)
        .policy(policy().eof(eof))
        .connect()
        .await
        .unwrap();
    if closes {
        framed.close().await.unwrap();
    }
    net.peer(1).send("whole\n").finish();
    for expected in items {
        assert_eq!(describe(framed.next().await), *expected, "closes: {closes}");
    }
    assert_eq!(net.attempts().len(), 1, "closes: {closes}");
}

#[tokio::test(start_paused = true)]
async fn decode_eof_is_asked_until_it_has_no_more() {
    for closes in [true, false] {
        let codec = Lines::ending_with([Some("e1"), Some("e2"), Some("e3")]);
        expect_last(codec, closes, &["whole", "e1", "e2", "e3", "none"]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_of_decode_eof_is_one_error_and_then_the_end() {
    for closes in [true, false] {
        let codec = Lines::ending_with([Some("e1"), None]);
        expect_last(codec, closes, &["whole", "e1", "Other", "none"]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_decode_error_ends_the_connection_once_and_under_the_backoff() {
    for seam in [Seam::Hidden, Seam::Error] {
        let net = Net::new();
        let recorder = Recorder::new();
        let mut framed = build(&net)
            .seam(seam)
            .on_event(recorder.observer())
            .connect()
            .await
            .unwrap();
        net.greet(|_, peer| {
            peer.send("next\n");
        });
        let before = Instant::now();
        net.peer(1).send("good\nbad\nmore\n");
        assert_eq!(describe(framed.next().await), "good");
        assert_eq!(describe(framed.next().await), "InvalidData");
        assert!(matches!(framed.state(), State::Backoff { attempt: 1, .. }));
        assert!(net.peer(1).is_dropped());
        if seam == Seam::Error {
            assert_eq!(describe(framed.next().await), "lost 1");
        }
        assert_eq!(describe(framed.next().await), "next");
        assert_eq!(before.elapsed(), SECOND);
        assert_eq!(
            recorder.take(),
            ["connected", "lost", "retrying", "connected"]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_decode_error_of_a_connection_that_is_gone_is_one_error_before_its_seam() {
    let net = Net::new();
    let recorder = Recorder::new();
    let builder = build(&net).on_event(recorder.observer());
    let mut framed = builder.connect().await.unwrap();
    net.peer(1).send("good\nbad\nmore\n").finish();
    framed.send("x").await.unwrap();
    net.peer(2).send("next\n");
    let expected = ["good", "InvalidData", "lost 1", "next"];
    assert_eq!(take_all(&mut framed), expected);
    assert_eq!(framed.state(), State::Connected { generation: 2 });
    let lost = |events: Vec<&str>| events.into_iter().filter(|name| *name == "lost").count();
    assert_eq!(lost(recorder.take()), 1);
}
