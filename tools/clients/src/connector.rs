//! A connector of hyper-util and tonic, under a policy.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::Uri;
use hyper_util::rt::TokioIo;
use reconnecting_stream::{Permanent, Policy, ReconnectingStream, TcpConnector};
use tokio::net::TcpStream;
use tower_service::Service;

/// Makes each connection of a client under a policy: backoff, a timeout for each attempt, a cap.
///
/// A connection is a plain `TcpStream`, which ends with its first loss. The client drops it, and
/// its pool asks for the next one when there is a request for it.
#[derive(Clone)]
pub struct PolicyConnector(Policy);

impl PolicyConnector {
    pub fn new(policy: Policy) -> Self {
        Self(policy)
    }
}

impl Service<Uri> for PolicyConnector {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let policy = self.0.clone();
        Box::pin(async move {
            let host = uri.host().ok_or_else(|| Permanent::new("no host"))?;
            let port = uri.port_u16().unwrap_or(80);
            let stream = ReconnectingStream::builder(TcpConnector::new(format!("{host}:{port}")))
                .policy(policy)
                .retry_initial_connect(true)
                .connect()
                .await?;
            let connection = stream.into_inner().ok_or(io::ErrorKind::NotConnected)?;
            Ok(TokioIo::new(connection))
        })
    }
}
