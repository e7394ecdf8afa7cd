//! The recipes and the other programs of this package: what they print and their exit status.

use reconnecting_stream_tools::soon::soon;
use tokio::process::Command;

const SIMULATION: &str = env!("CARGO_BIN_EXE_backoff-simulation");
const SOAK: &str = env!("CARGO_BIN_EXE_soak");

fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.kill_on_drop(true);
    command
}

/// Runs a program that checks its own counts, and returns what it prints. Fails unless its exit
/// status is 0.
async fn run(program: &str) -> String {
    let output = soon(command(program).output()).await.unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stdout}{stderr}");
    stdout
}

/// Checks the figures that a program ends with.
fn counts(stdout: &str, rows: &[(u32, &str)]) {
    for (count, row) in rows {
        let row = format!("{count:6} {row}");
        let mut lines = stdout.lines();
        assert!(
            lines.any(|line| line.starts_with(&row)),
            "no {row:?} in {stdout}"
        );
    }
}

#[tokio::test]
async fn the_chat_tears_and_loses_nothing_and_says_so() {
    let rows = [
        (16, "resets"),
        (2000, "messages sent, half of them by each"),
        (2000, "messages shown by the server"),
        (4000, "messages received, all by both"),
        (0, "torn"),
        (0, "missing"),
    ];
    counts(&run(env!("CARGO_BIN_EXE_chat")).await, &rows);
}

#[tokio::test]
async fn the_redis_recipe_misses_nothing_and_says_so() {
    let stdout = run(env!("CARGO_BIN_EXE_redis")).await;
    if stdout.starts_with("redis-server is not installed") {
        reconnecting_stream_tools::program::skip("redis-server not on PATH");
        return;
    }
    let rows = [
        (2, "times the server killed"),
        (1000, "messages published"),
        (0, "torn"),
        (0, "missing"),
        (40_000, "commands written"),
        (0, "in the hash twice"),
    ];
    counts(&stdout, &rows);
}

#[tokio::test]
async fn the_tls_recipe_resumes_its_sessions_and_loses_no_line_and_says_so() {
    let rows = [
        (9, "connections"),
        (3, "full handshakes"),
        (6, "sessions resumed"),
        (450, "lines answered"),
        (0, "wrong"),
    ];
    counts(&run(env!("CARGO_BIN_EXE_tls")).await, &rows);
}

#[tokio::test]
async fn the_http_recipe_gets_the_right_responses_and_says_so() {
    let rows = [
        (1000, "requests, one in 4 of them a POST"),
        (0, "answered wrong"),
    ];
    counts(&run(env!("CARGO_BIN_EXE_http")).await, &rows);
}

#[tokio::test]
async fn the_websocket_recipe_misses_nothing_and_says_so() {
    let rows = [(
        2000,
        "messages received, all of them whole, once, and in order",
    )];
    counts(&run(env!("CARGO_BIN_EXE_websocket")).await, &rows);
}

#[tokio::test]
async fn the_proxy_mixes_nothing_up_and_says_so() {
    let rows = [
        (10, "had their answers, the first after it had waited"),
        (10, "were reset with their upstream"),
        (0, "got what was not theirs, or not all of it"),
    ];
    counts(&run(env!("CARGO_BIN_EXE_proxy")).await, &rows);
}

#[tokio::test]
async fn the_lines_recipe_gets_whole_lines_and_says_so() {
    let rows = [(2000, "of them new"), (0, "missing"), (0, "torn")];
    counts(&run(env!("CARGO_BIN_EXE_lines")).await, &rows);
}

#[tokio::test]
async fn the_simulation_is_the_same_with_the_same_seed() {
    let folder = tempfile::tempdir().unwrap();
    let mut runs = Vec::new();
    for (file, seed) in [("a.svg", "7"), ("b.svg", "7"), ("c.svg", "8")] {
        let chart = folder.path().join(file);
        let output = command(SIMULATION)
            .args(["--clients", "200", "--backlog", "0", "--seed", seed])
            .arg(&chart)
            .output();
        let output = soon(output).await.unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{stderr}");
        let chart = std::fs::read_to_string(chart).unwrap();
        assert!(chart.contains("200 clients lose their server"));
        assert!(chart.trim_end().ends_with("</svg>"));
        runs.push((String::from_utf8(output.stdout).unwrap(), chart));
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
    let (table, _) = &runs[0];
    assert!(
        table.contains("## 200 clients, 10 connections a second, no backlog, an outage of 60 s")
    );
    let without_jitter = row(table, "| none | 100 ms to 10 s |");
    let with_jitter = row(table, "| full | 100 ms to 10 s |");
    assert_eq!(without_jitter[3], "200", "all of them in 100 ms");
    assert!(
        with_jitter[3].parse::<u32>().unwrap() < 50,
        "{with_jitter:?}"
    );
}

/// The cells of a row, the first of them empty.
fn row<'a>(table: &'a str, start: &str) -> Vec<&'a str> {
    let row = table.lines().find(|line| line.starts_with(start));
    row.unwrap().split('|').map(str::trim).collect()
}

#[tokio::test]
async fn the_simulation_explains_a_wrong_command_line() {
    for (arguments, complaint) in [
        (&["--clients", "0"][..], "--clients: expected at least 1"),
        (&["--seed", "x"], "--seed: expected a number, got x"),
        (&["--rate"], "--rate: expected a value, got none"),
        (&["--fast", "1"], "--fast: not an option"),
        (&["a.svg", "b.svg"], "expected one file"),
    ] {
        let output = soon(command(SIMULATION).args(arguments).output()).await;
        let output = output.unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(complaint), "{arguments:?}: {stderr}");
    }
}

#[tokio::test]
async fn the_soak_finds_nothing_wrong_and_says_with_which_seed() {
    let mut soak = command(SOAK);
    let output = soon(soak.args(["--seconds", "2", "--seed", "5"]).output())
        .await
        .unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stdout}{stderr}");
    assert!(stdout.starts_with("seed 5, 2s\n"), "{stdout}");
    assert!(stdout.contains("nothing was wrong"), "{stdout}");
}

#[tokio::test]
async fn the_soak_of_sessions_finds_nothing_wrong() {
    let mut soak = command(SOAK);
    let soak = soak.args(["--seconds", "2", "--seed", "5", "--sessions", "8"]);
    let output = soon(soak.output()).await.unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stdout}{stderr}");
    assert!(stdout.contains("nothing was wrong"), "{stdout}");
}

#[tokio::test]
async fn the_soak_explains_a_wrong_command_line() {
    for arguments in [&["--minutes"][..], &["--seed", "x"], &["--quiet", "1"]] {
        let output = soon(command(SOAK).args(arguments).output()).await.unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}
