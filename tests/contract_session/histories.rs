//! Random histories of two applications and the network between them, with an oracle.

use std::time::Duration;

use reconnecting_stream::{ResumableStream, SessionLost};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use crate::support::{Network, byte, small, soon};

/// What an application does to its stream.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Plan {
    /// Writes everything, shuts down, and reads everything.
    Whole,
    /// Drops its stream after so many bytes.
    DropAfter(usize),
    /// Closes its session after so many bytes.
    CloseAfter(usize),
    /// Writes everything, begins the shutdown, and drops its stream.
    DropAfterEnd,
}

fn plan(random: &mut fastrand::Rng, len: usize) -> Plan {
    // As much as is written without a peer that reads.
    let some = len.min(20_000);
    match random.u8(..10) {
        0 => Plan::DropAfter(random.usize(..=some)),
        1 => Plan::CloseAfter(random.usize(..=some)),
        2 => Plan::DropAfterEnd,
        _ => Plan::Whole,
    }
}

/// How the writing of an application ended: whether `shutdown` was `Ok`.
async fn write(
    writer: &mut (impl AsyncWriteExt + Unpin),
    (plan, seed, len): (Plan, u64, usize),
    mut random: fastrand::Rng,
) -> bool {
    let end = match plan {
        Plan::DropAfter(end) | Plan::CloseAfter(end) => end,
        Plan::Whole | Plan::DropAfterEnd => len,
    };
    let mut at = 0;
    while at < end {
        let to = end.min(at + random.usize(1..5000));
        let bytes: Vec<u8> = (at..to).map(|at| byte(seed, at)).collect();
        if let Err(error) = writer.write_all(&bytes).await {
            assert!(SessionLost::find(&error).is_some(), "{error:?}");
            return false;
        }
        at = to;
        match random.u8(..8) {
            0 => sleep(Duration::from_millis(random.u64(..500))).await,
            1 => drop(writer.flush().await),
            _ => {}
        }
    }
    match plan {
        Plan::Whole => writer.shutdown().await.is_ok(),
        Plan::DropAfterEnd => {
            let _ = tokio::time::timeout(Duration::ZERO, writer.shutdown()).await;
            false
        }
        Plan::DropAfter(_) | Plan::CloseAfter(_) => false,
    }
}

/// Checks what is read. Returns how much it was, and whether the stream has ended.
async fn read(
    reader: &mut (impl AsyncReadExt + Unpin),
    seed: u64,
    mut random: fastrand::Rng,
) -> (usize, bool) {
    let (mut at, mut buf) = (0, vec![0; 7000]);
    loop {
        let most = random.usize(1..buf.len());
        match reader.read(&mut buf[..most]).await {
            Ok(0) => return (at, true),
            Ok(n) => {
                for read in &buf[..n] {
                    assert_eq!(*read, byte(seed, at), "at {at}");
                    at += 1;
                }
            }
            Err(error) => {
                assert!(SessionLost::find(&error).is_some(), "{error:?}");
                return (at, false);
            }
        }
        if random.u8(..8) == 0 {
            sleep(Duration::from_millis(random.u64(..500))).await;
        }
    }
}

/// One application. Returns whether its shutdown was `Ok`, what it has read, and whether it has
/// read the end.
async fn application(
    stream: ResumableStream,
    plan: Plan,
    (seed, other): (u64, u64),
    len: usize,
) -> (bool, usize, bool) {
    let handle = stream.handle();
    let (mut reader, mut writer) = stream.into_split();
    let random = fastrand::Rng::with_seed(seed);
    let reading = read(&mut reader, other, random.clone());
    let writing = write(&mut writer, (plan, seed, len), random);
    match plan {
        Plan::Whole => {
            let (is_ok, (at, is_end)) = tokio::join!(writing, reading);
            (is_ok, at, is_end)
        }
        Plan::DropAfter(_) | Plan::CloseAfter(_) | Plan::DropAfterEnd => {
            tokio::select! {
                biased;
                (at, is_end) = reading, if plan == Plan::DropAfterEnd => return (false, at, is_end),
                _ = writing => {}
            }
            if matches!(plan, Plan::CloseAfter(_)) {
                handle.close();
            }
            (false, 0, false)
        }
    }
}

async fn history(seed: u64, len: usize) {
    let mut random = fastrand::Rng::with_seed(seed);
    let plans = [plan(&mut random, len), plan(&mut random, len)];
    let most = random.usize(400..20_000);
    let mut cutting = random.fork();
    let cuts = move || (cutting.usize(300..=most), cutting.usize(300..=most));
    let (network, mut streams) = Network::with_cuts(small(), cuts);
    let client = network.builder().retry_initial_connect(true).connect();
    let client = soon(client).await.unwrap();
    let server = soon(streams.recv()).await.unwrap();
    let handles = [client.handle(), server.handle()];
    let outages = network.clone();
    let chaos = tokio::spawn(async move {
        loop {
            sleep(Duration::from_millis(random.u64(..3000))).await;
            match random.u8(..4) {
                0 => {
                    outages.go_down(true);
                    sleep(Duration::from_millis(random.u64(..40_000))).await;
                    outages.go_down(false);
                }
                1 => handles[0].reconnect(),
                2 => handles[1].reconnect(),
                _ => handles[0].mark_lost(std::io::ErrorKind::TimedOut.into()),
            }
        }
    });
    let (a, b) = (seed * 2, seed * 2 + 1);
    let [first, second] = soon(async {
        let client = application(client, plans[0], (a, b), len);
        let server = application(server, plans[1], (b, a), len);
        let (first, second) = tokio::join!(client, server);
        [first, second]
    })
    .await;
    for (writer, plan, reader) in [(first, plans[0], second), (second, plans[1], first)] {
        let (_, read, is_end) = reader;
        assert!(!is_end || read == len, "{plans:?} {first:?} {second:?}");
        assert!(
            !is_end || matches!(plan, Plan::Whole | Plan::DropAfterEnd),
            "{plans:?}"
        );
        assert!(!writer.0 || plan == Plan::Whole);
    }
    if plans == [Plan::Whole; 2] {
        assert_eq!([first, second], [(true, len, true); 2], "seed {seed}");
    }
    // The network may be down, and the last end may be read by its timeout.
    network.go_down(false);
    chaos.abort();
    network.go_down(false);
    soon(async {
        while !network.sessions().is_empty() {
            sleep(Duration::from_secs(1)).await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn random_histories_lose_nothing_without_a_word_and_leave_nothing() {
    // Other seeds for a longer search.
    let first = std::env::var("SESSION_SEED").map_or(0, |seed| seed.parse().unwrap());
    for seed in first..first + 150 {
        history(seed, 40_000).await;
        sleep(Duration::from_secs(300)).await;
        let alive = tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks();
        assert_eq!(alive, 0, "seed {seed}");
    }
}
