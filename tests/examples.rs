//! The examples as programs that run by themselves: what they print and their exit status.

#[cfg(all(feature = "testing", unix))]
#[path = "examples/fault_proxy.rs"]
mod fault_proxy;
mod support;

use support::example::example;
use support::soon;

/// Runs an example and returns what it prints. Fails unless its exit status is 0.
async fn run(name: &str) -> String {
    let output = soon(example(name).output()).await.unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stdout}{stderr}");
    stdout
}

#[tokio::test]
async fn the_demo_gets_every_answer_from_a_server_that_crashes_twice() {
    let stdout = run("demo").await;
    let count = |line: &str| stdout.lines().filter(|l| l.contains(line)).count();
    for number in 1..=9 {
        assert_eq!(count(&format!("client: answer to request {number}")), 1);
    }
    assert_eq!(count("server: crashes"), 2, "{stdout}");
    assert_eq!(count("client: connection lost: "), 2, "{stdout}");
    assert_eq!(count("client: connection 3 is up"), 1, "{stdout}");
}

#[tokio::test]
async fn the_login_is_made_on_every_connection() {
    let stdout = run("login").await;
    for line in ["connection 1: a", "connection 2: b", "connection 3: c"] {
        assert!(stdout.lines().any(|l| l == line), "{stdout}");
    }
}

#[tokio::test]
async fn a_framed_request_is_answered_after_a_reset() {
    let stdout = run("framed_messages").await;
    for line in [
        "connection 1: answer to request 2",
        "connection 2: answer to request 3",
        "connection 3: answer to request 6",
    ] {
        assert!(stdout.lines().any(|l| l == line), "{stdout}");
    }
}

#[tokio::test]
async fn the_websocket_subscription_misses_no_message() {
    let stdout = run("websocket").await;
    let messages: Vec<_> = stdout
        .lines()
        .filter_map(|line| line.split("message ").nth(1))
        .collect();
    assert_eq!(messages, ["1", "2", "3", "4", "5", "6", "7", "8", "9"]);
}

#[cfg(all(feature = "session", feature = "testing"))]
#[tokio::test]
async fn the_session_loses_no_byte() {
    let stdout = run("session").await;
    for line in ["lost: 0 bytes", "checksums: equal"] {
        assert!(stdout.lines().any(|l| l == line), "{stdout}");
    }
}

#[cfg(feature = "rustls")]
#[tokio::test]
async fn the_tls_sessions_are_resumed() {
    let stdout = run("tls").await;
    for line in [
        "connection 1: a, Some(Full)",
        "connection 2: b, Some(Resumed)",
        "connection 3: c, Some(Resumed)",
    ] {
        assert!(stdout.lines().any(|l| l == line), "{stdout}");
    }
}

#[tokio::test]
async fn the_http_requests_are_answered_and_two_of_them_repeated() {
    let stdout = run("http").await;
    let count = |words: &str| stdout.lines().filter(|l| l.contains(words)).count();
    assert_eq!(count("hello"), 6, "{stdout}");
    assert_eq!(count("is sent again"), 2, "{stdout}");
}

#[tokio::test]
async fn the_supervised_client_answers_every_query() {
    let stdout = run("supervised_client").await;
    for number in 1..=5 {
        let row = format!("row of query {number}");
        assert!(stdout.lines().any(|l| l.ends_with(&row)), "{stdout}");
    }
}
