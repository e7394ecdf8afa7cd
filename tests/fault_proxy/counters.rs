//! The counters: what they include, and that those who wait for them may use the proxy.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use reconnecting_stream::testing::FaultProxy;
use tokio::runtime::Runtime;

use super::lab::*;

#[test]
fn the_counts_include_a_connection_that_has_just_connected() {
    on_both_runtimes(|| async {
        let lab = Lab::new([]).await;
        let mut clients = Vec::new();
        for round in 1..=100 {
            clients.push(lab.dial().await);
            assert_eq!(lab.proxy.stats().accepted, round);
            assert_eq!(lab.proxy.stats().open, round);
        }
    });
}

/// A waker that asks for the counters.
struct Asks(Arc<FaultProxy>);

impl Wake for Asks {
    fn wake(self: Arc<Self>) {
        let _ = self.0.stats();
    }
}

#[test]
fn a_waker_may_use_the_proxy() {
    in_time(|| {
        let runtime = Runtime::new().unwrap();
        let lab = runtime.block_on(Lab::new([]));
        let proxy = Arc::new(lab.proxy);
        let waker = Waker::from(Arc::new(Asks(Arc::clone(&proxy))));
        for accepted in 1..=ROUNDS as u64 {
            let mut waits = pin!(proxy.wait_for(|stats| stats.accepted == accepted));
            let mut cx = Context::from_waker(&waker);
            assert!(waits.as_mut().poll(&mut cx).is_pending());
            let client = std::net::TcpStream::connect(proxy.addr()).unwrap();
            assert_eq!(proxy.stats().accepted, accepted);
            runtime.block_on(soon(waits));
            drop(client);
        }
    });
}
