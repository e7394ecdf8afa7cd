//! HTTP on both ends of a session.

use std::convert::Infallible;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1 as client;
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;

use crate::support::{Network, byte, small, soon};

/// Sends the body back.
async fn echo(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.unwrap().to_bytes();
    Ok(Response::new(Full::new(body)))
}

#[tokio::test(start_paused = true)]
async fn every_reply_of_one_http_connection_is_right_while_connections_are_cut_in_bodies() {
    const REQUESTS: usize = 100;
    let mut random = fastrand::Rng::with_seed(12);
    let cuts = move || (random.usize(400..6000), random.usize(400..6000));
    let (network, mut streams) = Network::with_cuts(small(), cuts);
    let stream = network.builder().connect().await.unwrap();
    let accepted = soon(streams.recv()).await.unwrap();
    let serving = server::Builder::new().serve_connection(TokioIo::new(accepted), service_fn(echo));
    let serving = tokio::spawn(serving);
    let (mut sender, connection) = client::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    for number in 0..REQUESTS {
        let len = number * 331 % 20_000;
        let body: Bytes = (0..len).map(|at| byte(number as u64, at)).collect();
        let request = Request::post("/").body(Full::new(body.clone())).unwrap();
        let response = soon(sender.send_request(request)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let answer = soon(response.into_body().collect()).await.unwrap();
        assert_eq!(answer.to_bytes(), body, "reply {number}");
    }
    drop(sender);
    soon(connection).await.unwrap().unwrap();
    soon(serving).await.unwrap().unwrap();
    assert!(network.dials() > 50, "{} connections", network.dials());
}
