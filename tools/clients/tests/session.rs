//! HTTP/2 over a session: many requests at the same time on one connection that is never lost.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2 as client;
use hyper::server::conn::http2 as server;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use reconnecting_stream::testing::{Fault, FaultProxy};
use reconnecting_stream::{ResumableListener, ResumableStream, SessionOptions};
use reconnecting_stream_clients::policy::quick;
use reconnecting_stream_clients::tally::{Tally, outage, under_faults};
use reconnecting_stream_tools::program::tell;
use tokio::net::TcpStream;

const CALLS: u64 = 4_000;
const RESETS: u64 = 40;

/// Sends the body back.
async fn echo(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let body = request.into_body().collect().await?.to_bytes();
    Ok(Response::new(Full::new(body)))
}

async fn serve() -> io::Result<SocketAddr> {
    // A test resets more often than a client may resume by default.
    let options = SessionOptions::new().max_resumes_per_second(1_000);
    let listener = ResumableListener::builder().options(options);
    let listener = listener.bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok(stream) = listener.accept().await {
            let http = server::Builder::new(TokioExecutor::new());
            tokio::spawn(http.serve_connection(TokioIo::new(stream), service_fn(echo)));
        }
    });
    Ok(address)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_of_one_http2_connection_fails_over_a_session() {
    let proxy = FaultProxy::start(serve().await.unwrap()).await.unwrap();
    let address = proxy.addr();
    let stream = ResumableStream::builder(move || TcpStream::connect(address))
        .policy(quick())
        .connect()
        .await
        .unwrap();
    let io = TokioIo::new(stream);
    let handshake = client::handshake(TokioExecutor::new(), io).await;
    let (last_sender, connection) = handshake.unwrap();
    // A connection ends by itself when its last sender is dropped.
    let sender = last_sender.clone();
    let connection = tokio::spawn(connection);
    let fault = async |number| {
        if number == RESETS / 2 {
            outage(&proxy).await;
        } else {
            proxy.inject(Fault::Reset).await;
        }
    };
    let call = move |number: u64, _: Arc<Tally>| {
        let mut sender = sender.clone();
        async move {
            // Some bodies are longer than a window of HTTP/2, 64 KiB.
            let len = usize::try_from(number % 50).unwrap() * 2_000;
            let body = Bytes::from(vec![number.to_le_bytes()[0]; len]);
            let request = Request::post("http://session/").body(Full::new(body.clone()));
            let sent = sender
                .send_request(request.map_err(io::Error::other)?)
                .await;
            let response = sent.map_err(io::Error::other)?;
            let answer = response.into_body().collect().await;
            Ok(answer.map_err(io::Error::other)?.to_bytes() == body)
        }
    };
    let tally = under_faults(CALLS, RESETS, fault, call).await;
    tell(format_args!(
        "HTTP/2 over a session, {RESETS} resets: {tally}"
    ));
    tally.assert_all_right(CALLS);
    assert!(proxy.stats().resets >= RESETS - 1, "{:?}", proxy.stats());
    assert!(!connection.is_finished());
    drop(last_sender);
    connection.await.unwrap().unwrap();
}
