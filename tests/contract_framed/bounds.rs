//! What waits for the reader is bounded over all connections.

use futures::SinkExt;
use reconnecting_stream::{Connect, ConnectionLost, Seam};

use super::contract::Net;
use super::*;

/// A sender that never reads, over connections that each bring this many bytes in two lines.
async fn bring<C: Connect<Io = Socket>>(net: &Net, framed: &mut Framed<C>, bytes: &[usize]) {
    for (generation, bytes) in (1..).zip(bytes) {
        let line = format!("{}\n", "x".repeat(bytes / 2 - 1));
        net.peer(generation).send(line.repeat(2)).reset();
        framed.send("x").await.unwrap();
    }
}

/// The seams and how many items came before each.
fn seams<C: Connect<Io = Socket>>(framed: &mut Framed<C>) -> Vec<(usize, String)> {
    let mut seams = Vec::new();
    let mut items = 0;
    for item in take_all(framed) {
        if item.starts_with("lost") {
            seams.push((std::mem::take(&mut items), item));
        } else {
            items += 1;
        }
    }
    assert_eq!(items, 0, "nothing comes from the current connection");
    seams
}

fn seam(items: usize, text: &str) -> (usize, String) {
    (items, text.to_owned())
}

#[tokio::test(start_paused = true)]
async fn beyond_max_unread_whole_remainders_are_dropped_and_the_seam_says_how_many_bytes() {
    let net = Net::new();
    let mut framed = build(&net).max_unread(100).connect().await.unwrap();
    bring(&net, &mut framed, &[60, 60, 40]).await;
    let expected = [
        seam(0, "lost 1 with 60 bytes"),
        seam(2, "lost 2"),
        seam(2, "lost 3"),
    ];
    assert_eq!(seams(&mut framed), expected);
}

#[tokio::test(start_paused = true)]
async fn by_default_one_mebibyte_waits_for_the_reader() {
    const KIB: usize = 1024;
    let net = Net::new();
    let mut framed = connect(&net).await;
    bring(&net, &mut framed, &[500 * KIB, 500 * KIB]).await;
    assert_eq!(seams(&mut framed), [seam(2, "lost 1"), seam(2, "lost 2")]);

    let net = Net::new();
    let mut framed = connect(&net).await;
    bring(&net, &mut framed, &[500 * KIB, 600 * KIB]).await;
    let expected = [seam(0, "lost 1 with 512000 bytes"), seam(2, "lost 2")];
    assert_eq!(seams(&mut framed), expected);
}

#[tokio::test(start_paused = true)]
async fn by_default_the_rest_of_eight_connections_waits_for_the_reader() {
    let net = Net::new();
    let mut framed = connect(&net).await;
    bring(&net, &mut framed, &[10; 8]).await;
    let expected: Vec<_> = (1..=8).map(|n| seam(2, &format!("lost {n}"))).collect();
    assert_eq!(seams(&mut framed), expected);

    let net = Net::new();
    let mut framed = connect(&net).await;
    bring(&net, &mut framed, &[10; 10]).await;
    let seams = seams(&mut framed);
    let items: usize = seams.iter().map(|(items, _)| items).sum();
    assert_eq!(items, 16, "{seams:?}");
    assert_eq!(seams.last(), Some(&seam(2, "lost 10")));
    let dropped: Vec<_> = seams.iter().filter(|(items, _)| *items == 0).collect();
    assert!(dropped.iter().all(|(_, text)| text.contains("10 bytes")));
    assert_eq!(dropped.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn max_unread_connections_bounds_how_many_connections_wait_for_the_reader() {
    let net = Net::new();
    let builder = build(&net).max_unread_connections(2);
    let mut framed = builder.connect().await.unwrap();
    bring(&net, &mut framed, &[10; 4]).await;
    let expected = [
        seam(0, "lost 1 with 10 bytes"),
        seam(0, "lost 2 with 10 bytes"),
        seam(2, "lost 3"),
        seam(2, "lost 4"),
    ];
    assert_eq!(seams(&mut framed), expected);
}

#[tokio::test(start_paused = true)]
async fn what_handshakes_bring_counts_for_the_bound() {
    let net = Net::new();
    let mut framed = build(&net)
        .max_unread(100)
        .on_connect(|mut framed| async move {
            framed.read_buffer_mut().extend_from_slice(&[b'y'; 59]);
            framed.read_buffer_mut().extend_from_slice(b"\n");
            Ok(framed)
        })
        .connect()
        .await
        .unwrap();
    for generation in 1..=3 {
        framed.mark_lost(io::Error::other("bad"));
        assert_eq!(framed.connected().await.unwrap(), generation + 1);
    }
    let items = take_all(&mut framed);
    let whole = "y".repeat(59);
    let expected = [
        "lost 1 with 60 bytes",
        "lost 2 with 60 bytes",
        "lost 3 with 60 bytes",
        &whole,
    ];
    assert_eq!(items, expected);
}

#[tokio::test(start_paused = true)]
async fn however_many_connections_come_and_go_unread_nothing_grows() {
    let net = Net::new();
    let mut framed = build(&net)
        .max_unread(1000)
        .policy(policy().max_attempts(None))
        .connect()
        .await
        .unwrap();
    bring(&net, &mut framed, &[10; 1000]).await;
    let items = take_all(&mut framed);
    assert!(items.len() < 200, "{}", items.len());
    let dropped: u64 = items
        .iter()
        .filter_map(|item| item.split(' ').nth(3)?.parse::<u64>().ok())
        .sum();
    let delivered = items.iter().filter(|item| *item == "xxxx").count() as u64;
    assert_eq!(
        dropped + 5 * delivered,
        10_000,
        "the seams say what is missing"
    );
}

#[tokio::test(start_paused = true)]
async fn the_error_of_a_seam_says_in_words_how_many_bytes_were_dropped() {
    let net = Net::new();
    let mut framed = build(&net).max_unread(5).connect().await.unwrap();
    bring(&net, &mut framed, &[64]).await;
    let error = framed.next().await.unwrap().unwrap_err();
    let lost = ConnectionLost::find(&error).unwrap();
    assert_eq!(lost.dropped_bytes, 64);
    assert!(lost.to_string().contains("64"), "{lost}");
}

#[tokio::test(start_paused = true)]
async fn with_a_hidden_seam_the_bound_holds_and_the_items_of_the_rest_are_whole() {
    let net = Net::new();
    let builder = build(&net).seam(Seam::Hidden).max_unread(100);
    let mut framed = builder.connect().await.unwrap();
    bring(&net, &mut framed, &[60, 60]).await;
    assert_eq!(take_all(&mut framed), ["x".repeat(29), "x".repeat(29)]);
}
