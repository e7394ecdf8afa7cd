//! The memory that a server gives to its sessions.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::support::{Server, options};

#[tokio::test(start_paused = true)]
async fn there_is_memory_for_as_many_sessions_as_are_allowed() {
    let options = options()
        .max_sessions(40)
        .memory_budget(40 * 64 * 1024 + 64 * 1024 * 1024);
    let (server, mut streams) = Server::new(options);
    let mut sessions = Vec::new();
    for _ in 0..40 {
        sessions.push(server.begin(&mut streams).await);
    }
    // The first one has a whole window, and the last one less.
    for (index, is_whole) in [(0, true), (39, false)] {
        let client = &mut sessions[index].0;
        client.write_all(&vec![7; 1024 * 1024]).await.unwrap();
        let acknowledged = timeout(Duration::from_secs(5), client.acknowledged()).await;
        assert_eq!(acknowledged.is_ok(), is_whole, "session {index}");
    }
}
