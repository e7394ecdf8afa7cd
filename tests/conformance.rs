//! One suite for every pair of connected byte streams: sessions and reconnecting streams on their
//! first, second and tenth connection, sessions whose connections are cut meanwhile, and pipes and sockets as controls. Streams
//! with a planted flaw show that each case can fail.
#![cfg(all(feature = "net", feature = "session"))]

#[path = "conformance/broken.rs"]
mod broken;
#[path = "conformance/controls.rs"]
mod controls;
#[path = "conformance/ends.rs"]
mod ends;
#[path = "conformance/polls.rs"]
mod polls;
#[path = "conformance/sessions.rs"]
mod sessions;
#[path = "conformance/streams.rs"]
mod streams;
#[path = "conformance/suite.rs"]
mod suite;
#[path = "contract_session/support.rs"]
mod support;
#[allow(dead_code, missing_docs, unreachable_pub)]
#[path = "support/task.rs"]
mod task;
#[path = "conformance/transfer.rs"]
mod transfer;

use tokio::io::{duplex, join};
use tokio::net::{TcpSocket, TcpStream};

use suite::{Pair, conforms};

/// Returns a socket with small buffers, so that they are filled soon.
fn socket() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(16 * 1024).unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    socket
}

async fn sockets() -> (TcpStream, TcpStream) {
    let listening = socket();
    listening.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let listener = listening.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(socket().connect(address), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

#[tokio::test(start_paused = true)]
async fn a_pipe_conforms() {
    conforms(async || {
        let (near, far) = duplex(4096);
        Pair::of(near, far)
    })
    .await;
}

#[tokio::test]
async fn a_tcp_connection_conforms() {
    conforms(async || {
        let (near, far) = sockets().await;
        Pair::of(near, far)
    })
    .await;
}

#[tokio::test]
async fn a_tcp_connection_in_owned_halves_conforms() {
    conforms(async || {
        let (near, far) = sockets().await;
        let (reader, writer) = near.into_split();
        Pair::of(join(reader, writer), far)
    })
    .await;
}
