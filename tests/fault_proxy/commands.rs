//! Commands: what they see, and that none of them hangs.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::join_all;
use reconnecting_stream::testing::Fault;
use tokio::runtime::{Builder, Handle, Runtime};

use super::lab::*;

#[tokio::test]
async fn a_command_reaches_every_open_connection_and_is_done_when_it_returns() {
    let lab = Lab::new([]).await;
    let mut pairs = Vec::new();
    for _ in 0..10 {
        pairs.push(lab.pair().await);
    }
    assert_eq!(lab.proxy.inject(Fault::Stall).await, 10);
    assert_eq!(lab.proxy.stats().stalls, 10);
    // What is stalled already isn't stalled again.
    assert_eq!(lab.proxy.inject(Fault::Stall).await, 10);
    assert_eq!(lab.proxy.stats().stalls, 10);
    assert_eq!(lab.proxy.inject(Fault::Reset).await, 10);
    assert_eq!(lab.proxy.stats().resets, 10);
    for (mut client, mut peer) in pairs {
        assert!(rest(&mut client).await.1.is_some());
        assert!(rest(&mut peer).await.1.is_some());
    }
    assert_eq!(lab.proxy.inject(Fault::Reset).await, 0);
}

#[test]
fn a_fault_is_injected_into_a_connection_that_has_just_connected() {
    on_both_runtimes(|| async {
        let lab = Lab::new([]).await;
        for _ in 0..ROUNDS {
            let client = lab.dial().await;
            assert_eq!(soon(lab.proxy.inject(Fault::Reset)).await, 1);
            assert_reset(client).await;
        }
    });
}

#[test]
fn a_fault_is_injected_into_every_connection_of_threads_that_have_just_connected() {
    on_both_runtimes(|| async {
        let lab = Lab::new([]).await;
        let addr = lab.proxy.addr();
        for _ in 0..ROUNDS / 10 {
            let dial = || tokio::task::spawn_blocking(move || std::net::TcpStream::connect(addr));
            let clients = join_all([(); 8].map(|()| dial())).await;
            assert_eq!(soon(lab.proxy.inject(Fault::Reset)).await, clients.len());
        }
    });
}

#[test]
fn a_command_to_a_connection_that_is_ending_returns() {
    on_both_runtimes(|| async {
        let (proxy, _vacant) = without_a_server().await;
        let proxy = Arc::new(proxy);
        let commands = [(); 2].map(|()| {
            let proxy = Arc::clone(&proxy);
            tokio::spawn(async move {
                for _ in 0..4 * ROUNDS {
                    soon(proxy.resume()).await;
                    tokio::task::yield_now().await;
                }
            })
        });
        while !commands.iter().all(tokio::task::JoinHandle::is_finished) {
            let _client = connect(&proxy).await;
            soon(proxy.inject(Fault::Reset)).await;
        }
        for task in commands {
            task.await.unwrap();
        }
    });
}

#[test]
fn a_resume_reaches_a_connection_that_has_just_connected() {
    on_both_runtimes(|| async {
        let lab = Lab::new([]).await;
        lab.proxy.default_plan(|_| Fault::Stall.into());
        for _ in 0..ROUNDS {
            let mut client = lab.dial().await;
            soon(lab.proxy.resume()).await;
            let mut peer = soon(lab.server.accept()).await.unwrap().0;
            converse(&mut client, &mut peer).await;
            client.set_zero_linger().unwrap();
        }
    });
}

#[test]
fn a_command_that_spares_a_connection_dials_its_server_once() {
    on_both_runtimes(|| async {
        let lab = Lab::new([]).await;
        for _ in 0..ROUNDS {
            let mut client = lab.dial().await;
            let (commands, accepted) = soon(async {
                tokio::join!(
                    async {
                        lab.proxy.resume().await;
                        lab.proxy.inject(Fault::OneByteAtATime).await
                    },
                    lab.server.accept()
                )
            })
            .await;
            assert_eq!(commands, 1);
            converse(&mut client, &mut accepted.unwrap().0).await;
            assert_eq!(lab.proxy.inject(Fault::Reset).await, 1);
            assert!(lab.server.accept().now_or_never().is_none());
        }
    });
}

#[test]
fn a_stall_while_the_proxy_connects_keeps_the_connection_to_the_server() {
    on_both_runtimes(|| async {
        let lab = Lab::new([]).await;
        for _ in 0..ROUNDS {
            let mut client = lab.dial().await;
            assert_eq!(soon(lab.proxy.inject(Fault::Stall)).await, 1);
            soon(lab.proxy.resume()).await;
            let mut peer = soon(lab.server.accept()).await.unwrap().0;
            converse(&mut client, &mut peer).await;
            assert_eq!(soon(lab.proxy.inject(Fault::Reset)).await, 1);
            assert!(lab.server.accept().now_or_never().is_none());
        }
    });
}

