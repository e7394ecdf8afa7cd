//! A TLS connection from the text of an address.

use reconnecting_stream::{Address, AddressConnector, AddressStream};

use super::*;

async fn server() -> (Server, Authority, Address) {
    let authority = Authority::new();
    let server = Server::new(authority.server_at("127.0.0.1", NOW)).await;
    let port = server.listener.local_addr().unwrap().port();
    let address = format!("tls://127.0.0.1:{port}").parse().unwrap();
    (server, authority, address)
}

#[tokio::test]
async fn a_tls_address_checks_the_certificate_for_its_host_on_every_connection() {
    let (server, authority, address) = server().await;
    assert!(address.is_tls());
    let connector = AddressConnector::new(address)
        .tls_config(authority.client())
        .tcp_options(|tcp| tcp.nodelay(false));
    let stream = ReconnectingStream::builder(connector).policy(quick());
    let (stream, accepted) = soon(async { tokio::join!(stream.connect(), server.accept()) }).await;
    let mut stream = stream.unwrap();
    let Some(AddressStream::Tls(tls)) = stream.get_ref() else {
        panic!("no TLS");
    };
    assert!(!tls.get_ref().0.nodelay().unwrap());
    reset(accepted);
    let answering = async {
        let mut accepted = server.accept().await;
        accepted.write_all(b"x").await.unwrap();
        accepted.flush().await.unwrap();
        accepted
    };
    let (_accepted, read) = soon(async { tokio::join!(answering, stream.read_u8()) }).await;
    assert_eq!((read.unwrap(), stream.generation()), (b'x', 2));
}

#[tokio::test]
async fn a_tls_address_for_another_host_than_that_of_the_certificate_is_final() {
    let (server, authority, address) = server().await;
    let port = address.port().unwrap();
    let address = format!("tls://127.0.0.2:{port}").parse::<Address>();
    // The same server: the options connect to the address of the listener.
    let connector = AddressConnector::new(address.unwrap())
        .tls_config(authority.client())
        .tcp_options(|_| reconnecting_stream::TcpConnector::new(("127.0.0.1", port)));
    let stream = ReconnectingStream::builder(connector).retry_initial_connect(true);
    let (refused, stream) =
        soon(async { tokio::join!(server.try_accept(), stream.connect()) }).await;
    assert!(refused.is_err());
    let error = stream.unwrap_err();
    assert_eq!(gave_up(&error).unwrap().attempts, 1);
}

#[tokio::test]
async fn a_tls_address_without_a_configuration_is_final() {
    let (_server, _, address) = server().await;
    let stream = ReconnectingStream::builder(AddressConnector::new(address));
    let error = soon(stream.retry_initial_connect(true).connect())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(gave_up(&error).unwrap().attempts, 1);
}

#[tokio::test]
async fn a_tls_address_whose_options_have_several_endpoints_tries_them_in_turn() {
    let (first, authority, address) = server().await;
    let (second, ..) = server().await;
    let endpoints = [&first, &second].map(|server| server.listener.local_addr().unwrap());
    let connector = AddressConnector::new(address)
        .tls_config(authority.client())
        .tcp_options(move |_| reconnecting_stream::TcpConnector::any_of(endpoints));
    let mut stream = ReconnectingStream::builder(connector)
        .policy(quick())
        .lazy();
    let accepting = async {
        // Each attempt fails in its handshake.
        for server in [&first, &second, &first, &second] {
            drop(server.listener.accept().await.unwrap());
        }
    };
    tokio::select! {
        () = soon(accepting) => {}
        connected = stream.connected() => panic!("{connected:?}"),
    }
}
