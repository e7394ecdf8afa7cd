//! What a figure was measured on.

use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

/// The processor, the kernel, the compiler and the day, in one line.
pub fn machine() -> String {
    let cores = available_parallelism().map_or(1, usize::from);
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1))
        .unwrap_or("an unknown processor");
    format!(
        "{cpu}, {cores} cores; {}; {}; {}",
        said(&["uname", "-sr"]),
        said(&["rustc", "--version"]),
        said(&["date", "-u", "+%Y-%m-%d"]),
    )
}

fn said(command: &[&str]) -> String {
    let output = Command::new(command[0]).args(&command[1..]).output();
    let said = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    said.unwrap_or_else(|_| format!("no {}", command[0]))
}
