//! Sessions over other transports, and what runs over a session.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use reconnecting_stream::{Accepted, Connect, ResumableListener, ResumableStream, Sessions};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::codec::{Framed, LinesCodec};

use crate::support::{Server, options, pattern, quick};

/// Sends and echoes bytes while the client replaces its connection again and again.
async fn echo_over_cuts(client: ResumableStream, mut accepted: mpsc::UnboundedReceiver<Accepted>) {
    let handle = client.handle();
    let echoing = tokio::spawn(async move {
        let Some(Accepted::New(stream)) = accepted.recv().await else {
            panic!("the session is new");
        };
        let (mut reader, mut writer) = stream.into_split();
        tokio::io::copy(&mut reader, &mut writer).await.unwrap();
        writer.shutdown().await.unwrap();
        // Resumed connections arrive until the session is complete.
        while accepted.recv().await.is_some() {}
    });
    let cutting = tokio::spawn(async move {
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(2)).await;
            handle.reconnect();
        }
    });
    let bytes = pattern(0..2_000_000);
    let (mut reader, mut writer) = client.into_split();
    let sending = async {
        writer.write_all(&bytes).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let receiving = async {
        let mut received = Vec::new();
        reader.read_to_end(&mut received).await.unwrap();
        received
    };
    let ((), received) = tokio::join!(sending, receiving);
    assert!(received == bytes);
    cutting.abort();
    echoing.abort();
}

#[cfg(unix)]
#[tokio::test]
async fn a_session_runs_over_unix_sockets() {
    use tokio::net::UnixStream;

    let sessions = Sessions::new(options());
    let (sender, accepted) = mpsc::unbounded_channel();
    let connector = move || {
        let (sessions, sender) = (sessions.clone(), sender.clone());
        async move {
            let (client, io) = UnixStream::pair()?;
            tokio::spawn(async move { sessions.accept(io).await.map(|io| sender.send(io)) });
            io::Result::Ok(client)
        }
    };
    let client = ResumableStream::builder(connector).policy(quick());
    echo_over_cuts(client.connect().await.unwrap(), accepted).await;
}

#[cfg(feature = "rustls")]
#[tokio::test]
async fn a_session_runs_over_tls() {
    use crate::tls::{Authority, NOW, name};
    use reconnecting_stream::TlsConnector;
    use tokio_rustls::TlsAcceptor;

    let authority = Authority::new();
    let acceptor = TlsAcceptor::from(Arc::new(authority.server(NOW)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let sessions = Sessions::new(options());
    let (sender, accepted) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let (acceptor, sessions, sender) = (acceptor.clone(), sessions.clone(), sender.clone());
            tokio::spawn(async move {
                let io = acceptor.accept(socket).await?;
                let accepted = sessions.accept(io).await?;
                let _ = sender.send(accepted);
                io::Result::Ok(())
            });
        }
    });
    let connector = TlsConnector::new(
        move || TcpStream::connect(address),
        name(),
        Arc::new(authority.client()),
    );
    let client = ResumableStream::builder(connector).policy(quick());
    echo_over_cuts(client.connect().await.unwrap(), accepted).await;
}

#[tokio::test(start_paused = true)]
async fn framed_messages_arrive_whole_and_in_order_over_cuts() {
    let (server, mut streams) = Server::new(options());
    let (client, accepted) = server.begin(&mut streams).await;
    let mut client = Framed::new(client, LinesCodec::new());
    let mut accepted = Framed::new(accepted, LinesCodec::new());
    for number in 0..500 {
        client.send(format!("request {number}")).await.unwrap();
        if number % 7 == 0 {
            server.cut();
        }
        let request = accepted.next().await.unwrap().unwrap();
        assert_eq!(request, format!("request {number}"));
        accepted.send(format!("reply {number}")).await.unwrap();
        let reply = client.next().await.unwrap().unwrap();
        assert_eq!(reply, format!("reply {number}"));
    }
}

#[tokio::test]
async fn a_tunnel_between_tcp_connections_passes_half_closes_on() {
    // A server that answers once it has read to the end.
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server_address = server.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut socket, _) = server.accept().await.unwrap();
        let mut request = Vec::new();
        socket.read_to_end(&mut request).await.unwrap();
        request.reverse();
        socket.write_all(&request).await.unwrap();
    });
    // The far end of the tunnel.
    let far = ResumableListener::bind("127.0.0.1:0").await.unwrap();
    let far_address = far.local_addr().unwrap();
    tokio::spawn(async move {
        let mut session = far.accept().await.unwrap();
        let mut socket = TcpStream::connect(server_address).await.unwrap();
        copy_bidirectional(&mut session, &mut socket).await.unwrap();
        // Until the client knows that it is complete.
        std::future::pending::<()>().await;
    });
    // The near end.
    let near = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near_address = near.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut socket, _) = near.accept().await.unwrap();
        let connector = (move || TcpStream::connect(far_address)).boxed();
        let mut session = ResumableStream::connect(connector).await.unwrap();
        let handle = session.handle();
        tokio::spawn(async move {
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_millis(3)).await;
                handle.reconnect();
            }
        });
        copy_bidirectional(&mut socket, &mut session).await.unwrap();
    });
    let mut socket = TcpStream::connect(near_address).await.unwrap();
    let mut bytes = pattern(0..1_000_000);
    socket.write_all(&bytes).await.unwrap();
    socket.shutdown().await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    bytes.reverse();
    assert!(answer == bytes, "{} bytes", answer.len());
}
