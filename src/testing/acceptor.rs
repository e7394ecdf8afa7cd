//! The task that accepts connections, and owns theirs.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};

use super::connection::Connection;
use super::either;
use super::port::{Port, Wanted};
use super::shared::Shared;

/// How long to leave a listener alone that can't accept, as when descriptors run out.
const REST: Duration = Duration::from_millis(10);

enum Event {
    Accepted(io::Result<TcpStream>),
    /// Something else is wanted, perhaps.
    Told,
}

/// Runs until it is aborted, and its connections with it; or until the port is lost.
pub(super) async fn accept(mut port: Port, shared: Arc<Shared>) -> io::Result<()> {
    let mut connections = JoinSet::new();
    let mut wanted = shared.wanted();
    loop {
        let now = *wanted.borrow_and_update();
        port = match now {
            Wanted::Listen => port.listen()?,
            Wanted::RefuseUntil(_) | Wanted::Refuse => port.refuse().await?,
        };
        shared.obeyed(now);
        match event(&port, now, &mut wanted, &shared).await {
            Event::Told => {}
            Event::Accepted(Ok(client)) => {
                while connections.try_join_next().is_some() {}
                connections.spawn(begin(client, &shared));
            }
            Event::Accepted(Err(_)) => sleep(REST).await,
        }
    }
}

async fn event(
    port: &Port,
    now: Wanted,
    wanted: &mut watch::Receiver<Wanted>,
    shared: &Shared,
) -> Event {
    let accepted = async {
        match port {
            Port::Listening(listener) => {
                Event::Accepted(listener.accept().await.map(|(client, _)| client))
            }
            Port::Refusing(_) => std::future::pending().await,
        }
    };
    let told = async {
        let _ = wanted.changed().await;
        Event::Told
    };
    let over = async {
        match now {
            Wanted::RefuseUntil(time) => {
                sleep_until(time).await;
                shared.refused(time);
                Event::Told
            }
            Wanted::Listen | Wanted::Refuse => std::future::pending().await,
        }
    };
    either(accepted, either(told, over)).await
}

fn begin(client: TcpStream, shared: &Arc<Shared>) -> impl Future<Output = ()> + use<> {
    // Without it nothing would go byte by byte. If it fails, the client is gone already.
    let _ = client.set_nodelay(true);
    let (plan, orders) = shared.register();
    Connection::new(Arc::clone(shared), &plan).run(client, plan, orders)
}
