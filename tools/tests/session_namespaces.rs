//! Sessions over real packets that are lost: in network namespaces of the test's own the address of the
//! server is taken away, the wire is cut, and one packet in a hundred is dropped. Needs root.
//!
//! The server and the client are processes in their namespaces: this file, run again.
#![cfg(target_os = "linux")]

#[path = "half_open_peer/namespaces.rs"]
#[allow(dead_code, reason = "another test uses the rest")]
mod namespaces;
#[path = "half_open_peer/process.rs"]
mod process;

use std::env;
use std::process::{Command, Stdio};
use std::time::Duration;

use namespaces::{Namespaces, ip};
use process::{Process, ROLE};
use reconnecting_stream::{
    Backoff, Endpoint, Event, Policy, ResumableListener, ResumableStream, SessionOptions,
    TcpConnector,
};
use reconnecting_stream_tools::program::{are_installed, tell};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, split};
use tokio::time::{sleep, timeout};

/// Long enough for a busy machine; nothing waits for it unless it fails.
const DEADLINE: Duration = Duration::from_secs(100);

/// Of the documentation (RFC 5737): they exist in the namespaces only.
const FIRST: &str = "192.0.2.2";
const SECOND: &str = "198.51.100.2";
const PORT: u16 = 7000;

/// How many numbers go to the server and back.
const NUMBERS: u64 = 600;
const MS: Duration = Duration::from_millis(1);

/// Not a test, but a part of them.
#[tokio::test]
async fn this_process_is_the_peer_if_a_test_started_it() {
    let Ok(role) = env::var(ROLE) else { return };
    let work = async {
        match role.as_str() {
            "server" => serve().await,
            "client" => talk(None).await,
            "client that reconnects" => talk(Some(50)).await,
            other => panic!("{other}"),
        }
    };
    timeout(DEADLINE, work).await.expect("it hangs");
}

fn options() -> SessionOptions {
    SessionOptions::new()
        .ping_after(300 * MS)
        .dead_after(700 * MS)
        .max_resumes_per_second(1_000)
}

/// Returns to each client what it sends.
async fn serve() {
    let listener = ResumableListener::builder().options(options());
    let listener = listener.bind(("0.0.0.0", PORT)).await.unwrap();
    println!("<listening> {PORT}");
    for number in 1.. {
        let stream = listener.accept().await.unwrap();
        println!("<session> {number}");
        tokio::spawn(async move {
            let (mut reader, mut writer) = split(stream);
            let bytes = copy(&mut reader, &mut writer).await.unwrap();
            writer.shutdown().await.unwrap();
            println!("<served> {bytes}");
        });
    }
}

/// Sends numbers, and expects them back. Replaces its connection after so many.
async fn talk(reconnect_after: Option<u64>) {
    let connector = TcpConnector::any_of([FIRST, SECOND].map(|ip| Endpoint::from((ip, PORT))));
    // Neither of them finds a dead connection here: the session does.
    let connector = connector.keepalive(None).user_timeout(None);
    let policy = Policy::default()
        .backoff(Backoff::constant(20 * MS))
        .attempt_timeout(500 * MS)
        .max_attempts(None);
    let client = ResumableStream::builder(connector)
        .policy(policy)
        .options(options())
        .on_event(|event: &Event| {
            if let Event::Lost { cause, .. } = event {
                println!("<lost> {cause}");
            }
        })
        .connect()
        .await
        .unwrap();
    let handle = client.handle();
    let (mut reader, mut writer) = client.into_split();
    let write = async {
        for number in 0..NUMBERS {
            writer.write_u64(number).await.unwrap();
            sleep(5 * MS).await;
        }
        writer.shutdown().await.unwrap();
    };
    let read = async {
        for number in 0..NUMBERS {
            assert_eq!(reader.read_u64().await.unwrap(), number);
            if number == 10 {
                println!("<up> {number}");
            }
            if reconnect_after.is_some_and(|count| number % count == count - 1) {
                handle.reconnect();
            }
        }
        assert_eq!(reader.read(&mut [0]).await.unwrap(), 0);
    };
    tokio::join!(write, read);
    println!("<done> {:?}", handle.state());
}

/// A client that talks to a server, and their network.
struct Talk {
    client: Process,
    server: Process,
    namespaces: Namespaces,
}

impl Talk {
    fn begin(test: &str, client: &str) -> Option<Self> {
        let namespaces = Namespaces::new(test)?;
        let mut server = Process::start(&namespaces.server(), "server");
        server.says("listening");
        let client = Process::start(&namespaces.client(), client);
        Some(Self {
            client,
            server,
            namespaces,
        })
    }

    /// Waits for the end: the client has its own numbers back, from one session.
    fn end(mut self, test: &str) {
        let state = self.client.says("done");
        let bytes = self.server.says("served");
        assert_eq!(bytes, (8 * NUMBERS).to_string());
        tell(format_args!(
            "{test}: {bytes} bytes there and back, at last {state}"
        ));
    }
}

#[test]
fn a_session_continues_at_another_address_when_its_host_vanishes() {
    let Some(mut talk) = Talk::begin("v", "client") else {
        return;
    };
    assert_eq!(talk.server.says("session"), "1");
    talk.client.says("up");
    // The server's end of the old connection stays open, and is not waited for.
    talk.namespaces.take_away(FIRST);
    assert_eq!(talk.client.says("lost"), "the peer is silent");
    talk.end("a host that vanished");
}

#[test]
fn a_session_continues_when_the_wire_was_cut_for_longer_than_both_ends_wait() {
    let Some(mut talk) = Talk::begin("b", "client") else {
        return;
    };
    talk.client.says("up");
    let client = talk.namespaces.client();
    assert!(ip(&["-n", &client, "link", "set", "v", "down"]));
    talk.client.says("lost");
    std::thread::sleep(Duration::from_secs(2));
    assert!(ip(&["-n", &client, "link", "set", "v", "up"]));
    talk.end("a cut wire");
}

#[test]
fn a_session_continues_over_a_network_that_loses_one_packet_in_a_hundred() {
    if !are_installed(&["nft"]) {
        return;
    }
    let Some(talk) = Talk::begin("l", "client that reconnects") else {
        return;
    };
    for namespace in [talk.namespaces.server(), talk.namespaces.client()] {
        let rules = "add table inet f; \
             add chain inet f o { type filter hook output priority 0; }; \
             add rule inet f o numgen random mod 100 < 1 drop";
        let nft = Command::new("ip")
            .args(["netns", "exec", &namespace, "nft", rules])
            .stderr(Stdio::inherit())
            .status();
        assert!(nft.unwrap().success());
    }
    talk.end("one packet in a hundred is lost");
}
