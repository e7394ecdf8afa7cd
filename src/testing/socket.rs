//! What is done to sockets.

use std::io::{self, ErrorKind, Read};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::sleep;

/// How long the socket of a client that has sent its FIN into a silence is kept: it may have
/// gone, or wait for an answer.
const FAREWELL: Duration = Duration::from_secs(5);

/// If it is cancelled, a server that has accepted already gets a RST.
pub(super) async fn dial(server: SocketAddr) -> io::Result<TcpStream> {
    let socket = match server {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    SockRef::from(&socket).set_linger(Some(Duration::ZERO))?;
    let server = socket.connect(server).await?;
    SockRef::from(&server).set_linger(None)?;
    server.set_nodelay(true)?;
    Ok(server)
}

/// Passes an end on.
pub(super) fn finish(socket: &TcpStream) {
    // It fails if the peer is gone, which the other direction finds out, too.
    let _ = SockRef::from(socket).shutdown(Shutdown::Write);
}

/// Sends a RST.
pub(super) fn reset(socket: TcpStream) {
    // Tokio's own has another name from version to version.
    let _ = SockRef::from(&socket).set_linger(Some(Duration::ZERO));
    drop(socket);
}

/// Sends a FIN. A close with unread input would send a RST, so what has arrived is read, past
/// Tokio, which may not know of it yet.
pub(super) fn close(socket: TcpStream) {
    let Ok(mut socket) = socket.into_std() else {
        return;
    };
    let _ = socket.shutdown(Shutdown::Write);
    let mut buffer = [0; 4096];
    // A client that never stops gets its RST after a megabyte.
    for _ in 0..256 {
        match socket.read(&mut buffer) {
            Ok(1..) => {}
            Ok(0) | Err(_) => break,
        }
    }
}

/// Registers the socket with the reactor again: what `gone` has seen would not be told twice.
pub(super) fn register_again(socket: TcpStream) -> io::Result<TcpStream> {
    TcpStream::from_std(socket.into_std()?)
}

/// Waits until the peer has gone, without reading what it has sent.
pub(super) async fn gone(socket: &TcpStream) {
    loop {
        match socket.ready(Interest::READABLE).await {
            Ok(ready) if !ready.is_read_closed() => {
                // Clears the readiness, so that the next turn waits for what is new.
                let _ = socket.try_io(Interest::READABLE, || {
                    io::Result::<()>::Err(ErrorKind::WouldBlock.into())
                });
            }
            Ok(_) | Err(_) => return sleep(FAREWELL).await,
        }
    }
}
