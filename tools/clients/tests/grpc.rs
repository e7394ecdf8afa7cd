//! A channel of tonic, over a connector under a policy.

#[path = "grpc/echo.rs"]
mod echo;

use std::io;
use std::sync::Arc;

use hyper::http::uri::PathAndQuery;
use hyper_util::client::legacy::connect::HttpConnector;
use reconnecting_stream::testing::{Fault, FaultProxy};
use reconnecting_stream_clients::connector::PolicyConnector;
use reconnecting_stream_clients::policy::quick;
use reconnecting_stream_clients::tally::{Tally, outage, under_faults};
use reconnecting_stream_tools::program::tell;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use echo::Text;

const CALLS: u64 = 4_000;
const RESETS: u64 = 40;
/// How often a call is made again. A call that meets so many resets fails.
const REPEATS: u32 = 10;

/// Calls until there is a reply: for methods that are idempotent.
async fn call(channel: &Channel, text: &str, tally: &Tally) -> io::Result<String> {
    for _ in 0..REPEATS {
        match call_once(channel, text).await {
            Ok(reply) => return Ok(reply),
            Err(status) if is_from_transport(&status) => tally.repeat(),
            Err(status) => return Err(io::Error::other(status)),
        }
    }
    call_once(channel, text).await.map_err(io::Error::other)
}

async fn call_once(channel: &Channel, text: &str) -> Result<String, Status> {
    let mut client = Grpc::new(channel.clone());
    let ready = client.ready().await;
    ready.map_err(|error| Status::from_error(error.into()))?;
    let path = PathAndQuery::from_static("/echo");
    let reply = client.unary(Request::new(text.to_owned()), path, Text);
    Ok(reply.await?.into_inner())
}

/// A status that a server sends has no source.
fn is_from_transport(status: &Status) -> bool {
    std::error::Error::source(status).is_some()
}

/// Resets the connection again and again, and halfway the server is away for a while.
async fn calls_under_faults(connect: impl FnOnce(Endpoint) -> Channel) -> Arc<Tally> {
    let server = echo::serve().await.unwrap();
    let proxy = FaultProxy::start(server).await.unwrap();
    let endpoint = Endpoint::from_shared(format!("http://{}", proxy.addr()));
    let channel = connect(endpoint.unwrap());
    let fault = async |number| {
        if number == RESETS / 2 {
            outage(&proxy).await;
        } else {
            proxy.inject(Fault::Reset).await;
        }
    };
    let call = move |number: u64, tally: Arc<Tally>| {
        let channel = channel.clone();
        async move {
            let text = number.to_string();
            Ok(call(&channel, &text, &tally).await? == text)
        }
    };
    under_faults(CALLS, RESETS, fault, call).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_of_tonic_outlives_an_outage_with_a_connector_under_a_policy() {
    let connector = PolicyConnector::new(quick());
    let tally = calls_under_faults(|to| to.connect_with_connector_lazy(connector)).await;
    tell(format_args!("tonic, {RESETS} resets: {tally}"));
    tally.assert_all_right(CALLS);
    assert!(tally.repeated() >= RESETS / 2, "{tally}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_a_channel_of_tonic_fails_in_an_outage_with_its_own_connector() {
    let connector = HttpConnector::new();
    let tally = calls_under_faults(|to| to.connect_with_connector_lazy(connector)).await;
    tell(format_args!("control, {RESETS} resets: {tally}"));
    assert!(tally.failed() > 0, "{tally}");
}
