//! tarpc over connections that are reset: each call gets its reply.
//!
//! `cargo run -p reconnecting-stream-clients --example tarpc` starts the server itself.

use std::error::Error;
use std::io;
use std::net::SocketAddr;

use futures::StreamExt;
use reconnecting_stream::testing::{Direction, Fault, FaultProxy, Plan};
use reconnecting_stream::{Policy, TcpConnector};
use reconnecting_stream_clients::tarpc::Transport;
use tarpc::client::Config;
use tarpc::context::{self, Context};
use tarpc::server::{BaseChannel, Channel};
use tokio::net::TcpListener;
use tokio_serde::formats::Json;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

#[tarpc::service]
trait World {
    /// Idempotent: a call whose connection is lost is executed again.
    async fn hello(name: String) -> String;
}

#[derive(Clone)]
struct Server;

impl World for Server {
    async fn hello(self, _: Context, name: String) -> String {
        format!("Hello, {name}!")
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let proxy = FaultProxy::start(serve().await?).await?;
    proxy.default_plan(|_| Plan::new().after(1_000, Direction::ToServer, Fault::Reset));

    let connector = TcpConnector::new(proxy.addr().to_string());
    let transport = Transport::lazy(connector, Policy::default(), 1 << 20);
    let client = WorldClient::new(Config::default(), transport).spawn();
    for number in 1..=50 {
        let reply = client.hello(context::current(), format!("caller {number}"));
        println!("{} ({} resets)", reply.await?, proxy.stats().resets);
    }
    Ok(())
}

/// A server as it is without this crate.
async fn serve() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let frames = Framed::new(socket, LengthDelimitedCodec::new());
            let transport = tarpc::serde_transport::new(frames, Json::default());
            let requests = BaseChannel::with_defaults(transport).execute(Server.serve());
            tokio::spawn(requests.for_each(|reply| async {
                tokio::spawn(reply);
            }));
        }
    });
    Ok(address)
}
