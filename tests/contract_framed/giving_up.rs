//! Giving up is answered to all, and a reconnect starts afresh, also after a close was tried.

use std::io::ErrorKind;

use futures::SinkExt;
use reconnecting_stream::{Connect, State, Verdict};

use super::contract::{Net, Op};
use super::support::Outcome;
use super::*;

async fn given_up(
    net: &Net,
    resend: Resend,
) -> Framed<impl Connect<Io = Socket, Future: Send> + Send + Sync> {
    net.script([Outcome::Accepts, Outcome::RefusesForGood]);
    let mut framed = build(net).resend(resend).connect().await.unwrap();
    framed.feed("backlog").await.unwrap();
    framed.mark_lost(io::Error::other("bad"));
    framed
}

#[tokio::test(start_paused = true)]
async fn giving_up_is_answered_to_the_reader_the_sender_a_flush_a_close_and_connected() {
    let net = Net::new();
    let mut framed = given_up(&net, Resend::Torn).await;
    for _ in 0..3 {
        assert_eq!(describe_result(framed.flush().await), "gave up");
        assert_eq!(describe_result(framed.close().await), "gave up");
        assert_eq!(describe_result(framed.feed("x").await), "gave up");
        assert_eq!(describe_result(framed.send_transient("x").await), "gave up");
        let connected = framed.connected().await.map(drop);
        assert_eq!(describe_result(connected), "gave up");
        assert_eq!(describe(framed.next().await), "gave up");
    }
    assert_eq!(net.attempts().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_reconnect_starts_afresh_after_giving_up_also_after_a_close_was_tried() {
    for resend in [Resend::Torn, UNCONFIRMED] {
        for by_handle in [true, false] {
            let net = Net::new();
            let mut framed = given_up(&net, resend).await;
            assert_eq!(describe_result(framed.close().await), "gave up");
            if by_handle {
                framed.handle().reconnect();
            } else {
                framed.reconnect();
            }
            framed.send("new").await.unwrap();
            assert_eq!(net.peer(2).text(), "backlog\nnew\n", "{resend:?}");
            assert!(!net.peer(2).is_shut_down());
            net.peer(2).send("item\n");
            let mut item = describe(framed.next().await);
            if item == "lost 1" {
                item = describe(framed.next().await);
            }
            assert_eq!(item, "item");
            framed.close().await.unwrap();
            assert!(net.peer(2).is_shut_down());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_after_the_reconnect_sends_the_backlog() {
    let net = Net::new();
    let mut framed = given_up(&net, Resend::Torn).await;
    assert_eq!(describe_result(framed.close().await), "gave up");
    framed.handle().reconnect();
    framed.close().await.unwrap();
    assert_eq!(net.peer(2).text(), "backlog\n");
    assert!(net.peer(2).is_shut_down());
}

#[tokio::test(start_paused = true)]
async fn a_permanent_verdict_in_a_close_is_giving_up_for_all_and_a_reconnect_starts_afresh() {
    let net = Net::new();
    let policy = policy().classify(|_, _| Verdict::Permanent);
    let builder = build(&net).policy(policy).resend(UNCONFIRMED);
    let mut framed = builder.connect().await.unwrap();
    framed.send("a").await.unwrap();
    net.peer(1).fail_once(Op::Shutdown, ErrorKind::Other);
    for _ in 0..2 {
        assert_eq!(describe_result(framed.close().await), "gave up");
        assert_eq!(describe(framed.next().await), "gave up");
    }
    assert_eq!(framed.state(), State::GaveUp);
    framed.handle().reconnect();
    framed.close().await.unwrap();
    assert_eq!(net.peer(2).text(), "a\n");
}

#[tokio::test(start_paused = true)]
async fn giving_up_is_answered_to_a_flush_and_a_close_also_with_nothing_to_send() {
    let net = Net::new();
    net.script([Outcome::Accepts, Outcome::RefusesForGood]);
    let mut framed = build(&net).connect().await.unwrap();
    framed.mark_lost(io::Error::other("bad"));
    assert!(framed.connected().await.is_err());
    for _ in 0..2 {
        assert_eq!(describe_result(framed.flush().await), "gave up");
        assert_eq!(describe_result(framed.close().await), "gave up");
    }
}
