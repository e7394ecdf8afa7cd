//! Nothing remains after a drop. By itself, since the descriptors of a process are counted.
#![cfg(target_os = "linux")]

use std::time::Duration;

use reconnecting_stream::ReconnectingStream;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const MS: Duration = Duration::from_millis(1);

#[tokio::test]
async fn a_dropped_stream_leaves_no_task_and_no_open_file() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let metrics = tokio::runtime::Handle::current().metrics();
    let (tasks, files) = (metrics.num_alive_tasks(), open_files());
    for reset in 0..30 {
        let connector = move || TcpStream::connect(address);
        let mut stream = ReconnectingStream::connect(connector).await.unwrap();
        let (peer, _) = listener.accept().await.unwrap();
        peer.set_zero_linger().unwrap();
        drop(peer);
        // Dropped at some point of the outage.
        let _ = timeout(reset * MS / 2, stream.read_u8()).await;
        drop(stream);
        while let Ok(Ok(peer)) = timeout(MS, listener.accept()).await {
            drop(peer);
        }
    }
    assert_eq!(metrics.num_alive_tasks(), tasks);
    assert_eq!(open_files(), files);
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}
