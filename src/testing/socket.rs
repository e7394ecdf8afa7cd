//! Operations on the sockets of a connection.

use std::io::{self, ErrorKind, Read};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::{TcpSocket, TcpStream};

/// How long the socket of a client stays open after its FIN during a stall or a half-open
/// connection. The client may be gone, or may wait for an answer.
pub(super) const HALF_CLOSE_GRACE: Duration = Duration::from_secs(5);

/// Connects to the server. If the future is dropped, a server that has accepted already gets a
/// RST.
pub(super) async fn connect(server: SocketAddr) -> io::Result<TcpStream> {
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

/// Shuts down the writing side, which sends a FIN.
pub(super) fn shutdown_write(socket: &TcpStream) {
    // It fails if the peer is gone. The other direction gets the same error.
    let _ = SockRef::from(socket).shutdown(Shutdown::Write);
}

/// Closes the socket with a RST.
pub(super) fn reset(socket: TcpStream) {
    // The name of Tokio's own method differs between versions.
    let _ = SockRef::from(&socket).set_linger(Some(Duration::ZERO));
    drop(socket);
}

/// Closes the socket with a FIN. A close with unread input would send a RST, so the input is read
/// first, directly from the kernel, because Tokio's readiness may be stale.
pub(super) fn close(socket: TcpStream) {
    let Ok(mut socket) = socket.into_std() else {
        return;
    };
    let _ = socket.shutdown(Shutdown::Write);
    let mut buffer = [0; 4096];
    // A client that does not stop sending gets a RST after a megabyte.
    for _ in 0..256 {
        match socket.read(&mut buffer) {
            Ok(1..) => {}
            Ok(0) | Err(_) => break,
        }
    }
}

/// Registers the socket with the reactor again, because `peer_closed` has cleared readiness that
/// the reactor does not report twice.
pub(super) fn register_again(socket: TcpStream) -> io::Result<TcpStream> {
    TcpStream::from_std(socket.into_std()?)
}

/// Waits until the connection fails, as by a reset of the peer, without reading its data.
pub(super) async fn failure(socket: &TcpStream) -> io::Error {
    match socket.ready(Interest::ERROR).await {
        Ok(_) => ErrorKind::ConnectionReset.into(),
        Err(error) => error,
    }
}

/// Waits until the peer closes its side or resets the connection, without reading its data.
pub(super) async fn peer_closed(socket: &TcpStream) {
    loop {
        match socket.ready(Interest::READABLE).await {
            Ok(ready) if !ready.is_read_closed() => {
                // Clears the readiness, so that the next iteration waits for a new event.
                let _ = socket.try_io(Interest::READABLE, || {
                    io::Result::<()>::Err(ErrorKind::WouldBlock.into())
                });
            }
            Ok(_) | Err(_) => return,
        }
    }
}
