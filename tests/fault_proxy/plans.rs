//! Which connection gets which plan, also if a plan panics.

use std::io::ErrorKind;
use std::sync::{Arc, Mutex};

use reconnecting_stream::testing::{Fault, Plan};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::lab::*;

#[tokio::test]
async fn scripted_plans_come_first_then_those_of_the_function() {
    let lab = Lab::new([Fault::Reset.into(), Plan::new()]).await;
    let asked = Arc::new(Mutex::new(Vec::new()));
    let asking = Arc::clone(&asked);
    lab.proxy.default_plan(move |connection| {
        asking.lock().unwrap().push(connection);
        Fault::Reset.into()
    });
    let mut ends = Vec::new();
    for _ in 0..4 {
        let mut client = lab.dial().await;
        client.shutdown().await.unwrap();
        ends.push(match timeout(30 * MS, client.read_u8()).await {
            Ok(Err(error)) => error.kind() == ErrorKind::ConnectionReset,
            Ok(Ok(_)) | Err(_) => false,
        });
    }
    assert!(!ends[1]);
    assert_eq!(*asked.lock().unwrap(), [3, 4]);
    soon(lab.proxy.wait_for(|stats| stats.resets == 3)).await;
}

#[test]
fn plans_are_those_of_connections_that_connect_after_the_call() {
    on_both_runtimes(|| async {
        let lab = Lab::new([]).await;
        for _ in 0..ROUNDS {
            lab.proxy.default_plan(|_| Plan::new());
            let mut first = lab.dial().await;
            lab.proxy.script([Fault::Reset.into()]);
            let second = connect(&lab.proxy).await;
            let mut third = lab.dial().await;
            lab.proxy.default_plan(|_| Fault::Reset.into());
            assert_reset_soon(second).await;
            for client in [&mut first, &mut third] {
                client.write_all(b"x").await.unwrap();
            }
            for _ in 0..2 {
                let mut peer = soon(lab.server.accept()).await.unwrap().0;
                assert_eq!(soon(peer.read_u8()).await.unwrap(), b'x');
            }
        }
    });
}

#[test]
fn after_a_panic_of_a_plan_every_command_panics_with_its_message() {
    on_both_runtimes(|| async {
        let lab = Lab::new([Plan::new()]).await;
        lab.proxy.default_plan(|connection| {
            assert_ne!(connection, 2, "no plan");
            Plan::new()
        });
        let (mut client, mut peer) = lab.pair().await;
        let waits = panic_of(lab.proxy.wait_for(|_| false));
        let (message, ()) = tokio::join!(waits, async {
            assert_reset_soon(connect(&lab.proxy).await).await;
        });
        assert!(message.contains("connection 2"), "{message}");
        assert!(message.contains("no plan"), "{message}");
        assert_eq!(panic_of(lab.proxy.resume()).await, message);
        assert_eq!(panic_of(lab.proxy.refuse()).await, message);
        assert_eq!(panic_of(lab.proxy.accept()).await, message);
        assert_eq!(panic_of(lab.proxy.wait_for(|_| true)).await, message);

        // The other connections don't notice.
        converse(&mut client, &mut peer).await;
        let (mut third, mut its_peer) = lab.pair().await;
        converse(&mut third, &mut its_peer).await;
        assert_eq!(panic_of(lab.proxy.inject(Fault::Reset)).await, message);
        assert_reset(client).await;
        assert_eq!(lab.proxy.stats().accepted, 3);
    });
}

#[test]
fn a_command_during_a_panic_of_a_plan_panics_with_its_message() {
    on_both_runtimes(|| async {
        for _ in 0..ROUNDS / 10 {
            let lab = Lab::new([]).await;
            lab.proxy.default_plan(|_| panic!("no plan"));
            let client = connect(&lab.proxy).await;
            let message = panic_of(lab.proxy.inject(Fault::Fin)).await;
            assert!(message.contains("no plan"), "{message}");
            assert_reset_soon(client).await;
        }
    });
}

#[test]
fn a_plan_may_use_the_proxy() {
    on_both_runtimes(|| async {
        let lab = Lab::new([]).await;
        let proxy = Arc::new(lab.proxy);
        let inside = Arc::clone(&proxy);
        proxy.default_plan(move |_| {
            inside.script([Fault::Reset.into()]);
            inside.default_plan(|_| Plan::new());
            assert_eq!(inside.stats().accepted, 1);
            Plan::new()
        });
        let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
        let mut peer = soon(lab.server.accept()).await.unwrap().0;
        converse(&mut client, &mut peer).await;
        assert_reset_soon(connect(&proxy).await).await;
    });
}
