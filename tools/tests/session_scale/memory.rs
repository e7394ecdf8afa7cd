//! What a session keeps on the heap, and what is left of those that have ended.

use std::future::Future;
use std::io::ErrorKind;
use std::time::Duration;

use allocation_counter::measure;
use reconnecting_stream::{Accepted, Policy, ResumableStream, SessionOptions, Sessions};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::network::{Network, Streams};

/// The bound of an idle session, beyond its connection and its task, at each end.
const MOST_IDLE: u64 = 2 * 1024;
const COUNT: u64 = 100;
/// What each end sends before it is idle.
const BYTES: usize = 10_000;
const MIB: usize = 1024 * 1024;

fn runtime(is_paused: bool) -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder
        .enable_all()
        .start_paused(is_paused)
        .build()
        .unwrap()
}

/// Runs `future`, and returns with its output how many bytes of the heap it has kept.
fn kept<T>(runtime: &Runtime, future: impl Future<Output = T>) -> (T, u64) {
    let mut output = None;
    let info = measure(|| output = Some(runtime.block_on(future)));
    (output.unwrap(), u64::try_from(info.bytes_current).unwrap())
}

async fn begin(network: &Network, streams: &mut Streams) -> Vec<ResumableStream> {
    let mut all = Vec::new();
    for _ in 0..COUNT {
        let (client, server) = network.begin(streams).await;
        all.extend([client, server]);
    }
    all
}

/// Until buffers that are empty were released.
async fn become_idle() {
    tokio::time::sleep(Duration::from_secs(5)).await;
}

/// Both ends of connections, each in a task that waits for a byte, after as many have moved as over the
/// sessions: a pipe in memory keeps its buffers.
async fn raw(network: &Network) -> Vec<tokio::task::JoinHandle<()>> {
    let mut tasks = Vec::new();
    for _ in 0..COUNT {
        let (mut near, mut far) = network.wires().unwrap();
        let (mut there, mut back) = ([0; BYTES], [0; BYTES]);
        let (one, other, ..) = tokio::join!(
            async {
                near.write_all(&[7; BYTES])
                    .await
                    .and(near.read_exact(&mut back).await)
            },
            async {
                far.read_exact(&mut there)
                    .await
                    .and(far.write_all(&[7; BYTES]).await)
            },
        );
        one.and(other.map(|()| 0)).unwrap();
        for mut io in [near, far] {
            tasks.push(tokio::spawn(async move {
                let _ = io.read_u8().await;
            }));
        }
    }
    become_idle().await;
    tasks
}

#[test]
fn an_idle_session_keeps_at_most_2_kib_beyond_its_connection_and_its_task() {
    let runtime = runtime(true);
    let (network, mut streams) = Network::new(SessionOptions::default());
    let mut idle = || {
        kept(&runtime, async {
            let mut all = begin(&network, &mut streams).await;
            for stream in &mut all {
                stream.write_all(&[7; BYTES]).await.unwrap();
            }
            for stream in &mut all {
                stream.read_exact(&mut [0; BYTES]).await.unwrap();
            }
            become_idle().await;
            all
        })
    };
    // The first ones allocate what a thread keeps for all of them.
    let first = idle();
    let (all, idle) = idle();
    let (tasks, raw) = kept(&runtime, raw(&network));
    drop((first, tasks));
    let each = idle.saturating_sub(raw) / (2 * COUNT);
    println!(
        "an idle session keeps {each} bytes at each end, and its raw connection {}",
        raw / (2 * COUNT)
    );
    assert!(each <= MOST_IDLE, "{each}");
    drop(all);
}

#[test]
fn full_windows_keep_their_bytes_and_5_percent() {
    let runtime = runtime(true);
    let (network, mut streams) = Network::new(SessionOptions::default());
    let (mut ends, idle) = kept(&runtime, async {
        let ends = network.begin(&mut streams).await;
        become_idle().await;
        ends
    });
    let (written, full) = kept(&runtime, async {
        let mut written = 0;
        let write = async {
            loop {
                written += ends.0.write(&[7; 4096]).await.unwrap();
            }
        };
        // Until the peer's window and the own buffer are full.
        let _ = tokio::time::timeout(Duration::from_secs(5), write).await;
        written
    });
    println!("{written} bytes in windows take {full} bytes, and an idle session {idle}");
    assert_eq!(written, 2 * MIB);
    assert!(full <= (2 * MIB as u64) * 105 / 100, "{full}");
}

