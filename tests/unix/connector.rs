//! The connector alone.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::os::unix::net::UnixListener as StdListener;
use std::sync::{Arc, Mutex};

use reconnecting_stream::{Connect, Event};
use socket2::SockRef;

use super::*;

/// Returns a stream that has the kinds of its failed attempts noted.
fn noting(path: &Path, policy: Policy) -> (ReconnectingUnixStream, Arc<Mutex<Vec<ErrorKind>>>) {
    let kinds = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&kinds);
    let stream = ReconnectingUnixStream::builder(UnixConnector::new(path))
        .policy(policy)
        .on_event(move |event: &Event| {
            if let Event::AttemptFailed { error, .. } = event {
                noted.lock().unwrap().push(error.kind());
            }
        })
        .lazy();
    (stream, kinds)
}

#[tokio::test]
async fn a_missing_and_a_stale_socket_file_are_retried_until_the_server_listens() {
    let folder = Folder::new();
    let path = folder.0.join("socket");
    let (mut stream, kinds) = noting(&path, policy());
    let connecting = tokio::spawn(async move { stream.connected().await });
    let has_seen = async |kind| {
        while kinds.lock().unwrap().last() != Some(&kind) {
            tokio::task::yield_now().await;
        }
    };
    soon(has_seen(ErrorKind::NotFound)).await;
    // It leaves its file behind, as a server that was killed.
    drop(StdListener::bind(&path).unwrap());
    soon(has_seen(ErrorKind::ConnectionRefused)).await;
    fs::remove_file(&path).unwrap();
    let _server = Server::start(&path);
    assert_eq!(soon(connecting).await.unwrap().unwrap(), 1);
}

#[tokio::test]
async fn a_server_whose_queue_is_full_is_retried() {
    let folder = Folder::new();
    let path = folder.0.join("socket");
    let listening = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None);
    let listening = listening.unwrap();
    listening
        .bind(&socket2::SockAddr::unix(&path).unwrap())
        .unwrap();
    listening.listen(1).unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = UnixStream::connect(&path).await {
        waiting.push(stream);
    }
    let (mut stream, kinds) = noting(&path, policy().max_attempts(2));
    let error = soon(stream.connected()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert_eq!(*kinds.lock().unwrap(), [ErrorKind::WouldBlock; 2]);
}

#[tokio::test]
async fn an_error_keeps_its_kind_and_names_the_path() {
    let folder = Folder::new();
    let path = folder.0.join("missing");
    let connecting = ReconnectingUnixStream::connect(UnixConnector::new(&path));
    let error = connecting.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let text = error.to_string();
    assert!(text.starts_with(&format!("{}: ", path.display())), "{text}");
    let source = error.get_ref().and_then(Error::source).unwrap();
    let source: &io::Error = source.downcast_ref().unwrap();
    assert_eq!(source.raw_os_error(), Some(libc::ENOENT));
}

#[tokio::test]
async fn a_path_that_no_socket_can_have_is_not_retried() {
    let too_long = "/tmp".to_owned() + &"/x".repeat(100);
    for path in [too_long.as_str(), "/tmp/a\0b"] {
        let (mut stream, kinds) = noting(Path::new(path), policy());
        let error = soon(stream.connected()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert_eq!(kinds.lock().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn the_buffer_sizes_are_set_on_every_connection() {
    let folder = Folder::new();
    let path = folder.0.join("socket");
    let _server = Server::start(&path);
    let connector = UnixConnector::new(&path)
        .send_buffer_size(64 * 1024)
        .recv_buffer_size(32 * 1024);
    let mut stream = ReconnectingUnixStream::connect(connector).await.unwrap();
    for generation in 1..=2 {
        assert_eq!(stream.connected().await.unwrap(), generation);
        let socket = SockRef::from(stream.get_ref().unwrap());
        let sizes = (socket.send_buffer_size(), socket.recv_buffer_size());
        let (sent, received) = (sizes.0.unwrap(), sizes.1.unwrap());
        // Linux doubles them, for its own use.
        assert!([64 * 1024, 128 * 1024].contains(&sent), "{sent}");
        assert!([32 * 1024, 64 * 1024].contains(&received), "{received}");
        stream.reconnect();
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_abstract_name_has_no_file() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;

    let folder = Folder::new();
    let name = folder.0.to_str().unwrap().to_owned();
    let connector = || UnixConnector::abstract_name(&name);
    let error = ReconnectingUnixStream::connect(connector())
        .await
        .unwrap_err();
    assert!(
        error.to_string().starts_with(&format!("@{name}: ")),
        "{error}"
    );
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let listener = StdListener::bind_addr(&address).unwrap();
    listener.set_nonblocking(true).unwrap();
    let listener = UnixListener::from_std(listener).unwrap();
    let mut stream = ReconnectingUnixStream::connect(connector()).await.unwrap();
    let (mut peer, _) = soon(listener.accept()).await.unwrap();
    stream.write_all(b"x").await.unwrap();
    assert_eq!(soon(peer.read_u8()).await.unwrap(), b'x');
}

#[tokio::test]
async fn who_listens_can_be_checked_at_every_connection() {
    let folder = Folder::new();
    let path = folder.0.join("socket");
    let _server = Server::start(&path);
    let own = fs::metadata(&folder.0).map(|folder| std::os::unix::fs::MetadataExt::uid(&folder));
    let own = own.unwrap();
    let connector = UnixConnector::new(&path).and_then(move |io: UnixStream| async move {
        let is_own = io.peer_cred()?.uid() == own;
        is_own
            .then_some(io)
            .ok_or_else(|| ErrorKind::PermissionDenied.into())
    });
    let stream = reconnecting_stream::ReconnectingStream::connect(connector);
    assert_eq!(stream.await.unwrap().generation(), 1);
}
