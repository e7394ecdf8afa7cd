//! A session that loses nothing: 50 MB go to a server and back while a proxy resets every
//! connection after some 200 kB.

use std::error::Error;
use std::hash::{DefaultHasher, Hasher};
use std::io;

use reconnecting_stream::testing::{Direction, Fault, FaultProxy, Plan};
use reconnecting_stream::{Backoff, Policy, ResumableListener, ResumableStream, SessionOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::TcpStream;

const TOTAL: usize = 50_000_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // The server echoes what each session sends, to its end.
    let options = SessionOptions::default().max_resumes_per_second(1000);
    let listener = ResumableListener::builder().options(options);
    let listener = listener.bind("127.0.0.1:0").await?;
    let server = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok(stream) = listener.accept().await {
            tokio::spawn(async move {
                let (mut reader, mut writer) = stream.into_split();
                copy(&mut reader, &mut writer).await?;
                writer.shutdown().await
            });
        }
    });

    let proxy = FaultProxy::start(server).await?;
    proxy.default_plan(|connection| {
        let bytes = 100_000 + connection * 7919 % 200_000;
        Plan::new().after(bytes, Direction::ToServer, Fault::Reset)
    });
    let address = proxy.addr();
    // A reset every few milliseconds is one long outage for the default backoff.
    let policy = Policy::default()
        .backoff(Backoff::none())
        .max_attempts(None);
    let stream = ResumableStream::builder(move || TcpStream::connect(address))
        .policy(policy)
        .connect()
        .await?;
    let (mut reader, mut writer) = stream.into_split();

    let sending = tokio::spawn(async move {
        let bytes: Vec<u8> = (0..TOTAL).map(|_| fastrand::u8(..)).collect();
        let mut sum = DefaultHasher::new();
        sum.write(&bytes);
        writer.write_all(&bytes).await?;
        // Ready once the server's process has every byte.
        writer.shutdown().await?;
        io::Result::Ok(sum.finish())
    });
    let mut received = Vec::new();
    reader.read_to_end(&mut received).await?;
    let mut sum = DefaultHasher::new();
    sum.write(&received);

    let stats = proxy.stats();
    let sent_again = (stats.to_server + stats.to_client).saturating_sub(2 * TOTAL as u64);
    println!("bytes: {TOTAL} sent, {} received", received.len());
    println!(
        "connections: {}, {} of them reset",
        stats.accepted, stats.resets
    );
    println!("sent again, and headers: {sent_again} bytes");
    println!("lost: {} bytes", TOTAL - received.len());
    let is_equal = sum.finish() == sending.await??;
    println!(
        "checksums: {}",
        if is_equal { "equal" } else { "DIFFERENT" }
    );
    Ok(())
}