#[test]
fn a_client_that_is_dropped_in_an_outage_keeps_nothing_of_what_it_has_not_read() {
    let runtime = runtime(true);
    let (network, mut streams) = Network::new(SessionOptions::default());
    let (left, kept) = kept(&runtime, async {
        let (client, mut server) = network.begin(&mut streams).await;
        server.write_all(&vec![7; MIB]).await.unwrap();
        server.acknowledged().await.unwrap();
        network.take_down();
        drop(client);
        become_idle().await;
        server
    });
    println!("both ends keep {kept} bytes");
    assert_eq!(left.unacknowledged(), 0);
    // The thread keeps a buffer for all of its sessions.
    assert!(kept <= 256 * 1024, "{kept}");
}

/// A session over a pair of sockets that begins, moves some bytes and ends in one of three ways: as a
/// whole, by a drop, or by the loss of its connection.
async fn come_and_go(sessions: &Sessions, number: usize) {
    let (near, far) = UnixStream::pair().unwrap();
    let mut near = Some(near);
    let client = ResumableStream::builder(move || {
        let near = near.take().ok_or(ErrorKind::ConnectionRefused.into());
        std::future::ready(near)
    });
    let client = client.policy(Policy::default().max_attempts(1));
    let (client, server) = tokio::join!(client.connect(), sessions.accept(far));
    let (Ok(mut client), Ok(Accepted::New(mut server))) = (client, server) else {
        panic!("expected a new session");
    };
    client.write_all(&[1; 100]).await.unwrap();
    server.read_exact(&mut [0; 100]).await.unwrap();
    match number % 3 {
        0 => {
            let (one, other) = tokio::join!(client.shutdown(), server.shutdown());
            one.and(other).unwrap();
        }
        1 => drop(client),
        // The client has no other connection, and the server's end is dropped.
        _ => {
            client.handle().reconnect();
            client.read_u8().await.unwrap_err();
        }
    }
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

async fn drained(sessions: &Sessions, tasks: usize) {
    while !sessions.is_empty() || Handle::current().metrics().num_alive_tasks() > tasks {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn sessions_that_have_gone_leave_nothing() {
    let runtime = runtime(false);
    // One session gets its whole share, if no other one has a part of the memory.
    let options = SessionOptions::new()
        .max_sessions(100)
        .memory_budget(100 * 64 * 1024 + 16 * 2 * MIB)
        .time_to_live(Duration::from_millis(1))
        .tombstone_lifetime(Duration::from_millis(1));
    let sessions = Sessions::new(options);
    let (tasks, files) = (runtime.metrics().num_alive_tasks(), open_files());
    let half = |first: usize, count: usize| {
        kept(&runtime, async {
            for number in first..first + count {
                come_and_go(&sessions, number).await;
            }
            drained(&sessions, tasks).await;
        })
    };
    let count = crate::sessions(1_000);
    // The first ones allocate what a runtime, a thread and a table keep.
    let ((), first) = half(0, count);
    let ((), second) = half(count, count);
    println!("{count} sessions leave {first} bytes, and as many more {second}");
    assert!(second < 4096, "{second}");
    assert_eq!(open_files(), files);
    assert_eq!(runtime.metrics().num_alive_tasks(), tasks);
    runtime.block_on(assert_whole_share(&sessions));
}

/// A session gets its whole share of the budget: the peer of one that reads nothing has a mebibyte
/// acknowledged.
async fn assert_whole_share(sessions: &Sessions) {
    let (near, far) = duplex(64 * 1024);
    let mut near = Some(near);
    let client = ResumableStream::connect(move || {
        std::future::ready(near.take().ok_or(ErrorKind::ConnectionRefused.into()))
    });
    let (client, server) = tokio::join!(client, sessions.accept(far));
    let mut client = client.unwrap();
    client.write_all(&vec![1; MIB]).await.unwrap();
    client.acknowledged().await.unwrap();
    drop((client, server));
}

#[test]
fn writes_and_reads_allocate_nothing_in_the_steady_state() {
    let runtime = runtime(false);
    let (network, mut streams) = Network::new(SessionOptions::default());
    let (mut client, mut server) = runtime.block_on(network.begin(&mut streams));
    let mut exchange = |times: usize| {
        runtime.block_on(async {
            let mut buffer = [7; 1000];
            for _ in 0..times {
                client.write_all(&buffer).await.unwrap();
                server.read_exact(&mut buffer).await.unwrap();
                server.write_all(&buffer).await.unwrap();
                client.read_exact(&mut buffer).await.unwrap();
            }
        });
    };
    // The buffers grow to what is needed.
    exchange(100);
    let info = measure(|| exchange(10_000));
    println!("{info:?}");
    assert_eq!(info.count_total, 0);
}
