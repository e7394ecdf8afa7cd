//! One ordered sequence for the reader, with every whole message that had arrived.

use std::io::ErrorKind;

use futures::SinkExt;
use reconnecting_stream::{Connect, Seam};

use super::contract::codec::PANICS;
use super::contract::{Net, Op, When};
use super::*;

/// A sender that never reads, over three connections that each bring two messages, half of one,
/// and their end.
async fn send_over_three<C: Connect<Io = Socket>>(net: &Net, framed: &mut Framed<C>) {
    for generation in 1..=3 {
        let items = format!("a{generation}\nb{generation}\nhalf");
        net.peer(generation).send(items).finish();
        framed.send("x").await.unwrap();
    }
    assert_eq!(net.connections(), 4);
}

fn expected(seam: Seam, banner: &[&str]) -> Vec<String> {
    let mut expected = Vec::new();
    for generation in 1..=3 {
        expected.extend(banner.iter().map(|line| (*line).to_owned()));
        expected.extend([format!("a{generation}"), format!("b{generation}")]);
        match seam {
            Seam::Hidden => {}
            Seam::Error => expected.push(format!("lost {generation}")),
            Seam::Eof => expected.push("none".to_owned()),
        }
    }
    expected
}

#[tokio::test(start_paused = true)]
async fn the_reader_sees_items_and_seams_in_one_order_though_connections_came_and_went_unread() {
    for seam in SEAMS {
        let net = Net::new();
        let mut framed = build(&net).seam(seam).connect().await.unwrap();
        send_over_three(&net, &mut framed).await;
        net.peer(4).send("live\n");
        let mut expected = expected(seam, &[]);
        expected.push("live".to_owned());
        assert_eq!(take_all(&mut framed), expected, "{seam:?}");
        assert_eq!(net.peer(4).text(), "x\n");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_handshake_read_beyond_itself_comes_after_the_seam_before_it_and_before_the_items() {
    for seam in SEAMS {
        let net = Net::new();
        let mut framed = build(&net)
            .seam(seam)
            .on_connect(|mut framed| async move {
                framed.read_buffer_mut().extend_from_slice(b"banner\n");
                Ok(framed)
            })
            .connect()
            .await
            .unwrap();
        send_over_three(&net, &mut framed).await;
        let mut expected = expected(seam, &["banner"]);
        expected.push("banner".to_owned());
        assert_eq!(take_all(&mut framed), expected, "{seam:?}");
    }
}

/// Who meets the loss.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Met {
    By(Op),
    TransientWrite,
    HandleReconnect,
    HandleMarkLost,
    HandleClose,
    HandleSeenByConnected,
    Reconnect,
    MarkLost,
    EncoderPanic,
}

const ALL_MET: [Met; 12] = [
    Met::By(Op::Read),
    Met::By(Op::Write),
    Met::By(Op::Flush),
    Met::By(Op::Shutdown),
    Met::TransientWrite,
    Met::HandleReconnect,
    Met::HandleMarkLost,
    Met::HandleClose,
    Met::HandleSeenByConnected,
    Met::Reconnect,
    Met::MarkLost,
    Met::EncoderPanic,
];

const LINES: usize = 300;

/// `LINES` lines of a kibibyte arrive.
fn arrive(peer: &contract::Remote) {
    let line = format!("{}\n", "x".repeat(1023));
    peer.send(line.repeat(LINES));
}

/// They arrive, and the connection is lost, within the operation that meets the loss.
async fn meet_by_operation<C: Connect<Io = Socket>>(op: Op, net: &Net, framed: &mut Framed<C>) {
    net.peer(1).at(op, When::Before, |peer| {
        arrive(peer);
        peer.reset();
    });
    match op {
        Op::Read => {}
        Op::Write | Op::Flush => framed.send("x").await.unwrap(),
        Op::Shutdown => assert_eq!(describe_result(framed.close().await), "lost 1"),
    }
}

/// They arrive, and then the connection is dropped on demand.
async fn meet_by_command<C: Connect<Io = Socket>>(met: Met, net: &Net, framed: &mut Framed<C>) {
    arrive(&net.peer(1));
    let handle = framed.handle();
    match met {
        Met::HandleReconnect => handle.reconnect(),
        Met::HandleMarkLost => handle.mark_lost(ErrorKind::Other.into()),
        Met::HandleClose => handle.close(),
        Met::HandleSeenByConnected => {
            handle.reconnect();
            framed.connected().await.unwrap();
        }
        Met::Reconnect => framed.reconnect(),
        Met::MarkLost => framed.mark_lost(ErrorKind::Other.into()),
        Met::EncoderPanic => assert!(caught(framed.feed(PANICS)).await.is_none()),
        Met::By(_) | Met::TransientWrite => unreachable!("met by an operation"),
    }
}

async fn meet<C: Connect<Io = Socket>>(met: Met, net: &Net, framed: &mut Framed<C>) {
    match met {
        Met::By(op) => meet_by_operation(op, net, framed).await,
        Met::TransientWrite => {
            net.peer(1).at(Op::Write, When::Before, |peer| {
                arrive(peer);
                peer.reset();
            });
            framed.send_transient("x").await.unwrap();
        }
        command => meet_by_command(command, net, framed).await,
    }
}

#[tokio::test(start_paused = true)]
async fn every_whole_message_that_had_arrived_before_a_loss_is_delivered_whichever_operation_meets_it()
 {
    for met in ALL_MET {
        let net = Net::new();
        let mut framed = connect(&net).await;
        meet(met, &net, &mut framed).await;
        let mut items = 0;
        let last = loop {
            match describe(framed.next().await) {
                item if item.len() == 1023 => items += 1,
                last => break last,
            }
        };
        assert_eq!(items, LINES, "{met:?}");
        let expected = if met == Met::HandleClose {
            "none"
        } else {
            "lost 1"
        };
        assert_eq!(last, expected, "{met:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn items_that_the_decoder_holds_inside_itself_are_delivered_before_the_seam() {
    for takes_one in [true, false] {
        let net = Net::new();
        let codec = Lines::hoarding();
        let mut framed = build_with(&net, codec).connect().await.unwrap();
        net.peer(1).send("a\nb\nc\n");
        if takes_one {
            assert_eq!(next_now(&mut framed).unwrap(), "a");
        }
        // The sender meets the ends of two connections; the reader comes back after them.
        net.peer(1).reset();
        framed.send("x").await.unwrap();
        net.peer(2).send("d\ne\nhalf").finish();
        framed.send("y").await.unwrap();
        net.peer(3).send("f\n");
        let expected = ["a", "b", "c", "lost 1", "d", "e", "lost 2", "f"];
        assert_eq!(take_all(&mut framed), expected[usize::from(takes_one)..]);
    }
}

#[tokio::test(start_paused = true)]
async fn items_that_the_decoder_holds_are_delivered_though_the_limit_is_reached() {
    let net = Net::new();
    let builder = build_with(&net, Lines::hoarding()).max_unread(10);
    let mut framed = builder.connect().await.unwrap();
    net.peer(1).send("a\nb\nc\n");
    assert_eq!(next_now(&mut framed).unwrap(), "a");
    net.peer(1).reset();
    framed.send("x").await.unwrap();
    assert_eq!(take_all(&mut framed), ["b", "c", "lost 1"]);
}

#[tokio::test(start_paused = true)]
async fn half_of_a_message_is_dropped_at_a_seam_and_nothing_is_made_of_it() {
    for resets in [true, false] {
        for by_sender in [true, false] {
            let net = Net::new();
            // `decode_eof` would make an item of what is left.
            let codec = Lines::ending_with([Some("made of half")]);
            let mut framed = build_with(&net, codec).connect().await.unwrap();
            net.peer(1).send("whole\nhalf");
            if resets {
                net.peer(1).reset();
            } else {
                net.peer(1).finish();
            }
            net.greet(|_, peer| {
                peer.send("rest\n");
            });
            if by_sender {
                framed.send("x").await.unwrap();
            }
            for expected in ["whole", "lost 1", "rest"] {
                assert_eq!(describe(framed.next().await), expected);
            }
        }
    }
}
