//! While nothing happens the proxy waits, and does not spin, under both of Tokio's clocks.

use std::future::Future;
use std::thread;
use std::time::{Duration, Instant};

use reconnecting_stream::testing::{Direction, Fault, Plan};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use super::lab::*;

/// Waits in real time. The runtime is idle meanwhile, so that a paused clock is advanced.
pub(crate) async fn idle(time: Duration) {
    let (sender, receiver) = oneshot::channel();
    thread::spawn(move || {
        thread::sleep(time);
        let _ = sender.send(());
    });
    receiver.await.unwrap();
}

/// Asserts that nothing happens but some 10 times in 100 ms.
async fn assert_idle() {
    let parks = || Handle::current().metrics().worker_park_count(0);
    idle(20 * MS).await;
    let (before, begun) = (parks(), Instant::now());
    idle(100 * MS).await;
    let (parks, rests) = (parks() - before, begun.elapsed().as_secs_f64() * 100.0);
    let allowed = 50.0 + 3.0 * rests;
    assert!(parks > 0, "it never waits");
    assert!((parks as f64) < allowed, "{parks} times in {rests} rests");
}

fn on_a_runtime<T: Future<Output = ()>>(
    is_paused: bool,
    test: impl FnOnce() -> T + Send + 'static,
) {
    in_time(move || {
        let mut runtime = Builder::new_current_thread();
        runtime.enable_all().start_paused(is_paused);
        runtime.build().unwrap().block_on(test());
    });
}

#[test]
fn the_proxy_does_not_spin_with_connections_in_every_state() {
    on_a_runtime(false, || async {
        let lab = Lab::new([]).await;
        let mut pairs = Vec::new();
        for fault in [None, Some(Fault::Stall), Some(Fault::HalfOpen)] {
            for is_finished in [false, true] {
                let plan = Plan::new();
                let plan = fault.map_or(plan.clone(), |fault| {
                    plan.after(1, Direction::ToServer, fault)
                });
                lab.proxy.script([plan]);
                let (mut client, mut peer) = lab.pair().await;
                client.write_all(b"x").await.unwrap();
                soon(peer.read_u8()).await.unwrap();
                client.write_all(b"more").await.unwrap();
                let _ = peer.write_all(b"more").await;
                if is_finished {
                    client.shutdown().await.unwrap();
                }
                pairs.push((client, peer));
            }
        }
        lab.proxy.refuse().await;
        assert_idle().await;
        lab.proxy.accept().await;
        assert_idle().await;
    });
}

#[test]
fn commands_under_a_paused_clock_last_until_they_are_revoked() {
    on_a_runtime(true, || async {
        let lab = Lab::new([]).await;
        for relayed in 0..10 {
            let _client = lab.dial().await;
            assert_eq!(lab.proxy.inject(Fault::Reset).await, 1);
            lab.proxy.refuse().await;
            idle(MS).await;
            assert!(TcpStream::connect(lab.proxy.addr()).await.is_err());
            lab.proxy.accept().await;

            let mut client = lab.dial().await;
            assert_eq!(lab.proxy.inject(Fault::Stall).await, 1);
            client.write_all(b"x").await.unwrap();
            idle(MS).await;
            assert_eq!(lab.proxy.stats().to_server, relayed);
            lab.proxy.resume().await;
            loop {
                let mut peer = lab.server.accept().await.unwrap().0;
                // One of those that were reset is none.
                if let Ok(byte) = peer.read_u8().await {
                    break assert_eq!(byte, b'x');
                }
            }
            assert_eq!(lab.proxy.inject(Fault::Reset).await, 1);
        }
    });
}

/// Without descriptors a listener stays readable, and `accept` fails.
#[cfg(target_os = "linux")]
mod out_of_descriptors {
    use std::env;
    use std::fs::File;
    use std::process::Command;

    use super::*;

    const NAME: &str = "idle::out_of_descriptors::the_proxy_does_not_spin_without_descriptors_and_its_commands_return";

    #[test]
    fn the_proxy_does_not_spin_without_descriptors_and_its_commands_return() {
        if env::var_os("FEW_DESCRIPTORS").is_some() {
            for is_paused in [false, true] {
                on_a_runtime(is_paused, move || use_a_proxy(is_paused));
            }
            return;
        }
        let mut again = Command::new("sh");
        again.args(["-c", "ulimit -n 64 && exec \"$0\" --exact \"$1\""]);
        again.arg(env::current_exe().unwrap()).arg(NAME);
        let output = again.env("FEW_DESCRIPTORS", "yes").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("1 passed"), "{output:?}");
    }

    async fn use_a_proxy(is_paused: bool) {
        let lab = Lab::new([]).await;
        let (_first, _peer) = lab.pair().await;
        let exhaust = || std::iter::from_fn(|| File::open("/dev/null").ok()).collect::<Vec<_>>();
        let mut files = exhaust();
        files.pop().expect("descriptors were left");
        let mut client = lab.dial().await;
        let begun = tokio::time::Instant::now();
        assert_idle().await;
        assert!(!is_paused || begun.elapsed().is_zero());
        assert_eq!(lab.proxy.inject(Fault::OneByteAtATime).await, 1);
        assert_eq!(lab.proxy.stats().accepted, 1);

        // It waits until there are some.
        drop(files);
        client.write_all(b"x").await.unwrap();
        let mut peer = lab.server.accept().await.unwrap().0;
        assert_eq!(peer.read_u8().await.unwrap(), b'x');

        for _ in 0..3 {
            let files = exhaust();
            lab.proxy.refuse().await;
            lab.proxy.accept().await;
            drop(files);
            lab.dial().await;
        }
    }
}
