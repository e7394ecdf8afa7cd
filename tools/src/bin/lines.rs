//! A feed of lines whose server dies in the middle of a line, again and again.
//!
//! `cargo run --bin lines` starts a server on a loopback port that sends numbered lines, and
//! breaks off in the middle of one, with a FIN or a reset. The client is
//! `reconnecting_stream_tools::lines`: `LinesCodec` over a `ReconnectingFramed`. `cargo run --bin lines -- 127.0.0.1:7000` reads
//! from another server, such as `socat -u FILE TCP-LISTEN:7000,reuseaddr,fork`.
//!
//! The example ends with its counts, and fails if a line was torn or missing.

use std::env;
use std::error::Error;
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use reconnecting_stream::{Backoff, Policy};
use reconnecting_stream_tools::lines;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::time::timeout;

/// How many lines there are.
const LINES: u32 = 2000;
/// How many more of them each connection sends than the one before.
const MORE: u32 = 100;
/// Nothing here takes that long unless it hangs.
const DEADLINE: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    match env::args().nth(1) {
        Some(address) => {
            let mut lines = lines::connect(address.parse()?, Policy::default()).await?;
            loop {
                println!("{}", lines.next().await?);
            }
        }
        None => timeout(DEADLINE, example())
            .await
            .unwrap_or_else(|_| Err(format!("not over within {DEADLINE:?}").into())),
    }
}

async fn example() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(serve(listener));
    let policy = Policy::default()
        .backoff(Backoff::constant(Duration::from_millis(5)))
        .max_attempts(None);
    let mut lines = lines::connect(address, policy).await?;
    let (mut received, mut twice, mut torn, mut missing) = (0, 0, 0, 0);
    let mut next = 0;
    while next < LINES {
        let arrived = lines.next().await?;
        received += 1;
        let number = arrived.split(' ').nth(1).and_then(|word| word.parse().ok());
        match number {
            Some(number) if arrived == line(number) => {
                missing += number.saturating_sub(next);
                twice += u32::from(number < next);
                next = next.max(number + 1);
            }
            _ => torn += 1,
        }
    }
    server.abort();
    println!("{:6} connections", lines.generation());
    println!("{received:6} lines received");
    println!("{LINES:6} of them new");
    println!("{twice:6} twice, since each connection begins with the first one");
    println!("{missing:6} missing");
    println!("{torn:6} torn");
    if (torn, missing) != (0, 0) || lines.generation() == 1 {
        return Err("expected all lines whole, over more than one connection".into());
    }
    Ok(())
}

fn line(number: u32) -> String {
    format!("line {number} of {LINES}, and that was it")
}

/// Sends the lines from the first one on to each client, some more to each than to the one
/// before, and half a line.
async fn serve(listener: TcpListener) -> io::Result<()> {
    for whole in (0..).step_by(MORE as usize) {
        let (mut io, _) = listener.accept().await?;
        for number in 0..LINES.min(whole) {
            io.write_all(format!("{}\n", line(number)).as_bytes())
                .await?;
        }
        io.write_all(&line(whole).as_bytes()[..15]).await?;
        if whole % 200 == 0 {
            // The client reads before the reset, which throws away what it has not read.
            tokio::time::sleep(Duration::from_millis(10)).await;
            io.set_zero_linger()?;
        }
    }
    Ok(())
}
