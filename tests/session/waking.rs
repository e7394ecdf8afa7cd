//! What wakes the driver. The timers of a session wake it as well, but later: none of these steps takes
//! time, which is paused.

use std::time::Duration;

use reconnecting_stream::SessionLostReason;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep};

use crate::support::{Server, options, pattern, reason};

/// By then the ends have no acknowledgment to send.
const IDLE: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn each_act_of_an_application_is_sent_without_a_timer() {
    let (server, mut streams) = Server::new(options());
    let (mut client, mut stream) = server.begin(&mut streams).await;
    // The window of the server's end, and the send buffer of the client's.
    let bytes = pattern(0..2 << 20);
    client.write_all(&bytes).await.unwrap();
    sleep(IDLE).await;

    let began = Instant::now();
    let mut read = vec![0; bytes.len()];
    stream.read_exact(&mut read).await.unwrap();
    assert!(read == bytes);
    assert_eq!(began.elapsed(), Duration::ZERO, "a read opens the window");
    sleep(IDLE).await;

    let began = Instant::now();
    stream.write_all(b"answer").await.unwrap();
    client.read_exact(&mut [0; 6]).await.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO, "a write");
    sleep(IDLE).await;

    let began = Instant::now();
    client.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(began.elapsed(), Duration::ZERO, "a shutdown");
    sleep(IDLE).await;

    let began = Instant::now();
    drop(stream);
    let error = client.read(&mut [0]).await.unwrap_err();
    assert_eq!(reason(&error), SessionLostReason::PeerReset);
    assert_eq!(began.elapsed(), Duration::ZERO, "a drop");
}
