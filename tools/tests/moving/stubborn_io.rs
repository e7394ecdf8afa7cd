//! `stubborn-io` 0.3.6.

use std::iter::repeat;

use super::feed::{DELAY, check, observer, read};

#[tokio::test]
async fn before() {
    use stubborn_io::{ReconnectOptions, StubbornTcpStream};

    check(|address, observed| async move {
        let losses = observed.clone();
        let options = ReconnectOptions::new()
            .with_retries_generator(|| repeat(DELAY))
            .with_on_connect_callback(move || observed.connected())
            .with_on_disconnect_callback(move || losses.lost());
        let stream = StubbornTcpStream::connect_with_options(address, options);
        let stream = stream.await.unwrap();
        read(stream).await
    })
    .await;
}

#[tokio::test]
async fn after() {
    use reconnecting_stream::{Backoff, Policy, ReconnectingTcpStream, TcpConnector};

    check(|address, observed| async move {
        let policy = Policy::default()
            .backoff(Backoff::from_factory(|| repeat(DELAY)))
            .max_attempts(None);
        let stream = ReconnectingTcpStream::builder(TcpConnector::new(address))
            .policy(policy)
            .on_event(observer(observed))
            .connect()
            .await
            .unwrap();
        read(stream).await
    })
    .await;
}
