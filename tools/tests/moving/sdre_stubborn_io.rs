//! `sdre-stubborn-io` 0.7.2.

use std::iter::repeat;
use std::time::Duration;

use super::feed::{DELAY, check, observer, read};

#[tokio::test]
async fn before() {
    use sdre_stubborn_io::config::ReconnectEvent;
    use sdre_stubborn_io::{ReconnectOptions, StubbornTcpStream};

    check(|address, observed| async move {
        let options = ReconnectOptions::new()
            .with_connection_name("feed")
            .with_connect_timeout(Some(Duration::from_secs(5)))
            .with_retries_generator(|| repeat(DELAY))
            .with_event_callback(move |event| match event {
                ReconnectEvent::Connected { .. } => observed.connected(),
                ReconnectEvent::Disconnected => observed.lost(),
                _ => {}
            });
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
            .attempt_timeout(Duration::from_secs(5))
            .backoff(Backoff::from_factory(|| repeat(DELAY)))
            .max_attempts(None);
        let stream = ReconnectingTcpStream::builder(TcpConnector::new(address))
            .retry_initial_connect(true)
            .policy(policy)
            .on_event(observer(observed))
            .connect()
            .await
            .unwrap();
        read(stream).await
    })
    .await;
}