#[test]
fn a_command_that_is_dropped_after_its_first_poll_is_carried_out() {
    on_both_runtimes(|| async {
        let lab = Lab::new([]).await;
        for _ in 0..ROUNDS / 10 {
            let client = lab.dial().await;
            let _ = lab.proxy.inject(Fault::Reset).now_or_never();
            assert_reset(client).await;
            let _ = lab.proxy.refuse().now_or_never();
            assert_refused(&lab.proxy).await;
            let _ = lab.proxy.accept().now_or_never();
            lab.dial().await.set_zero_linger().unwrap();
        }
    });
}

#[test]
fn without_a_server_every_command_returns() {
    on_both_runtimes(|| async {
        let (proxy, _vacant) = without_a_server().await;
        for _ in 0..ROUNDS / 10 {
            let clients = join_all([(); 4].map(|()| connect(&proxy))).await;
            soon(proxy.inject(Fault::Stall)).await;
            soon(proxy.resume()).await;
            soon(proxy.refuse()).await;
            soon(proxy.accept()).await;
            soon(proxy.inject(Fault::Fin)).await;
            for mut client in clients.into_iter().flatten() {
                rest(&mut client).await;
            }
        }
        let stats = soon(proxy.wait_for(|stats| stats.open == 0)).await;
        assert_eq!(stats.accepted, 4 * ROUNDS as u64 / 10);
    });
}

#[test]
fn a_drop_of_the_proxy_closes_a_connection_that_has_not_begun() {
    on_both_runtimes(|| async {
        for _ in 0..ROUNDS / 10 {
            let lab = Lab::new([]).await;
            let mut client = lab.dial().await;
            assert_eq!(lab.proxy.stats().open, 1);
            drop(lab.proxy);
            rest(&mut client).await;
        }
    });
}

#[test]
fn commands_that_are_dropped_with_their_proxy_leave_nothing_behind() {
    on_both_runtimes(|| async {
        let metrics = Handle::current().metrics();
        let before = metrics.num_alive_tasks();
        for _ in 0..ROUNDS / 10 {
            let lab = Lab::new([Fault::Stall.into()]).await;
            let (addr, client, proxy) = (lab.proxy.addr(), lab.dial().await, Arc::new(lab.proxy));
            let waits = Arc::clone(&proxy);
            let waits = tokio::spawn(async move { waits.wait_for(|_| false).await });
            let commands = tokio::spawn(async move {
                loop {
                    proxy.inject(Fault::OneByteAtATime).await;
                    proxy.refuse().await;
                    proxy.accept().await;
                    tokio::task::yield_now().await;
                }
            });
            tokio::task::yield_now().await;
            for task in [commands.abort_handle(), waits.abort_handle()] {
                task.abort();
            }
            let _ = soon(join_all([
                commands.map(drop).boxed(),
                waits.map(drop).boxed(),
            ]))
            .await;
            assert_closed(addr).await;
            rest(&mut { client }).await;
        }
        soon(async {
            while metrics.num_alive_tasks() > before {
                tokio::task::yield_now().await;
            }
        })
        .await;
    });
}

#[test]
fn commands_panic_once_the_runtime_of_the_proxy_was_shut_down() {
    in_time(|| {
        let gone = Runtime::new().unwrap();
        let lab = gone.block_on(Lab::new([]));
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            let waits = panic_of(lab.proxy.wait_for(|_| false));
            let shutdown = tokio::task::spawn_blocking(|| drop(gone));
            let (message, shutdown) = tokio::join!(waits, shutdown);
            shutdown.unwrap();
            assert!(message.contains("runtime"), "{message}");
            for _ in 0..3 {
                assert_closed(lab.proxy.addr()).await;
                assert_eq!(panic_of(lab.proxy.inject(Fault::Reset)).await, message);
                assert_eq!(panic_of(lab.proxy.refuse()).await, message);
                assert_eq!(panic_of(lab.proxy.accept()).await, message);
                assert_eq!(panic_of(lab.proxy.wait_for(|_| true)).await, message);
            }
        });
    });
}

#[test]
fn a_command_from_another_runtime_is_carried_out_on_the_own_one() {
    in_time(|| {
        let own = Runtime::new().unwrap();
        let lab = own.block_on(Lab::new([]));
        let other = Builder::new_current_thread().enable_all().build().unwrap();
        other.block_on(async {
            soon(lab.proxy.refuse()).await;
            soon(lab.proxy.accept()).await;
        });
        drop(other);
        own.block_on(async {
            let (mut client, mut peer) = lab.pair().await;
            converse(&mut client, &mut peer).await;
            assert_eq!(lab.proxy.inject(Fault::Reset).await, 1);
        });
    });
}
