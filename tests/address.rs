//! Connections to an address that is a text. `tests/tls/addresses.rs` has those with TLS.
#![cfg(feature = "net")]

#[path = "support/soon.rs"]
mod soon;

use std::time::Duration;

use reconnecting_stream::{
    Address, AddressConnector, AddressStream, Backoff, Policy, ReconnectingStream,
};
use soon::soon;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

fn policy() -> Policy {
    let backoff = Backoff::constant(Duration::from_millis(2));
    Policy::default().backoff(backoff).max_attempts(None)
}

#[tokio::test]
async fn a_tcp_address_is_connected_with_its_options_again_and_again() {
    for host in ["127.0.0.1", "[::1]"] {
        let Ok(listener) = TcpListener::bind(format!("{host}:0")).await else {
            assert_eq!(host, "[::1]", "a machine without IPv6");
            continue;
        };
        let port = listener.local_addr().unwrap().port();
        let address: Address = format!("tcp://{host}:{port}").parse().unwrap();
        let bare = host.trim_matches(['[', ']']);
        assert_eq!(
            (address.host(), address.port(), address.is_tls()),
            (Some(bare), Some(port), false)
        );
        let connector = AddressConnector::new(address).tcp_options(|tcp| tcp.nodelay(false));
        let builder = ReconnectingStream::builder(connector).policy(policy());
        let mut stream = builder.connect().await.unwrap();
        assert!(stream.is_write_vectored());
        for generation in 1..=2 {
            let (mut peer, _) = soon(listener.accept()).await.unwrap();
            stream.write_all(b"x").await.unwrap();
            assert_eq!(soon(peer.read_u8()).await.unwrap(), b'x');
            let Some(AddressStream::Tcp(tcp)) = stream.get_ref() else {
                panic!("no TCP");
            };
            assert!(!tcp.nodelay().unwrap());
            assert_eq!(stream.generation(), generation);
            stream.reconnect();
            soon(stream.connected()).await.unwrap();
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_address_is_connected_with_its_options() {
    let name = format!("reconnecting-stream-address-{}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let address: Address = format!("unix:{}", path.display()).parse().unwrap();
    assert_eq!(address.path(), Some(path.as_path()));
    assert_eq!(
        (address.host(), address.port(), address.is_tls()),
        (None, None, false)
    );
    let connector = AddressConnector::new(address)
        .unix_options(|unix| unix.send_buffer_size(64 * 1024))
        .tcp_options(|_| panic!("it is no TCP"));
    let stream = ReconnectingStream::connect(connector).await;
    std::fs::remove_file(&path).unwrap();
    let mut stream = stream.unwrap();
    let (mut peer, _) = soon(listener.accept()).await.unwrap();
    stream.write_all(b"x").await.unwrap();
    assert_eq!(soon(peer.read_u8()).await.unwrap(), b'x');
    let Some(AddressStream::Unix(unix)) = stream.get_ref() else {
        panic!("no Unix socket");
    };
    let size = socket2::SockRef::from(unix).send_buffer_size().unwrap();
    assert!([64 * 1024, 128 * 1024].contains(&size), "{size}");
}
