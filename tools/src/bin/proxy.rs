//! A TCP proxy over `tokio::io::copy_bidirectional`, whose upstream is restarted.
//!
//! `cargo run --bin proxy -- 127.0.0.1:8080 127.0.0.1:6379` passes whatever connects to the
//! first address on to the second. Without arguments it is a demonstration: an upstream that
//! answers with what it was sent, is down when the first client comes, and then dies under every
//! other client. `proxy.rs` is worth copying, and this is what each [`Seam`] does to a proxy:
//!
//! | | upstream is down when a client comes | upstream dies in the middle |
//! |---|---|---|
//! | no reconnecting stream | the client is dropped | the client is reset |
//! | [`Seam::Error`], `Eof::Pass` (this example) | the client waits | the client is reset |
//! | [`Seam::Hidden`] | the client waits | the client's bytes continue in the middle, to a server that has not seen their beginning, and some are lost: only for bytes that stand for themselves and go one way, as measurements do |
//! | [`Seam::Eof`] | the client waits | the client takes half an answer for a whole one |
//!
//! [`Seam`]: reconnecting_stream::Seam
//! [`Seam::Error`]: reconnecting_stream::Seam::Error
//! [`Seam::Hidden`]: reconnecting_stream::Seam::Hidden
//! [`Seam::Eof`]: reconnecting_stream::Seam::Eof
//!
//! A proxy does not know more about the death of an upstream than a client would: one that is
//! killed after it was read dry sends FIN, which looks like the end of its answer.
//!
//! The demonstration fails if a client that was not reset got a byte that is not its own.

use std::env;
use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use reconnecting_stream::{Backoff, Policy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use reconnecting_stream_tools::proxy::{Counts, run};

const CLIENTS: u8 = 20;
const BYTES: usize = 100_000;
/// Nothing here takes that long unless it hangs.
const DEADLINE: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    match &arguments[..] {
        [] => timeout(DEADLINE, demonstration())
            .await
            .unwrap_or_else(|_| Err(format!("not over within {DEADLINE:?}").into())),
        [from, to] => {
            let listener = TcpListener::bind(from).await?;
            let policy = Policy::default().max_outage(Duration::from_secs(30));
            Ok(run(listener, to.parse()?, policy, Arc::default()).await?)
        }
        _ => Err("expected no arguments, or two addresses: from and to".into()),
    }
}

async fn demonstration() -> Result<(), Box<dyn Error>> {
    // A port that refuses connections and that no other process can take.
    let down = TcpSocket::new_v4()?;
    down.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let upstream = down.local_addr()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let counts = Arc::new(Counts::default());
    let policy = Policy::default().backoff(Backoff::constant(Duration::from_millis(10)));
    tokio::spawn(run(listener, upstream, policy, Arc::clone(&counts)));
    let restart = tokio::spawn(async move {
        sleep(Duration::from_millis(50)).await;
        echo(down.listen(16)?).await
    });
    let (mut whole, mut reset, mut wrong) = (0, 0, 0);
    for client in 0..CLIENTS {
        let sent = vec![client; BYTES];
        match converse(address, &sent).await {
            Ok(answer) if answer == sent => whole += 1,
            Ok(_) => wrong += 1,
            Err(_) => reset += 1,
        }
    }
    restart.abort();
    println!("{CLIENTS:6} clients");
    println!("{whole:6} had their answers, the first after it had waited");
    println!("{reset:6} were reset with their upstream");
    println!("{wrong:6} got what was not theirs, or not all of it");
    println!("{:6} bytes up", counts.bytes_up.load(Ordering::Relaxed));
    println!("{:6} bytes down", counts.bytes_down.load(Ordering::Relaxed));
    if (whole, reset, wrong) != (CLIENTS / 2, CLIENTS / 2, 0) {
        return Err("expected each other client to be reset, and the rest to be right".into());
    }
    Ok(())
}

/// Sends bytes, closes this side, and reads the answer.
async fn converse(address: SocketAddr, say: &[u8]) -> io::Result<Vec<u8>> {
    let mut io = TcpStream::connect(address).await?;
    let (mut reader, mut writer) = io.split();
    let mut answer = Vec::new();
    let saying = async {
        writer.write_all(say).await?;
        writer.shutdown().await
    };
    tokio::try_join!(saying, reader.read_to_end(&mut answer))?;
    Ok(answer)
}

/// Answers with what it was sent, and resets every other connection in the middle.
async fn echo(listener: TcpListener) -> io::Result<()> {
    for resets in [false, true].into_iter().cycle() {
        let (mut io, _) = listener.accept().await?;
        tokio::spawn(async move {
            let (mut reader, mut writer) = io.split();
            if resets {
                let mut half = (&mut reader).take(BYTES as u64 / 2);
                let _ = tokio::io::copy(&mut half, &mut writer).await;
                let _ = io.set_zero_linger();
            } else {
                let _ = tokio::io::copy(&mut reader, &mut writer).await;
                let _ = writer.shutdown().await;
            }
        });
    }
    Ok(())
}
