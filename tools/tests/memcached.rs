//! A real memcached: a client that matches replies to commands over `ReconnectingFramed`, while
//! its connections are reset.
#![cfg(target_os = "linux")]

#[path = "memcached/client.rs"]
mod client;
#[path = "memcached/codec.rs"]
mod codec;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use client::Client;
use codec::{Command, MemcachedCodec, Reply};
use fastrand::Rng;
use futures::{SinkExt, StreamExt};
use reconnecting_stream::testing::{Direction, Fault, FaultProxy, Plan};
use reconnecting_stream::{
    Backoff, Builder, Connect, FramedOptions, Policy, ReconnectingFramed, Seam,
};
use reconnecting_stream_tools::numbered::message;
use reconnecting_stream_tools::program::{Program, are_installed, free_port, tell};
use reconnecting_stream_tools::resets::resetting_proxy;
use reconnecting_stream_tools::soon::soon;
use tokio::net::TcpStream;

const BATCHES: u32 = 1_000;
/// From one reset between two batches to the next.
const BATCHES_PER_RESET: u32 = 10;
const KEYS: u32 = 100;

fn start() -> Program {
    let port = free_port();
    let number = port.to_string();
    // It does not run as root unless it is told to. With one thread it executes what a connection
    // has brought before it serves the next one.
    let args = ["-l", "127.0.0.1", "-p", &number, "-u", "root", "-t", "1"];
    Program::start("memcached", port, args)
}

async fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

fn builder(
    address: SocketAddr,
) -> Builder<
    impl Connect<Io = TcpStream, Future: Send> + Send + Sync,
    FramedOptions<TcpStream, MemcachedCodec>,
> {
    let policy = Policy::default()
        .backoff(Backoff::constant(Duration::from_millis(1)))
        .max_attempts(None);
    ReconnectingFramed::builder(move || dial(address), MemcachedCodec)
        .policy(policy)
        .retry_initial_connect(true)
}

fn key(number: u32) -> String {
    format!("key{number}")
}

fn get(number: u32) -> Command {
    Command::Get { key: key(number) }
}

/// What is stored, and what is not yet.
struct Model {
    rng: Rng,
    /// The message that is the value of each key.
    stored: Vec<Option<u32>>,
    next: u32,
}

impl Model {
    fn new() -> Self {
        Self {
            rng: Rng::with_seed(1),
            stored: vec![None; KEYS as usize],
            next: 0,
        }
    }

    /// Up to 8 keys, each once, since a command that is sent again comes after the others.
    fn some_keys(&mut self) -> Vec<u32> {
        let amount = self.rng.usize(1..=8);
        self.rng.choose_multiple(0..KEYS, amount)
    }

    fn sets(&mut self, keys: &[u32]) -> Vec<Command> {
        let set = |&number: &u32| {
            let value = message(self.next);
            self.stored[number as usize] = Some(self.next);
            self.next += 1;
            let key = key(number);
            Command::Set { key, value }
        };
        keys.iter().map(set).collect()
    }

    fn expected(&self, number: u32) -> Reply {
        let stored = self.stored[number as usize];
        stored.map_or(Reply::Missing, |number| {
            Reply::Value(message(number).into())
        })
    }
}

#[tokio::test]
async fn every_reply_is_the_one_to_its_command_under_resets() {
    if !are_installed(&["memcached"]) {
        return;
    }
    let server = start();
    let proxy = resetting_proxy(server.address(), 16).await;
    let framed = builder(proxy.addr()).seam(Seam::Error).connect();
    let mut client = Client::new(soon(framed).await.unwrap());
    let mut model = Model::new();
    let mut replies = 0;
    for batch in 0..BATCHES {
        if batch % BATCHES_PER_RESET == 0 {
            // While nothing is open: the next command is the first to meet it.
            soon(proxy.inject(Fault::Reset)).await;
        }
        let keys = model.some_keys();
        let stored = client.call(&model.sets(&keys)).await.unwrap();
        assert_eq!(stored, vec![Reply::Stored; keys.len()]);

        let keys = model.some_keys();
        let gets: Vec<_> = keys.iter().copied().map(get).collect();
        let values = client.call(&gets).await.unwrap();
        let expected: Vec<_> = keys.iter().map(|&key| model.expected(key)).collect();
        assert!(values == expected, "a wrong reply to {gets:?}");
        replies += stored.len() + values.len();
    }
    let (retried, resets) = (client.retried, proxy.stats().resets);
    tell(format_args!(
        "{replies} replies, 0 wrong, {retried} commands retried, {resets} resets"
    ));
    assert!(resets > 20 && retried > 20);
}

/// Clients that match replies to commands in order, and do without what `Client` does.
mod controls {
    use super::*;

    /// Stores a value for each key, on a connection that is not reset.
    async fn store(server: &Program, model: &mut Model, keys: &[u32]) {
        let framed = builder(server.address()).seam(Seam::Error).connect();
        let mut client = Client::new(soon(framed).await.unwrap());
        let stored = client.call(&model.sets(keys)).await.unwrap();
        assert_eq!(stored, vec![Reply::Stored; keys.len()]);
    }

    #[tokio::test]
    async fn a_client_with_a_hidden_seam_gets_the_replies_of_other_commands() {
        if !are_installed(&["memcached"]) {
            return;
        }
        let server = start();
        let mut model = Model::new();
        store(&server, &mut model, &[0, 1, 2]).await;
        let proxy = FaultProxy::start(server.address()).await.unwrap();
        // In the middle of the first reply, of which the client may get less than that.
        let plan = Plan::new().after(5, Direction::ToClient, Fault::Reset);
        proxy.script([plan]);
        let framed = builder(proxy.addr()).seam(Seam::Hidden).connect();
        let mut framed = soon(framed).await.unwrap();
        soon(framed.feed(get(0))).await.unwrap();
        soon(framed.send(get(1))).await.unwrap();
        soon(proxy.wait_for(|stats| stats.resets == 1)).await;
        soon(framed.send(get(2))).await.unwrap();
        let first = soon(framed.next()).await.unwrap().unwrap();
        assert_eq!(first, model.expected(2));
        assert_ne!(first, model.expected(0));
    }
}
