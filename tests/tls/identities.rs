//! Client certificates and ALPN, on every connection.

use super::*;

#[tokio::test]
async fn the_client_certificate_and_the_protocol_are_those_of_each_connection() {
    let authority = Authority::new();
    let identity = authority.issue("client.test", NOW);
    let certificate = identity.certificate.der().clone();
    let mut config = authority.client_with(identity);
    config.alpn_protocols = vec![b"two".to_vec(), b"one".to_vec()];
    let mut listening = authority.strict_server();
    listening.alpn_protocols = vec![b"two".to_vec()];
    let mut server = Server::new(listening).await;
    let stream = ReconnectingStream::builder(server.connector(config)).policy(quick());
    let mut stream = stream.lazy();
    for protocol in ["two", "one"] {
        let (connected, accepted) =
            soon(async { tokio::join!(stream.connected(), server.accept()) }).await;
        connected.unwrap();
        let protocol_of_client = stream.get_ref().unwrap().get_ref().1.alpn_protocol();
        assert_eq!(protocol_of_client, Some(protocol.as_bytes()));
        let peer = accepted.get_ref().1.peer_certificates().unwrap();
        assert_eq!(peer, std::slice::from_ref(&certificate));

        // The next server has another protocol.
        let mut listening = authority.strict_server();
        listening.alpn_protocols = vec![b"one".to_vec()];
        server.acceptor = Arc::new(listening).into();
        drop(accepted);
        stream.reconnect();
    }
}

#[tokio::test]
async fn a_server_without_a_protocol_in_common_is_final() {
    let authority = Authority::new();
    let mut config = authority.client();
    config.alpn_protocols = vec![b"two".to_vec()];
    let mut listening = authority.server(NOW);
    listening.alpn_protocols = vec![b"one".to_vec()];
    let server = Server::new(listening).await;
    let stream = ReconnectingStream::builder(server.connector(config)).retry_initial_connect(true);
    let (refused, stream) =
        soon(async { tokio::join!(server.try_accept(), stream.connect()) }).await;
    assert!(refused.is_err());
    let error = stream.unwrap_err();
    assert_eq!(gave_up(&error).unwrap().attempts, 1);
}

#[tokio::test]
async fn a_server_that_chose_no_protocol_can_be_refused() {
    let authority = Authority::new();
    let mut config = authority.client();
    config.alpn_protocols = vec![b"two".to_vec()];
    let server = Server::new(authority.server(NOW)).await;
    let connector =
        server
            .connector(config)
            .and_then(|io: client::TlsStream<TcpStream>| async move {
                let is_right = io.get_ref().1.alpn_protocol() == Some(b"two");
                is_right
                    .then_some(io)
                    .ok_or_else(|| Permanent::new("no protocol").into())
            });
    let stream = ReconnectingStream::builder(connector).retry_initial_connect(true);
    let (accepted, stream) =
        soon(async { tokio::join!(server.try_accept(), stream.connect()) }).await;
    assert!(accepted.is_ok());
    assert_eq!(gave_up(&stream.unwrap_err()).unwrap().attempts, 1);
}
