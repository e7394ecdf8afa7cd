//! The port: when it refuses, and that it stays reserved.

use std::io::ErrorKind;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join_all;
use reconnecting_stream::testing::{Direction, Fault, Plan};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::lab::*;

#[tokio::test]
async fn a_refusal_ends_after_its_time_or_by_command() {
    for is_commanded in [true, false] {
        let time = if is_commanded {
            DEADLINE * 60
        } else {
            100 * MS
        };
        let lab = Lab::new([Fault::Refuse(time).into()]).await;
        let mut client = lab.dial().await;
        rest(&mut client).await;
        let is_refused = soon(async {
            // The port follows its connection in a moment.
            while let Ok(mut client) = TcpStream::connect(lab.proxy.addr()).await {
                if rest(&mut client).await.1.is_none() {
                    return false;
                }
            }
            true
        });
        if is_commanded {
            assert!(is_refused.await);
            soon(lab.proxy.accept()).await;
        }
        soon(async { while TcpStream::connect(lab.proxy.addr()).await.is_err() {} }).await;
    }
}

#[tokio::test]
async fn while_the_proxy_refuses_its_port_is_reserved_and_open_connections_stay() {
    let lab = Lab::new([]).await;
    let (mut client, mut peer) = lab.pair().await;
    for _ in 0..10 {
        lab.proxy.refuse().await;
        let error = TcpStream::connect(lab.proxy.addr()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let thief = TcpSocket::new_v4().unwrap();
        assert!(thief.bind(lab.proxy.addr()).is_err());
        peer.write_all(b"x").await.unwrap();
        assert_eq!(soon(client.read_u8()).await.unwrap(), b'x');
        lab.proxy.accept().await;
        lab.pair().await;
    }
    assert_eq!(lab.proxy.stats().refusals, 10);
}

#[test]
fn a_refusal_leaves_a_connection_open_that_has_just_connected() {
    on_both_runtimes(|| async {
        let lab = Lab::new([]).await;
        for _ in 0..ROUNDS {
            let mut client = lab.dial().await;
            soon(lab.proxy.refuse()).await;
            assert_refused(&lab.proxy).await;
            let mut peer = soon(lab.server.accept()).await.unwrap().0;
            converse(&mut client, &mut peer).await;
            client.set_zero_linger().unwrap();
            soon(lab.proxy.accept()).await;
        }
    });
}

#[test]
fn after_the_reset_of_a_refusal_the_port_refuses() {
    on_both_runtimes(|| async {
        let lab = Lab::new([]).await;
        lab.proxy
            .default_plan(|_| Fault::Refuse(DEADLINE * 60).into());
        for _ in 0..ROUNDS {
            assert_reset_soon(connect(&lab.proxy).await).await;
            assert_refused(&lab.proxy).await;
            soon(lab.proxy.accept()).await;
        }
    });
}

#[test]
fn refusals_and_acceptances_at_the_same_time_all_return() {
    on_both_runtimes(|| async {
        let lab = Lab::new([]).await;
        let proxy = Arc::new(lab.proxy);
        let tasks = (0..8).map(|task| {
            let proxy = Arc::clone(&proxy);
            tokio::spawn(async move {
                for round in 0..ROUNDS / 5 {
                    match (task + round) % 2 {
                        0 => proxy.refuse().await,
                        _ => proxy.accept().await,
                    }
                    let _ = TcpStream::connect(proxy.addr()).await;
                }
            })
        });
        for task in soon(join_all(tasks)).await {
            task.unwrap();
        }
        for _ in 0..ROUNDS / 5 {
            soon(async { tokio::join!(proxy.accept(), proxy.refuse()) }).await;
            assert_refused(&proxy).await;
            soon(async { tokio::join!(proxy.refuse(), proxy.accept(), proxy.accept()) }).await;
        }
        TcpStream::connect(proxy.addr()).await.unwrap();
    });
}

#[test]
fn a_drop_of_the_proxy_closes_the_port_before_it_returns() {
    on_both_runtimes(|| async {
        for _ in 0..ROUNDS / 10 {
            let lab = Lab::new([]).await;
            let (addr, client) = (lab.proxy.addr(), lab.dial().await);
            drop(lab.proxy);
            assert_closed(addr).await;
            rest(&mut { client }).await;
        }
    });
}

#[test]
fn at_no_time_another_socket_gets_the_port() {
    on_both_runtimes(|| async {
        let lab = Lab::new([]).await;
        let (addr, is_over) = (lab.proxy.addr(), Arc::new(AtomicBool::new(false)));
        let stop = Arc::clone(&is_over);
        let thief = tokio::task::spawn_blocking(move || {
            while !stop.load(Ordering::Relaxed) {
                let socket = TcpSocket::new_v4().unwrap();
                assert!(socket.bind(addr).is_err());
            }
        });
        for _ in 0..ROUNDS {
            soon(lab.proxy.refuse()).await;
            soon(lab.proxy.accept()).await;
        }
        is_over.store(true, Ordering::Relaxed);
        thief.await.unwrap();
    });
}

#[test]
fn child_processes_do_not_keep_the_proxy_listening() {
    on_both_runtimes(|| async {
        let lab = Lab::new([]).await;
        let is_over = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&is_over);
        let parent = tokio::task::spawn_blocking(move || {
            while !stop.load(Ordering::Relaxed) {
                let child = Command::new("true").stdout(Stdio::null()).status();
                assert!(child.unwrap().success());
            }
        });
        for _ in 0..ROUNDS {
            soon(lab.proxy.refuse()).await;
            assert_refused(&lab.proxy).await;
            soon(lab.proxy.accept()).await;
        }
        is_over.store(true, Ordering::Relaxed);
        parent.await.unwrap();
    });
}

#[tokio::test]
async fn a_refusal_that_is_injected_into_no_connection_leaves_the_port_open() {
    let lab = Lab::new([]).await;
    assert_eq!(lab.proxy.inject(Fault::Refuse(DEADLINE * 60)).await, 0);
    assert_eq!(lab.proxy.stats().refusals, 0);
    let (mut client, mut peer) = lab.pair().await;
    converse(&mut client, &mut peer).await;
}

/// It takes it as any server does that binds the port explicitly.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn accept_panics_if_another_listener_has_taken_the_port() {
    let lab = Lab::new([]).await;
    lab.proxy.refuse().await;
    let _thief = tokio::net::TcpListener::bind(lab.proxy.addr())
        .await
        .unwrap();
    let message = panic_of(lab.proxy.accept()).await;
    assert!(message.contains("can't listen again"), "{message}");
}

#[tokio::test]
async fn the_longest_refusal_counts() {
    let plan = |time| Plan::new().after(1, Direction::ToServer, Fault::Refuse(time));
    for is_commanded in [true, false] {
        let lab = Lab::new([plan(DEADLINE * 60), plan(MS)]).await;
        let (mut first, _peer) = lab.pair().await;
        let (mut second, _its_peer) = lab.pair().await;
        if is_commanded {
            lab.proxy.refuse().await;
        } else {
            first.write_all(b"x").await.unwrap();
            assert_reset(first).await;
        }
        second.write_all(b"x").await.unwrap();
        assert_reset(second).await;
        tokio::time::sleep(20 * MS).await;
        assert_refused(&lab.proxy).await;
        soon(lab.proxy.accept()).await;
        lab.pair().await;
    }
}
