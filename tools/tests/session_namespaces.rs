//! Sessions between two hosts, with real packets: the wire is taken away, a host vanishes, packets are
//! lost. In network namespaces of the test's own. Needs root.
//!
//! The server and the client are processes in their namespaces: this file, run again.
#![cfg(target_os = "linux")]

#[allow(dead_code, reason = "no name is resolved here")]
#[path = "half_open_peer/namespaces.rs"]
mod namespaces;
#[path = "half_open_peer/process.rs"]
mod process;
#[path = "session_namespaces/roles.rs"]
mod roles;

use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use namespaces::Namespaces;
use process::Process;
use reconnecting_stream_tools::program::{are_installed, tell};

/// Of the documentation (RFC 5737): they exist in the namespaces only.
const FIRST: &str = "192.0.2.2";
const SECOND: &str = "198.51.100.2";
const PORT: u16 = 7000;

/// The test that is an end of a session.
const END: &str = "roles::this_process_is_an_end_if_a_test_started_it";

/// Begins a session between the namespaces, and moves some of its bytes.
fn begin(test: &str, server: &str, client: &str) -> Option<(Namespaces, Process, Process)> {
    let namespaces = Namespaces::new(test)?;
    let mut server = Process::start(END, &namespaces.server(), server);
    server.says("listening");
    let mut client = Process::start(END, &namespaces.client(), client);
    client.says("moving");
    Some((namespaces, server, client))
}

/// Waits for the client to have got every byte back. Returns on how many connections.
fn finish(mut client: Process) -> u64 {
    client.says("complete").parse().unwrap()
}

fn wire(namespaces: &Namespaces, is_up: bool) {
    let state = if is_up { "up" } else { "down" };
    let server = namespaces.server();
    let args = ["-n", &server, "link", "set", "v", state];
    assert!(Command::new("ip").args(args).status().unwrap().success());
}

#[test]
fn a_session_continues_after_both_ends_have_found_a_black_hole() {
    let Some((namespaces, mut server, mut client)) = begin("b", "server", "client") else {
        return;
    };
    wire(&namespaces, false);
    let cut = Instant::now();
    client.says("lost");
    server.says("lost");
    tell(format_args!(
        "both ends noticed within {:.1?}",
        cut.elapsed()
    ));
    sleep(Duration::from_secs(1));
    wire(&namespaces, true);
    assert!(finish(client) > 1);
}

#[test]
fn a_resume_does_not_wait_for_the_connection_that_the_server_still_has() {
    let Some((namespaces, _server, mut client)) = begin("t", "patient server", "client") else {
        return;
    };
    namespaces.take_away(FIRST);
    let gone = Instant::now();
    client.says("lost");
    let noticed = gone.elapsed();
    assert!(finish(client) > 1);
    // The server would have found the dead connection after minutes.
    tell(format_args!(
        "noticed after {noticed:.1?}, complete {:.1?} later",
        gone.elapsed() - noticed
    ));
    assert!(gone.elapsed() < Duration::from_secs(50));
}

#[test]
fn a_client_continues_from_another_address_when_its_own_vanishes() {
    let Some((namespaces, mut server, mut client)) = begin("c", "server", "client") else {
        return;
    };
    Namespaces::take_away_from(&namespaces.client(), "192.0.2.1");
    client.says("lost");
    assert!(finish(client) > 1);
    // The server has replaced the connection, or has found that it is dead.
    server.says("served");
}

/// Drops one packet of a hundred that a host sends.
fn lose_packets(namespace: &str) {
    let rule = "oifname v numgen random mod 100 < 1 drop";
    let table = format!(
        "add table inet f; add chain inet f o {{ type filter hook output priority 0; }}; add rule inet f o {rule}"
    );
    let in_namespace = ["netns", "exec", namespace, "nft", &table];
    let nft = Command::new("ip").args(in_namespace).status();
    assert!(nft.unwrap().success());
    let sizes = ["gso_max_size", "1500", "gso_max_segs", "1"];
    let link = ["-n", namespace, "link", "set", "dev", "v"];
    let ip = Command::new("ip")
        .args([&link[..], &sizes].concat())
        .status();
    assert!(ip.unwrap().success());
}

#[test]
fn a_session_loses_nothing_where_packets_are_lost_and_late_and_connections_are_cut() {
    if !are_installed(&["nft"]) {
        return;
    }
    let Some((namespaces, _server, client)) = begin("l", "server", "slow client") else {
        return;
    };
    for namespace in [namespaces.server(), namespaces.client()] {
        lose_packets(&namespace);
    }
    let connections = finish(client);
    assert!(connections > 3, "{connections}");
}
