//! Hyper's own connection over a stream, without the client of the recipe.

use super::*;

/// Sends one request over a stream, whose first connection responds `cuts` and ends. Returns the
/// task that waits for the response, and the server's ends of the later connections.
async fn hyper_over(seam: Seam, cuts: &str) -> (Answer, mpsc::UnboundedReceiver<Peer>) {
    let (connector, mut peers) = duplexes();
    let stream = ReconnectingStream::builder(connector)
        .policy(quick())
        .seam(seam)
        .lazy();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let answer =
        tokio::spawn(async move { sender.send_request(request(Method::GET, "/", "")).await });
    let mut peer = peers.recv().await.unwrap();
    peer.receive_head().await;
    peer.send(cuts).await;
    (answer, peers)
}

/// Why `Seam::Hidden` is not for hyper.
#[tokio::test(start_paused = true)]
async fn with_a_hidden_seam_a_lost_response_is_waited_for_for_ever() {
    let (answer, mut peers) = hyper_over(Seam::Hidden, "").await;
    let mut next = peers.recv().await.unwrap();
    assert!(timeout(1000 * HOUR, answer).await.is_err());
    let mut byte = [0];
    let arrived = timeout(HOUR, next.0.read(&mut byte)).await;
    assert!(
        arrived.is_err(),
        "and the next connection has not been asked"
    );
}

#[tokio::test(start_paused = true)]
async fn with_a_hidden_seam_a_cut_response_continues_with_the_next_connections_bytes() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 16\r\n\r\n";
    let (answer, mut peers) = hyper_over(Seam::Hidden, &format!("{head}half")).await;
    // As servers say to a connection that has asked nothing for too long.
    let answer = answer.await.unwrap().unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let saying = async {
        let mut next = peers.recv().await.unwrap();
        next.send("HTTP/1.1 408 Request Timeout\r\n\r\n").await;
        next
    };
    let (body, _next) = tokio::join!(answer.into_body().collect(), saying);
    assert_eq!(
        body.unwrap().to_bytes(),
        "halfHTTP/1.1 408",
        "valid, and wrong"
    );
}

#[tokio::test(start_paused = true)]
async fn with_seam_error_a_lost_response_is_an_error_immediately() {
    let (answer, _peers) = hyper_over(Seam::Error, "").await;
    let error = timeout(HOUR, answer).await.unwrap().unwrap().unwrap_err();
    let inner = std::error::Error::source(&error).unwrap();
    let inner: &io::Error = inner.downcast_ref().unwrap();
    assert_eq!(ConnectionLost::find(inner).unwrap().generation, 1);
}

/// Why the recipe says `without_shutdown`.
#[tokio::test(start_paused = true)]
async fn awaiting_hypers_connection_shuts_the_stream_down_when_the_server_says_close() {
    for shuts_down in [true, false] {
        let (connector, mut peers) = duplexes();
        let mut stream = ReconnectingStream::builder(connector)
            .policy(quick())
            .seam(Seam::Error)
            .lazy();
        let io = TokioIo::new(&mut stream);
        let (mut sender, connection) = http1::handshake(io).await.unwrap();
        let asking = sender.send_request(request(Method::GET, "/", ""));
        let answering = async {
            let mut peer = peers.recv().await.unwrap();
            peer.receive_head().await;
            let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
            peer.send(answer).await;
            peer
        };
        let driving = async {
            if shuts_down {
                connection.await.unwrap();
            } else {
                connection.without_shutdown().await.unwrap();
            }
        };
        let (answer, peer, ()) = tokio::join!(asking, answering, driving);
        assert!(answer.is_ok());
        drop(peer);
        let read = timeout(HOUR, stream.read_u8()).await.unwrap();
        assert!(read.is_err());
        let ends = stream.state() == State::Closed;
        assert_eq!(ends, shuts_down, "{:?}", stream.state());
    }
}

type Answer = JoinHandle<hyper::Result<Response<Incoming>>>;
