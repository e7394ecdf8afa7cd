//! How it ends, and with which status.

use super::*;

#[tokio::test]
async fn netcat_ends_with_its_server_if_the_end_of_stream_is_passed() {
    let (listener, address) = listen().await;
    let mut netcat = Netcat::start(address, &["--eof", "pass"]);
    let mut io = accept(&listener).await;
    io.write_all(b"bye\n").await.unwrap();
    drop(io);
    netcat.prints("bye").await;
    assert!(netcat.exits().await.success());
}

#[tokio::test]
async fn netcat_ends_with_the_first_loss_if_the_seam_is_the_end_of_stream() {
    let (listener, address) = listen().await;
    let mut netcat = Netcat::start(address, &["--seam", "eof"]);
    let io = accept(&listener).await;
    netcat.tells("connection 1 is up").await;
    drop(io);
    netcat.tells("lost connection 1").await;
    assert!(netcat.exits().await.success());
}

#[tokio::test]
async fn netcat_fails_if_the_reply_is_lost_after_the_end_of_stdin() {
    let (listener, address) = listen().await;
    let mut netcat = Netcat::start(address, &[]);
    let mut io = accept(&listener).await;
    netcat.types("question\n").await;
    netcat.ends_stdin();
    assert_eq!(receives(&mut io).await, "question\n");
    assert_eq!(receives(&mut io).await, "");
    reset(io);
    netcat.tells("netcat: connection 1 was lost").await;
    assert_eq!(netcat.exits().await.code(), Some(1));
}

#[tokio::test]
async fn netcat_fails_if_stdin_ends_during_an_outage() {
    let (listener, address) = listen().await;
    let mut netcat = Netcat::start(address, &["--max-attempts", "none"]);
    let io = accept(&listener).await;
    netcat.tells("connection 1 is up").await;
    let _refusing = kill(listener, io).await;
    netcat.tells("attempt 1 failed").await;
    netcat.ends_stdin();
    netcat.tells("there was no connection").await;
    assert_eq!(netcat.exits().await.code(), Some(1));
}

#[tokio::test]
async fn netcat_fails_when_it_gives_up() {
    let (listener, address) = listen().await;
    let mut netcat = Netcat::start(address, &["--max-attempts", "2"]);
    let io = accept(&listener).await;
    netcat.tells("connection 1 is up").await;
    let _refusing = kill(listener, io).await;
    netcat.tells("gave up after 2 attempts").await;
    assert_eq!(netcat.exits().await.code(), Some(1));
}

/// Stdin stays open: a thread of netcat is stuck in a read from it.
#[cfg(unix)]
#[tokio::test]
async fn netcat_is_ended_by_ctrl_c_connected_or_not() {
    for is_connected in [true, false] {
        let (listener, address) = listen().await;
        let mut netcat = Netcat::start(address, &["--max-attempts", "none"]);
        let mut io = accept(&listener).await;
        io.write_all(b"here\n").await.unwrap();
        netcat.prints("here").await;
        let open = if is_connected {
            Ok((listener, io))
        } else {
            let port = kill(listener, io).await;
            netcat.tells("attempt 1 failed").await;
            Err(port)
        };
        interrupt(&netcat.child).await;
        assert!(netcat.exits().await.success());
        drop(open);
    }
}

#[cfg(unix)]
async fn interrupt(child: &Child) {
    let kill = format!("kill -INT {}", child.id().unwrap());
    let status = Command::new("sh").args(["-c", &kill]).status().await;
    assert!(status.unwrap().success());
}

#[tokio::test]
async fn netcat_explains_a_wrong_command_line() {
    for (arguments, complaint) in [
        (&[][..], "expected HOST:PORT, got none"),
        (&["localhost"], "expected HOST:PORT, got localhost"),
        (&[":80"], "expected HOST:PORT, got :80"),
        (&["a:1", "b:2"], "expected one address"),
        (&["--quiet", "a:1"], "--quiet: not an option"),
        (&["a:1", "--seam"], "--seam: expected a value, got none"),
        (
            &["--seam", "x", "a:1"],
            "--seam: expected error or hidden or eof, got x",
        ),
        (
            &["--max-attempts", "x", "a:1"],
            "--max-attempts: expected a number, got x",
        ),
        (
            &["--idle-timeout", "-1", "a:1"],
            "--idle-timeout: expected a number of seconds",
        ),
    ] {
        let output = soon(netcat().args(arguments).output()).await.unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(complaint), "{arguments:?}: {stderr}");
        assert!(output.stdout.is_empty());
    }
}

#[tokio::test]
async fn netcat_prints_its_help() {
    let output = soon(netcat().arg("--help").output()).await.unwrap();
    assert!(output.status.success());
    let help = String::from_utf8(output.stdout).unwrap();
    for option in [
        "--seam",
        "--eof",
        "--retry-initial",
        "--max-attempts",
        "--idle-timeout",
    ] {
        assert!(help.contains(option), "{help}");
    }
}
